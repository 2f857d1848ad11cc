"""Two diagnoses side by side: what healed, what is new, and whether they may be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import DataRecord, Diagnosis, RankedCause
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import GapDoctorError
from gapdoctor.report.wording import BELIEVED, metrics_of

COMPARISON_SCHEMA = "gapdoctor.comparison/1"

CauseState = Literal["healed", "not asked", "new", "remains", "unlikely"]
Trend = Literal["better", "worse", "open"]

_UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity in both diagnoses."""

    id: str
    """Such as `excess` or `student_heldout_loss`."""
    name: str
    """For a reader."""
    unit: Literal["nats", "share"]
    before: Interval
    after: Interval
    difference: float
    """After − before. No interval: the rows of the two runs are not at hand, so that the two
    cannot be paired."""
    trend: Trend
    """`open` where the two intervals overlap."""


@dataclass(frozen=True, slots=True)
class CauseChange:
    """A cause in both diagnoses."""

    id: Cause
    state: CauseState
    """A cause is there where its confidence is at least 0.5."""
    before: RankedCause | None
    after: RankedCause | None
    unasked: tuple[str, ...] = ()
    """Probes that spoke for it before and could not run after."""


@dataclass(frozen=True, slots=True)
class WarningChange:
    """A warning that is in one of them, or in both."""

    id: str
    state: Literal["gone", "new", "remains"]
    statement: str


@dataclass(frozen=True, slots=True)
class RecipeChange:
    """A field of the recipe that differs."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two diagnoses of the same data."""

    before: Diagnosis
    after: Diagnosis
    trend: Trend
    """Of the excess."""
    measured: tuple[Measured, ...]
    causes: tuple[CauseChange, ...]
    warnings: tuple[WarningChange, ...]
    recipe: tuple[RecipeChange, ...]
    cautions: tuple[str, ...]
    """What makes the comparison less than exact."""

    def of(self, id_: str) -> Measured:
        """Return one of the quantities."""
        return next(m for m in self.measured if m.id == id_)


def compare(before: Diagnosis, after: Diagnosis, *, names: tuple[str, str]) -> Comparison:
    """Lay two diagnoses side by side.

    Parameters
    ----------
    before, after : Diagnosis
        Of the same data.
    names : tuple of str
        What messages call them, such as the paths of their files.

    Raises
    ------
    GapDoctorError
        When they are of other data or other classes.
    """
    _refuse_other_data(before, after, names)
    measured = _measured(before, after)
    return Comparison(
        before,
        after,
        measured[0].trend,
        measured,
        _causes(before, after),
        _warnings(before, after),
        _recipe(before, after),
        _cautions(before, after),
    )


def _refuse_other_data(before: Diagnosis, after: Diagnosis, names: tuple[str, str]) -> None:
    what = _other_classes(before.data.classes, after.data.classes) or _other_rows(
        before.data, after.data
    )
    if not what and before.halves.reporting.source != after.halves.reporting.source:
        what = "one reports on test data, the other on held-out data"
    if what:
        raise GapDoctorError(
            f"{names[1]} cannot be compared with {names[0]}: {what}",
            "compare two diagnoses of one data set",
        )


