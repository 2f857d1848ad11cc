"""Recalibrate BatchNorm: running statistics estimated afresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, Free, NotApplicable, Patient


@dataclass(frozen=True)
class RecalibrateBatchnorm(Fix):
    """Estimate the student's BatchNorm statistics afresh on train rows; nothing is trained.

    Running statistics that lag behind the weights (a tiny momentum, very small batches, weights
    copied without their buffers) spoil eval mode alone. The plain mean over a thousand rows is
    better than the running one (Wu & Johnson 2021, arXiv 2105.07576, take 10³ to 10⁴).
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
