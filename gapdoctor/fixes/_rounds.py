"""A plan as it is run: every arm on one seed, more where these gave too little, then the best."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Plan, Start, TrialSpec
from gapdoctor.fixes._lengths import of_length


def first_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials of the first seed: every control and every fix."""
    return tuple(t for t in plan.trials if t.seed == plan.seed and t.fix != WITHOUT_TEACHER)


def later_trials(
    plan: Plan, best: Sequence[str], controls: Collection[Start] = ()
) -> tuple[TrialSpec, ...]:
    """Return those of the other seeds: of the controls and of the best fixes.

    Parameters
    ----------
    plan : Plan
        As made.
    best : sequence of str
        Fix ids, the best on half A first; those beyond `plan.finalists` are left out.
    controls : collection of Start
        Starts whose control gets all seeds in any case.
    """
    going = set(best[: plan.finalists])
    starts = {*controls, *(t.start for t in plan.trials if t.fix in going)}
    return tuple(
        t
        for t in plan.trials
        if t.seed != plan.seed and (t.fix in going or (t.fix == CONTROL and t.start in starts))
    )


def last_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials that answer a question beside: without a teacher."""
    return tuple(t for t in plan.trials if t.fix == WITHOUT_TEACHER)


def fold_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials that leave a fold of the train rows out: they tell how long others are."""
    return tuple(t for t in plan.trials if t.fold is not None)


def with_length(plan: Plan, fix: str, epochs: int) -> Plan:
    """Return a plan with the trials of a fix whose folds have told its length, one a seed.

    Parameters
    ----------
    plan : Plan
        With the folds of the fix.
    fix : str
        Its id.
    epochs : int
        That it takes; the control's schedule is shortened to them.
    """
    starts = {t.start for t in fold_trials(plan) if t.fix == fix}
    trials: list[TrialSpec] = []
    for seed in dict.fromkeys(t.seed for t in plan.trials):
        mine = [t for t in plan.trials if t.seed == seed and t.fix != WITHOUT_TEACHER]
        controls = [t for t in mine if t.fix == CONTROL and t.start in starts]
        trials += mine
        trials += [
            replace(t, fix=fix, recipe=of_length(t.recipe, epochs), epochs=epochs) for t in controls
        ]
    return replace(plan, trials=(*trials, *last_trials(plan)))


def with_reserve(plan: Plan, spec: TrialSpec) -> Plan:
    """Return a plan in which a fix of the reserve is planned, with its trials, one a seed.

    Parameters
    ----------
    plan : Plan
        As run so far.
    spec : TrialSpec
        One of its `reserve`.
    """
    fixes = tuple(
        replace(f, status="planned", reason="") if f.id == spec.fix else f for f in plan.fixes
    )
    mine = [t for t in plan.trials if t.fix != WITHOUT_TEACHER]
    seeds = dict.fromkeys(t.seed for t in mine)
    trials = [*mine, *(replace(spec, seed=seed) for seed in seeds)]
    trials.sort(key=lambda t: t.seed)  # stable: within a seed they keep their order
    rest = tuple(one for one in plan.reserve if one != spec)
    return replace(
        plan, fixes=fixes, reserve=rest, trials=(*trials, *last_trials(plan))
    )  # fmt: skip
