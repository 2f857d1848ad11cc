"""Continuation: what would a little more training change, and which change of it helps?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import (
    Claim,
    Evidence,
    Finding,
    Interval,
    Side,
    Skipped,
)
from gapdoctor.observe.augmentation import crop, noise
from gapdoctor.observe.case import Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe
from gapdoctor.training.arms import Arm, Comparison, continued_recipe, run_arms, short_rows
from gapdoctor.training.loop import step_count
from gapdoctor.training.views import Views, views_of

CONTROL, LOSS, LOWER, HIGHER = "control", "other loss", "lower rate", "higher rate"
DECAY, AUGMENTATION = "weight decay", "augmentation"


@dataclass(frozen=True)
class Continuation(Probe):
    """What would a little more training change, and which change of it helps?

    Copies of the student train on for at most 3 % of the recipe's steps, on the same batches, the
    learning rate brought down to 0: one as it was (the control), one with the factor T² of the
    distillation loss the other way round (in where it is declared to be out, out where it is
    declared to be in), one with weight decay, one with mild augmentation, one each with a third and
    with three times the learning rate. An arm's effect is measured against the control, row by row
    on half B, so that what more steps do anyway does not count.

    Where the student loses to its teacher on train rows already: a control that wins much of that
    back was stopped before it was done, and so was one whose gains grow in proportion to the
    learning rate; one that wins back nothing at any rate is at the end of what it can do, which
    speaks for its capacity. The heavier distillation loss returning held-out loss says that it was
    missing; weight decay or augmentation returning it, that the student lacks regularization.

    Only with --train-probes: it trains, on copies alone.
    """

    name: ClassVar[str] = "continuation"
    order: ClassVar[int] = 87
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TRAIN_PROBES, Need.LOSS_WEIGHTS})

    training_share: float = 0.03
    """Share of the recipe's steps that each arm takes (successive halving needs no less)."""
    fewest: int = 30
    """Steps an arm takes at least, and where the recipe's epochs are unknown."""
    most: int = 200
    """Steps an arm takes at most."""
    factor: float = 3.0
    """Times the learning rate, up and down."""
    decay: float = 0.005
    """Weight decay of that arm, or ten times the recipe's where that is more."""
    unfinished: float = 0.08
    """Share of the fit deficit that the control must win back (measured: 0.13 to 0.46 for
    trainings cut short, below 0.01 for students too small)."""
    flat: float = 0.05
    """Share of the fit deficit that no learning rate wins back where capacity is the matter."""
    proportion: float = 2.0
    """Times that the gain must grow with each tripling of the learning rate."""
    gain: float = 0.1
    """Share of the excess (but at least h/2) that a changed arm must return on half B."""
    finished_strength: float = 2.0
    """Log-odds of optimization, and of capacity, where the control settles it."""
    finished_against: float = -1.5
    """Log-odds against the other of both."""
    rate_strength: float = 1.0
    """Log-odds of optimization where another learning rate wins back more than the control."""
    loss_strength: float = 2.5
    """Log-odds of a heavier distillation loss that returns loss on half B."""
    regularization_strength: float = 1.5
    """Log-odds of weight decay or augmentation that returns loss on half B."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Train all arms, and set each against the control."""
        views = views_of(seen.case)
        if isinstance(views, str):
            return Skipped(self.name, views)
        if views.change and not seen.same_pipeline("train", "teacher"):
            return Skipped(self.name, "teacher and student share no augmented view")
        if views.change and seen.missing(frozenset({Need.TEACHER_MODEL})) is not None:
            return Skipped(self.name, Need.TEACHER_MODEL.value)
        rows, steps = short_rows(seen), self._steps(seen)
        trained = run_arms(seen, self._arms(seen, views), steps, rows)
        arms = {name: losses for name, losses in trained.items() if losses is not None}
        if CONTROL not in arms:
            return Skipped(self.name, "the training diverged when it went on as it was")
        reading = Comparison(seen, rows, arms, steps, measure_gap(seen))
        claims = (*self._fit(reading), *self._loss(reading), *self._regularization(reading))
        return Finding(self.name, claims, tables=(("continuations", reading.table()),))

    def _steps(self, seen: Observations) -> int:
        recipe = seen.recipe.recipe
        whole = step_count(recipe, seen.data.train.count)
        return min(self.most, max(self.fewest, int(self.training_share * whole)))

    def _arms(self, seen: Observations, views: Views) -> list[Arm]:
        base = continued_recipe(seen.recipe.recipe)
        assert base.lr is not None
        decay = max(self.decay, 10 * (base.weight_decay or 0.0))
        recipes = {
            CONTROL: base,
            LOWER: replace(base, lr=base.lr / self.factor),
            HIGHER: replace(base, lr=base.lr * self.factor),
            DECAY: replace(base, weight_decay=decay),
        }
        if 0 < (base.task_weight or 0.0) < 1 < (base.temperature or 1.0):
            recipes[LOSS] = replace(base, scale_by_t2=not base.scale_by_t2)
        arms = [Arm(name, recipe, views) for name, recipe in recipes.items()]
        if not views.change and _can_be_shaken(seen):
            arms.append(Arm(AUGMENTATION, base, Views(lambda batch: crop(noise(batch)))))
        return arms

    # -- what it says ------------------------------------------------------------------------

    def _fit(self, reading: Comparison) -> list[Claim]:
        """Unfinished, or at the end of what it can do."""
        deficit = reading.gap.fit_deficit
        if deficit.low <= reading.gap.limit:
            return []
        gains = {
            name: reading.over(None, name, Split.TRAIN)
            for name in (LOWER, CONTROL, HIGHER)
            if name in reading.arms
        }
        control = gains[CONTROL]
        much = control.low > 0 and control.value >= self.unfinished * deficit.value
        unfinished = much or self._is_proportional(gains)
        little = self.flat * deficit.value
        flat = max(g.high for g in gains.values()) < little
        flat = flat and control.value > -little  # a rate that throws it off tells nothing
        if not unfinished and not flat:
            return []
        share = control.value / deficit.value
        statement = (
            f"Trained on as it was for {reading.steps} steps, the student wins back "
            f"{control.value:.3g} of the {deficit.value:.3g} nats that it loses to its teacher on "
            f"train rows ({control.low:.3g} to {control.high:.3g})"
            + (", in proportion to the learning rate." if unfinished and not much else ".")
        )
        limit = self.unfinished if unfinished else self.flat
        found = []
        for cause, shown in (
            (Cause.OPTIMIZATION, unfinished),
            (Cause.CAPACITY_SHORTFALL, not unfinished),
        ):
            speaks: Literal["for", "against"] = "for" if shown else "against"
            evidence = Evidence(self.name, statement, share, limit, "share of D", speaks)
            strength = self.finished_strength if shown else self.finished_against
            found.append(Claim(cause, strength, self.name, (evidence,), side=Side.FIT_DEFICIT))
        return [*found, *self._rate(reading, gains)]

    def _is_proportional(self, gains: Mapping[str, Interval]) -> bool:
        """Whether the loss still falls in proportion to the learning rate: far from its end."""
        if len(gains) < 3 or any(gain.low <= 0 for gain in gains.values()):
            return False
        lower, control, higher = (gains[n].value for n in (LOWER, CONTROL, HIGHER))
        return control >= self.proportion * lower and higher >= self.proportion * control

    def _rate(self, reading: Comparison, gains: Mapping[str, Interval]) -> list[Claim]:
        found = []
        limit = self.unfinished * reading.gap.fit_deficit.value
        for name, how in ((LOWER, "A third of"), (HIGHER, "Three times")):
            if name not in gains or gains[name].value < limit:
                continue
            more = reading.over(CONTROL, name, Split.TRAIN)
            if more.low <= 0 or more.value < limit:
                continue
            evidence = Evidence(
                self.name,
                f"{how} the learning rate wins back {more.value:.3g} nats more on train rows than "
                f"the recipe's ({more.low:.3g} to {more.high:.3g}).",
                more.value, limit, "nats", "for",
            )  # fmt: skip
            claim = Claim(
                Cause.OPTIMIZATION, self.rate_strength, "learning rate", (evidence,),
                side=Side.FIT_DEFICIT,
            )  # fmt: skip
            found.append(claim)
        return found

    def _loss(self, reading: Comparison) -> list[Claim]:
        """The heavier distillation loss against the lighter one, and against the student given."""
        if LOSS not in reading.arms:
            return []
        declared = bool(continued_recipe(reading.seen.recipe.recipe).scale_by_t2)
        heavier, lighter = (CONTROL, LOSS) if declared else (LOSS, CONTROL)
        back = reading.over(None, heavier, Split.HELDOUT)
        more = reading.over(lighter, heavier, Split.HELDOUT)
        limit = self._least(reading)
        if min(back.low, more.low) <= 0 or min(back.value, more.value) < limit:
            return []
        if self._is_mere_pace(reading, declared):
            return []
        evidence = Evidence(
            self.name,
            f"Trained on for {reading.steps} steps with the factor T², the student wins back "
            f"{back.value:.3g} nats on half B, {more.value:.3g} more than without it "
            f"({more.low:.3g} to {more.high:.3g}); declared is a loss "
            + ("with it: another one ran." if declared else "without it."),
            more.value, limit, "nats", "for",
        )  # fmt: skip
        return [
            Claim(
                Cause.LOSS_IMBALANCE, self.loss_strength, "continued loss", (evidence,),
                side=reading.side,
                summary="The distillation loss weighs too little: with the factor T² the student "
                "wins held-out loss back at once.",
            )
        ]  # fmt: skip

    def _is_mere_pace(self, reading: Comparison, declared: bool) -> bool:
        """Whether the heavier loss helps only as larger steps do, which any unfinished one likes.

        It has to do better than the lighter one at three times its learning rate.
        """
        lighter, heavier = (LOSS, LOWER) if declared else (HIGHER, LOSS)
        if lighter not in reading.arms or heavier not in reading.arms:
            return False
        return reading.over(lighter, heavier, Split.HELDOUT).low <= 0

    def _regularization(self, reading: Comparison) -> list[Claim]:
        found = []
        limit = self._least(reading)
        for name in (DECAY, AUGMENTATION):
            if name not in reading.arms:
                continue
            back = reading.over(None, name, Split.HELDOUT)
            more = reading.over(CONTROL, name, Split.HELDOUT)
            if min(back.low, more.low) <= 0 or min(back.value, more.value) < limit:
                continue
            evidence = Evidence(
                self.name,
                f"Trained on for {reading.steps} steps with {name}, the student wins back "
                f"{back.value:.3g} nats on half B, {more.value:.3g} more than without "
                f"({more.low:.3g} to {more.high:.3g}).",
                more.value, limit, "nats", "for",
            )  # fmt: skip
            found += [
                Claim(
                    cause, self.regularization_strength, self.name, (evidence,),
                    side=Side.EXCESS_GAP, needs_cause=reason_for,
                )
                for cause, reason_for in (
                    (Cause.LACK_OF_REGULARIZATION, Cause.OVERFITTING), (Cause.OVERFITTING, None)
                )
            ]  # fmt: skip
        return found

    def _least(self, reading: Comparison) -> float:
        return max(self.gain * reading.gap.excess.value, reading.gap.limit / 2)


def _can_be_shaken(seen: Observations) -> bool:
    """Whether an augmented view can be made, and shared with a teacher that runs."""
    needs_model = seen.missing(frozenset({Need.TEACHER_MODEL})) is not None
    if needs_model or not seen.same_pipeline("train", "teacher"):
        return False
    first = seen.some(Split.TRAIN, seen.rows(Split.TRAIN).choosing, 1)
    return seen.inputs(Split.TRAIN, first, "train").is_floating_point()
