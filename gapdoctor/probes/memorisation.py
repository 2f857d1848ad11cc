"""Memorisation: can one tell from a loss whether the student has seen the row?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Interval, Side, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import accepted_train_rows
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.membership import agreement_drop, auc_difference


@dataclass(frozen=True)
class Memorisation(Probe):
    """Has the student learned its train rows by heart, more than the teacher has?

    The AUC with which the loss of a row tells members of the train set from held-out rows
    (Yeom et al. 2018, arXiv 1709.01604): 0.5 is none, 1 is a loss that gives every row away. The
    teacher's AUC on the same rows is subtracted, since teachers memorise too and are none the
    worse for it; a fixed limit on the AUC or on the gap would flag nearly every healthy student.

    Beside it stands the fall of the agreement with the teacher from train to held-out rows: a
    student that imitates only where it was trained.

    Under a preprocessing mismatch the AUC is high without any memorising. Where the mirror test
    has found one, the held-out rows are therefore read through the train pipeline.
    """

    name: ClassVar[str] = "memorisation"
    order: ClassVar[int] = 80

    auc_limit: float = 0.1
    """Difference of AUC, student − teacher, above which a student memorises more than its
    teacher (pilot on digits: healthy 0.00, overfitted 0.36 and 0.21; to be calibrated)."""
    agreement_limit: float = 0.05
    """Fall of the share of rows on which student and teacher agree, train − held-out."""
    clear: float = 3.0
    """Log-odds where the whole interval is above the limit."""
    weak: float = 1.5
    """Log-odds where the interval is above 0 and its value above half the limit."""
    against: float = -1.5
    """Log-odds where the whole interval is below the limit: a gap with which no row can be told
    from another is one of sureness rather than of memory."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Compare the losses of both models on train and held-out rows."""
        auc, drop = self._auc(seen), self._drop(seen)
        evidence = (
            self._evidence(
                auc, self.auc_limit, "AUC",
                "Telling train rows from held-out rows by the student's loss works with an AUC "
                f"{abs(auc.value):.2f} {_than(auc.value)} by the teacher's",
            ),
            self._evidence(
                drop, self.agreement_limit, "share",
                f"The share of rows on which student and teacher agree {_falls(drop.value)} by "
                f"{abs(drop.value):.1%} from train to held-out rows",
            ),
        )  # fmt: skip
        strength = self._strength(auc, self.auc_limit)
        if strength >= 0:  # where the losses speak against it, the agreement fell for other reasons
            strength = max(strength, self._strength(drop, self.agreement_limit) - 0.5)
        claim = Claim(
            Cause.OVERFITTING, strength, "memorisation", evidence, side=Side.EXCESS_GAP,
            consequence_of=Cause.LOSS_IMBALANCE,
            valid_unless=frozenset({Cause.DISTRIBUTION_SHIFT}),
        )  # fmt: skip
        return Finding(self.name, (claim,))

    def _auc(self, seen: Observations) -> Interval:
        keep = accepted_train_rows(seen)
        mask, groups = _rows_of_gap(seen)
        return auc_difference(
            seen.current(Model.STUDENT, Split.TRAIN).loss[keep],
            seen.current(Model.STUDENT, Split.HELDOUT).loss[mask],
            seen.current(Model.TEACHER, Split.TRAIN).loss[keep],
            seen.current(Model.TEACHER, Split.HELDOUT).loss[mask],
            seen.rng(self.name),
            groups=groups,
        )

    def _drop(self, seen: Observations) -> Interval:
        train, heldout = (
            seen.current(Model.STUDENT, split).logits.argmax(axis=1)
            == seen.current(Model.TEACHER, split).logits.argmax(axis=1)
            for split in (Split.TRAIN, Split.HELDOUT)
        )
        mask, groups = _rows_of_gap(seen)
        return agreement_drop(
            train, heldout[mask], seen.rng(f"{self.name} agreement"), groups=groups
        )

    def _strength(self, found: Interval, limit: float) -> float:
        if found.low > limit:
            return self.clear
        if found.low > 0 and found.value > limit / 2:
            return self.weak
        return self.against if found.high < limit else 0.0

    def _evidence(self, found: Interval, limit: float, unit: str, statement: str) -> Evidence:
        speaks: Literal["for", "against"] = (
            "for" if found.low > 0 and found.value > limit / 2 else "against"
        )
        tail = f" ({found.low:.2g} to {found.high:.2g})."
        return Evidence(self.name, statement + tail, found.value, limit, unit, speaks)


def _rows_of_gap(seen: Observations) -> tuple[NDArray[np.bool_], NDArray[np.object_] | None]:
    held = seen.rows(Split.HELDOUT)
    return held.in_gap, None if held.groups is None else held.groups[held.in_gap]


def _than(difference: float) -> str:
    return "higher than" if difference >= 0 else "lower than"


def _falls(drop: float) -> str:
    return "falls" if drop >= 0 else "rises"
