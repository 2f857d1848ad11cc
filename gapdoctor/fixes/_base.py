"""What every fix is: it proposes a training, a free correction, or nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from gapdoctor.discovery import find_plugins
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import Change, Start
from gapdoctor.fixes._patient import Patient, patient_of
from gapdoctor.training.defaults import completed

__all__ = [
    "Fix",
    "Free",
    "NotApplicable",
    "Patient",
    "Proposal",
    "Variant",
    "all_fixes",
    "changes_between",
    "changes_of",
    "fixes_for",
    "patient_of",
    "varied",
]


@dataclass(frozen=True, slots=True)
class Variant:
    """A training with something changed."""

    recipe: Recipe
    """What is trained with; completed."""
    summary: str
    """One sentence: what is done here, and why it may help."""
    expected_share: float
    """Share of the treated cause's nats that is expected back."""
    epochs: int | None = None
    """Whole epochs; None: as many as the control."""
    start: Start | None = None
    """None: as the other arms."""
    larger: bool = False
    """The larger student is trained."""
    folds: tuple[int, ...] = ()
    """Into how many folds the train rows may be cut, the best number first: trained without each in
    turn, students tell how many epochs it takes. Only from scratch. Empty: that is known."""


@dataclass(frozen=True, slots=True)
class Free:
    """Something that is mended without training."""

    kind: Literal["pipeline", "correction", "batchnorm", "class_order", "temperature"]
    """As `domain.findings.Intervention` has it."""
    argument: str
    """`pipeline`: the pipeline that is used at inference; `correction`: as the config writes it;
    `batchnorm`: train rows that the statistics are taken from; else empty: it is fitted on half
    A."""
    summary: str
    expected_share: float
    """Share of the treated cause's nats that is expected back."""
    changes: tuple[Change, ...] = ()
    """As far as they are known before anything is fitted."""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why a fix proposes nothing here."""

    reason: str


Proposal = Variant | Free | NotApplicable


@dataclass(frozen=True)
class Fix(ABC):
    """A change that may close the gap.

    A subclass sits alone in a file of this folder that bears its `name`; its docstring is its
    manual page; its numbers are dataclass fields with a default and a docstring line naming unit
    and source.
    """

    name: ClassVar[str]
    treats: ClassVar[tuple[Cause, ...]]
    """Causes that it may remove."""
    needs: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Fixes that it may only work with, and why (one sentence with its source): they are tried
    together where each alone points the right way."""

    share: float = 0.5
    """Share of the treated cause's nats that is expected back."""

    @abstractmethod
    def propose(self, patient: Patient) -> Proposal:
        """Return what is to be tried on a patient, or why nothing is."""


def all_fixes() -> list[Fix]:
    """Return every fix found in this folder, by name."""
    return find_plugins("gapdoctor.fixes", Fix)


def fixes_for(cause: Cause) -> tuple[str, ...]:
    """Return the ids of the fixes that treat a cause, the most promising first."""
    treating = [fix for fix in all_fixes() if cause in fix.treats]
    return tuple(fix.name for fix in sorted(treating, key=lambda f: (-f.share, f.name)))


def varied(recipe: Recipe, **changed: Any) -> Recipe:
    """Return a completed recipe with some fields changed; another schedule forgets the old one."""
    new = replace(recipe, **changed)
    if new.schedule is not recipe.schedule:
        new = replace(new, **dict.fromkeys({*_OF_SCHEDULES} - {*changed}))
    return completed(new).recipe


_OF_SCHEDULES = ("step_size", "milestones", "gamma", "factor", "patience", "max_lr", "min_lr")


def changes_between(before: Recipe, after: Recipe) -> tuple[Change, ...]:
    """Return what differs between two recipes, in the order of their fields."""
    pairs = ((f.name, getattr(before, f.name), getattr(after, f.name)) for f in fields(Recipe))
    return tuple(
        Change(f"recipe.{name}", plain(one), plain(other))
        for name, one, other in pairs
        if one != other
    )


def changes_of(patient: Patient, variant: Variant) -> tuple[Change, ...]:
    """Return all that a variant changes against what ran."""
    changes = changes_between(patient.recipe, variant.recipe)
    length = variant.epochs or patient.epochs
    if length != patient.epochs:  # of a training that was cut off, not what was planned
        rest = tuple(c for c in changes if c.key != "recipe.epochs")
        changes = (Change("recipe.epochs", patient.epochs, length), *rest)
    if variant.folds:
        changes = (Change("recipe.epochs", patient.epochs, "as the folds tell"), *changes)
    if variant.larger:
        more = Change("student.parameters", patient.student_parameters, patient.larger)
        changes = (*changes, more)
    return changes


def plain(value: Any) -> Any:
    """Return a value as TOML holds it."""
    if isinstance(value, StrEnum):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value
