"""Recalibrate BatchNorm: running statistics estimated afresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, Free, NotApplicable, Patient


@dataclass(frozen=True)
class RecalibrateBatchnorm(Fix):
    """Estimate the student's BatchNorm statistics afresh on train rows; nothing is trained.

    The plain mean over a thousand rows is better than the running one (Wu & Johnson 2021 take 10³
    to 10⁴).

    When it helps
    -------------
    Where running statistics lag behind the weights: a tiny momentum, very small batches, weights
    copied without their buffers. They spoil eval mode alone. What fresh statistics give back the
    diagnosis has measured already, on rows that chose nothing.

    When it does not
    ----------------
    It mends the statistics alone: weights that were badly trained stay so, and what is left is for
    the fixes that train.

    It is not tried where the student holds no BatchNorm statistics, and where they are not stale.

    Sources
    -------
    - Wu & Johnson 2021, "Rethinking 'batch' in BatchNorm", arXiv 2105.07576.
    """

    name: ClassVar[str] = "recalibrate_batchnorm"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OPTIMIZATION,)

    share: float = 0.95
    """Share of what fresh statistics returned in the diagnosis that is expected back: it was
    measured on half B."""
    rows: int = 1_000
    """Train rows that the statistics are taken from, as in the diagnosis."""

    def propose(self, patient: Patient) -> Free | NotApplicable:
        """Only where the diagnosis has shown that fresh statistics bring loss back."""
        if not patient.has_batchnorm:
            return NotApplicable("the student holds no BatchNorm statistics")
        if not patient.says(Cause.OPTIMIZATION, "batchnorm"):
            return NotApplicable("the BatchNorm statistics are not stale")
        return Free(
            "batchnorm", str(self.rows),
            f"The BatchNorm statistics are estimated afresh on {self.rows} train rows.",
            self.share,
        )  # fmt: skip
