"""Hand-built outcomes of `fix`, of the pair in `conftest.base`."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Diagnosis, Verdict
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from gapdoctor.domain.trials import (
    ArmRecord,
    Change,
    ClinicCount,
    FixCost,
    FixRecord,
    Given,
    Outcome,
    Plan,
    PlannedFix,
    Round,
    Together,
    TrialRecord,
    TrialSpec,
    Written,
)

RECIPE = Recipe(
    epochs=24, batch_size=64, optimizer=Optimizer.SGD, lr=0.1, weight_decay=0.0,
    schedule=Schedule.COSINE, task_weight=0.3, temperature=4.0,
)  # fmt: skip
JOINT = "add_weight_decay+rebalance_losses"
THREE = f"{JOINT}+schedule_learning_rate"
AS_DEPLOYED = "as deployed: neither student at a temperature of its own"


def near(value: float, half: float = 0.03) -> Interval:
    return Interval(value, value - half, value + half)


def fix(name: str, difference: float, status: str, **more) -> FixRecord:
    given = {
        "id": name,
        "treats": (Cause.OVERFITTING,),
        "start": "scratch",
        "changes": (),
        "seeds": 3,
        "status": status,
        "heldout_loss": near(0.602 + difference),
        "heldout_accuracy": near(0.861 - difference / 4, 0.012),
        "loss_before_temperature": near(0.644 + difference),
        "difference": near(difference, 0.021),
        "accuracy_difference": near(-difference / 4, 0.011),
        "same_sign": abs(difference) > 0.01,
        "verified": status == "verified",
    }
    return FixRecord(**{**given, **more})


FIXES = (
    fix("match_preprocessing", -0.412, "verified", seeds=0, same_sign=None, reason=AS_DEPLOYED,
        heldout_loss=near(0.709, 0.05), loss_before_temperature=near(0.731, 0.05),
        heldout_accuracy=near(0.815, 0.017),
        changes=(Change("preprocess.inference", "run.py:pipeline_bgr", "run.py:pipeline"),)),
    fix(JOINT, -0.118, "verified",
        changes=(Change("recipe.weight_decay", 0.0, 5e-4), Change("recipe.task_weight", 0.3, 0.1),
                 Change("recipe.augment", ("flip",), ("flip", "crop")))),
    fix("add_weight_decay", -0.081, "verified", p_value=0.031, seeds=6,
        changes=(Change("recipe.weight_decay", 0.0, 5e-4),)),
    fix("rebalance_losses", -0.03, "promising", reason="its interval reaches zero",
        changes=(Change("recipe.task_weight", 0.3, 0.1),)),
    fix("add_dropout", 0.004, "not_verified", reason="no lower than the control",
        changes=(Change("recipe.dropout", None, 0.1),)),
    FixRecord("increase_capacity", (Cause.CAPACITY_SHORTFALL,), "scratch", (), 0,
              "not_applicable", reason="[student] larger is not given, nor to be guessed."),
    FixRecord("train_longer", (Cause.OPTIMIZATION,), "scratch", (), 0, "not_reached",
              reason="the budget was used up"),
)  # fmt: skip


PLANNED = (
    PlannedFix("match_preprocessing", (Cause.PREPROCESSING_MISMATCH,), "Its train pipeline.",
               FIXES[0].changes, free=True, expected_gain=0.4,
               clinic=ClinicCount(Cause.PREPROCESSING_MISMATCH, 1, 1, 0)),
    PlannedFix("add_weight_decay", (Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION),
               "Weight decay 0.0005; the recipe has none.", FIXES[2].changes, expected_gain=0.09,
               expected_seconds=126.0, clinic=ClinicCount(Cause.OVERFITTING, 9, 7, 0)),
    PlannedFix("rebalance_losses", (Cause.OVERFITTING,), "The teacher is heard more.",
               FIXES[3].changes, expected_gain=0.05, expected_seconds=126.0,
               clinic=ClinicCount(Cause.OVERFITTING, 12, 9, 1)),
    PlannedFix("add_dropout", (Cause.OVERFITTING,), "Dropout 0.1 before the head.",
               FIXES[4].changes, start="checkpoint", expected_gain=0.02, expected_seconds=131.0),
    PlannedFix("train_longer", (Cause.OPTIMIZATION,), "48 epochs instead of 24.",
               expected_gain=0.01, expected_seconds=250.0, status="not_reached",
               reason="the budget does not reach it: one training takes 83 s"),
    PlannedFix("increase_capacity", (), "", status="not_applicable",
               reason="[student] larger is not given, nor to be guessed."),
)  # fmt: skip
JOINED = replace(PLANNED[1], id=JOINT, changes=FIXES[1].changes, clinic=None)
TOGETHER = Together(
    ("add_weight_decay", "train_longer"), "Decay shows late (Krogh & Hertz 1991, NeurIPS)."
)
ROUNDS = (
    Round(("control", "add_weight_decay", "rebalance_losses", "add_dropout"), (0,),
          "every fix on the first seed, beside its control"),
    Round((JOINT,), (0,), "together: the two that are best on half A"),
    Round(("control", JOINT, "add_weight_decay", "rebalance_losses"), (1, 2),
          f"the other seeds of the best on half A ({JOINT}, add_weight_decay, rebalance_losses) "
          "and of the control: what is verified has to be better in each of them"),
    Round(("without_teacher",), (0,), "the labels alone: does distillation help at all?"),
)  # fmt: skip


def curve(level: float, epochs: int = 24) -> tuple[tuple[float, ...], ...]:
    return tuple(
        (float(e), 2.1 * 0.82**e + 0.02, 1.6 * 0.85**e + level, 0.9 - level / 5, 0.1)
        for e in range(1, epochs + 1)
    )


def plan() -> Plan:
    """What the outcomes were planned as."""
    fixes = ("control", "add_weight_decay", "rebalance_losses", "add_dropout")
    trials = [TrialSpec(name, seed, "scratch", RECIPE, 24) for seed in range(3) for name in fixes]
    return Plan(
        "ab" * 8, 0, "scratch", "a factory builds the student", 600.0, RECIPE, (), PLANNED,
        (*trials, TrialSpec("without_teacher", 0, "scratch", RECIPE, 24)), finalists=3,
        expected_seconds=540.0, reserve=(TrialSpec("train_longer", 0, "scratch", RECIPE, 48),),
        together=(TOGETHER,),
    )  # fmt: skip


def outcome() -> Outcome:
    """A verified fix that trains nothing, and what was trained beside it."""
    names = ("control", "add_weight_decay", "rebalance_losses", "add_dropout", JOINT)
    levels = dict(zip(names, (0.602, 0.521, 0.572, 0.606, 0.484), strict=True))
    trials = tuple(
        TrialRecord(name, seed, "done", level + 0.004 * seed, 41.3 + seed)
        for name, level in levels.items()
        for seed in range(3)
    )
    trials += (
        TrialRecord("without_teacher", 0, "failed", seconds=3.2, note="the loss is not finite"),
        TrialRecord("train_longer", 0, "not_reached"),
    )
    return Outcome(
        version="0.1.0",
        created="2026-01-31T13:00:00Z",
        seed=0,
        command="gapdoctor fix --apply runs/resnet8/checkpoint.pth --budget 10m",
        plan=replace(plan(), fixes=(JOINED, *PLANNED)),
        given=Given(near(1.101, 0.052), near(0.712, 0.02), near(1.121, 0.055)),
        controls=(ArmRecord("scratch", 3, near(0.602), near(0.861, 0.012), near(0.644)),),
        fixes=FIXES,
        trials=trials,
        chosen="match_preprocessing",
        improvement=Interval(-0.412, -0.451, -0.377),
        minimum_detectable_effect=0.034,
        written=Written("student.fixed.pth", "gapdoctor.fixed.toml", "changes.diff"),
        cost=FixCost(623.4, 8_640_000, 13.2),
        histories={
            t.name: curve(levels[t.fix] + 0.004 * t.seed) for t in trials if t.status == "done"
        },
        notes=("lr was not given: 0.1 is assumed.",),
        rounds=ROUNDS,
    )


def three_together() -> Outcome:
    """Three fixes together were the best, and are what was written."""
    base = outcome()
    both = next(f for f in FIXES if f.id == JOINT)
    schedule = Change("recipe.schedule", "cosine", "onecycle")
    best = fix(THREE, -0.161, "verified", changes=(*both.changes, schedule))
    trials = tuple(TrialRecord(THREE, seed, "done", 0.441, 41.0) for seed in range(3))
    why = f"together: one fix more, since {JOINT} was better than each of its parts"
    return replace(
        base, fixes=(best, *FIXES[1:]), trials=(*base.trials, *trials), chosen=THREE,
        improvement=Interval(-0.66, -0.72, -0.6),
        rounds=(*ROUNDS[:2], Round((THREE,), (0,), why), *ROUNDS[2:]),
        histories={**base.histories, **{t.name: curve(0.441) for t in trials}},
    )  # fmt: skip


def nothing_verified() -> Outcome:
    """Effects too small for the rows there are."""
    fixes = (
        fix("rebalance_losses", -0.017, "promising", reason="its interval reaches zero",
            changes=(Change("recipe.task_weight", 0.3, 0.1),)),
        fix("add_dropout", 0.004, "not_verified", reason="no lower than the control",
            changes=(Change("recipe.dropout", None, 0.1),)),
        *FIXES[-2:],
    )  # fmt: skip
    return replace(
        outcome(), fixes=fixes, chosen=None, improvement=None, written=Written(), notes=()
    )


def control_chosen() -> Outcome:
    """Retraining alone helped."""
    gained = Interval(-0.519, -0.57, -0.47)
    return replace(nothing_verified(), chosen="control", improvement=gained,
                   written=Written("student.fixed.pth", "gapdoctor.fixed.toml"))  # fmt: skip


def nothing_tried() -> Outcome:
    """No fix applies."""
    return replace(
        nothing_verified(), fixes=FIXES[-2:], controls=(), trials=(), histories={}, rounds=(),
        minimum_detectable_effect=float("nan"),
    )  # fmt: skip


def after(before: Diagnosis) -> Diagnosis:
    """The diagnosis of the student that was written: its first cause is gone."""
    gap = replace(before.gap, excess=near(0.031, 0.02), excess_gap=near(0.007, 0.02))
    metrics = tuple(
        replace(m, loss=near(0.343, 0.02), accuracy=near(0.921, 0.012))
        if (m.model, m.split) == ("student", "heldout")
        else m
        for m in before.metrics
    )
    return replace(
        before, verdict=Verdict.HEALTHY, causes=before.causes[1:2], gap=gap, metrics=metrics,
        warnings=(), command="gapdoctor diagnose -c gapdoctor.fixed.toml",
        recipe=replace(before.recipe, recipe=replace(before.recipe.recipe, weight_decay=1e-3)),
    )  # fmt: skip


def hostile(names: tuple[str, ...]) -> Outcome:
    """Every text is hostile."""
    text = " ".join(names)
    fixes = tuple(
        replace(f, reason=text, changes=(Change(names[0], names[1], {names[2]: names[3]}),))
        for f in FIXES
    )
    trials = tuple(replace(t, note=text) for t in outcome().trials)
    rounds = tuple(replace(one, fixes=names, reason=text) for one in ROUNDS)
    return replace(
        outcome(), fixes=fixes, trials=trials, command=text, notes=names, rounds=rounds,
        written=Written(names[0], names[1], names[2]),
    )  # fmt: skip