def _other_classes(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    if len(one) != len(other):
        return f"{len(one)} classes before, {len(other)} after"
    differing = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if not differing:
        return ""
    i = differing[0]
    return f"class {i} is {one[i]!r} before and {other[i]!r} after"


def _other_rows(one: DataRecord, other: DataRecord) -> str:
    for name in ("train", "heldout"):
        a, b = getattr(one, name).samples, getattr(other, name).samples
        if a is not None and b is not None and a != b:
            return f"{a:,} {name.replace('heldout', 'held-out')} rows before, {b:,} after"
    return ""


def _measured(before: Diagnosis, after: Diagnosis) -> tuple[Measured, ...]:
    gaps = [
        ("Excess", "excess"),
        ("Fit deficit D", "fit_deficit"),
        ("Excess gap E", "excess_gap"),
    ]
    found = [_one(f, t, "nats", getattr(before.gap, f), getattr(after.gap, f)) for t, f in gaps]
    for model in ("student", "teacher"):
        for split, words in (("heldout", "held-out"), ("train", "train")):
            rows = [metrics_of(d, model, split) for d in (before, after)]
            losses = [r.loss if r else _UNKNOWN for r in rows]
            rights = [r.accuracy if r else _UNKNOWN for r in rows]
            key, who = f"{model}_{split}", f"{model.capitalize()}, {words}"
            found.append(_one(f"{key}_loss", f"{who} loss", "nats", *losses))
            found.append(_one(f"{key}_accuracy", f"{who} accuracy", "share", *rights, sign=1))
    agreed = [d.fidelity_heldout.agreement for d in (before, after)]
    apart = [d.fidelity_heldout.kl for d in (before, after)]
    found.append(_one("agreement", "Rows with the teacher's class", "share", *agreed, sign=1))
    found.append(_one("kl", "KL(teacher ‖ student)", "nats", *apart))
    return tuple(found)


def _one(
    id_: str,
    name: str,
    unit: Literal["nats", "share"],
    before: Interval,
    after: Interval,
    *,
    sign: int = -1,
) -> Measured:
    """`sign` is 1 where more is better."""
    trend: Trend = "open"
    if after.high < before.low:
        trend = "better" if sign < 0 else "worse"
    elif after.low > before.high:
        trend = "worse" if sign < 0 else "better"
    return Measured(id_, name, unit, before, after, after.value - before.value, trend)


def _causes(before: Diagnosis, after: Diagnosis) -> tuple[CauseChange, ...]:
    old, new = ({c.id: c for c in d.causes} for d in (before, after))
    ids = [*new, *(i for i in old if i not in new)]
    changes = [_cause(i, old.get(i), new.get(i), after) for i in ids]
    order = ("new", "remains", "not asked", "healed", "unlikely")
    return tuple(sorted(changes, key=lambda c: order.index(c.state)))


def _cause(
    id_: Cause, old: RankedCause | None, new: RankedCause | None, after: Diagnosis
) -> CauseChange:
    was, is_ = (c is not None and c.confidence >= BELIEVED for c in (old, new))
    if was and is_:
        return CauseChange(id_, "remains", old, new)
    if is_:
        return CauseChange(id_, "new", old, new)
    if not was or old is None:
        return CauseChange(id_, "unlikely", old, new)
    spoke = dict.fromkeys(e.probe for e in old.evidence if e.speaks == "for")
    skipped = {s.probe for s in after.skipped}
    unasked = tuple(probe for probe in spoke if probe in skipped)
    state: CauseState = "not asked" if spoke and len(unasked) == len(spoke) else "healed"
    return CauseChange(id_, state, old, new, unasked)


def _warnings(before: Diagnosis, after: Diagnosis) -> tuple[WarningChange, ...]:
    old, new = ({w.id: w.statement for w in d.warnings} for d in (before, after))
    return (
        *(WarningChange(i, "remains" if i in old else "new", told) for i, told in new.items()),
        *(WarningChange(i, "gone", told) for i, told in old.items() if i not in new),
    )


def _recipe(before: Diagnosis, after: Diagnosis) -> tuple[RecipeChange, ...]:
    old, new = before.recipe.recipe, after.recipe.recipe
    named = ("history",)
    pairs = ((f.name, getattr(old, f.name), getattr(new, f.name)) for f in fields(Recipe))
    return tuple(RecipeChange(k, a, b) for k, a, b in pairs if a != b and k not in named)


def _cautions(before: Diagnosis, after: Diagnosis) -> tuple[str, ...]:
    found = [
        f"{name} a warning voids the ranking of causes: `{w.id}`."
        for name, d in (("Before,", before), ("After,", after))
        for w in d.warnings
        if w.voids
    ]
    shas = before.teacher.sha256, after.teacher.sha256
    same_teacher = None in shas or shas[0] == shas[1]
    if not same_teacher:
        found.append("The teachers differ: the excess is measured against another one.")
    same_rows = (before.seed, before.data) == (after.seed, after.data)
    if before.seed != after.seed:  # with one seed the fewer rows are the first of the more
        found.append(f"Other rows were looked at: {_rows(before)} before, {_rows(after)} after.")
    one, other = (metrics_of(d, "teacher", "heldout") for d in (before, after))
    if same_teacher and same_rows and one and other and not _overlap(one.loss, other.loss):
        found.append(
            "The teacher's own held-out loss moved: its pipeline or the data are not the same."
        )
    if before.version != after.version:
        found.append(f"gapdoctor {before.version} before, {after.version} after.")
    return tuple(found)


def _rows(diagnosis: Diagnosis) -> str:
    used = diagnosis.data.train.used, diagnosis.data.heldout.used
    return f"{used[0]:,} train and {used[1]:,} held-out (seed {diagnosis.seed})"


def _overlap(one: Interval, other: Interval) -> bool:
    return not (one.high < other.low or other.high < one.low)
