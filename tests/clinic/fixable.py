"""Can a planted fault be fixed? Its student without the fault is judged as fixes are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from gapdoctor.domain.trials import PlannedFix
from gapdoctor.engines._base import Applied
from gapdoctor.observe.observations import Settings
from gapdoctor.stats.calibration import cross_entropy
from gapdoctor.treatment._free import rows_of
from gapdoctor.treatment._steps import Patched
from gapdoctor.verify import Arm, Comparison, judge
from tests.clinic.healing_cases import HealingCase

if TYPE_CHECKING:
    from gapdoctor.observe.case import Case

SETTINGS = Settings(device="cpu")


@dataclass(frozen=True)
class Fixable:
    """Whether a fault can be fixed."""

    fixable: bool
    """Whether the reference is verified better on half B."""
    damage: float
    """L_faulty − L_reference on the third set, nats."""
    why_not: str = ""
    """What keeps the reference from being verified."""


@dataclass(frozen=True)
class Said:
    """What a student says of rows as deployed."""

    logits: np.ndarray
    labels: np.ndarray

    def losses(self) -> np.ndarray:
        """Return nats, row by row."""
        return np.asarray(cross_entropy(self.logits, self.labels))

    def hits(self) -> np.ndarray:
        """Return 1 where it is right, row by row."""
        return np.asarray(self.logits.argmax(axis=1) == self.labels, dtype=np.float64)


def said_of(case: Case, student: torch.nn.Module | None = None, applied: Applied | None = None,
            ) -> Said:  # fmt: skip
    """Return what a student, that of the case unless another is named, says of held-out rows."""
    patched = Patched(student or case.student, applied or Applied())
    found = patched.outputs(case, SETTINGS)
    return Said(found.logits, found.labels)


def fixable_of(case: HealingCase) -> Fixable:
    """Judge the reference beside the faulty student on half B of the rows given."""
    references = case.references()
    seeds = range(len(references))
    given, sound = case.given, case.given_sound
    rows = rows_of(Patched(given.student).outputs(given, SETTINGS))
    faulty = Arm.of("given", "scratch", dict.fromkeys(seeds, said_of(given).logits), rows,
                    with_temperature=False)  # fmt: skip
    spoken = {k: said_of(sound, references[k]) for k in seeds}
    own = replace(rows, labels=spoken[0].labels)  # a fault may have renumbered those of the case
    reference = Arm.of("reference", "scratch", {k: s.logits for k, s in spoken.items()}, own)
    planned = PlannedFix("reference", (), "")
    judged = judge([Comparison(planned, reference, faulty)], np.random.default_rng(0)).records[0]
    third = case.third_sound
    best = [
        cross_entropy(said_of(third, references[k]).logits / reference.temperature(k),
                      said_of(third).labels)
        for k in seeds
    ]  # fmt: skip
    damage = float(said_of(case.third).losses().mean() - np.mean(best))
    if judged.verified and damage > 0:
        return Fixable(True, damage)
    return Fixable(False, damage, judged.reason or "on the third set the reference is no better")
