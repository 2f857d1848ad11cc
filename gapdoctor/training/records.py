"""What a training leaves behind."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from torch import nn

if TYPE_CHECKING:
    import pandas as pd

Stopped = Literal["", "diverged", "asked", "early"]
"""Why a training ended before its steps: a loss or weight that is not finite, the caller's wish,
early stopping; empty: it did not."""


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch of a training, the last one perhaps cut short."""

    epoch: int
    """From 1."""
    step: int
    """Steps taken in all, up to its end."""
    train_loss: float
    """Composite loss, mean over the rows seen, as trained on; NaN where it diverged."""
    task_loss: float
    distillation_loss: float | None
    """None without a teacher."""
    lr: float
    """Of the last step."""
    heldout_loss: float | None = None
    """Mean cross-entropy in eval mode, where held-out rows are watched."""
    heldout_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained student, and how it came about."""

    student: nn.Module
    """In eval mode, on the device that it came from."""
    history: tuple[EpochRow, ...]
    steps: int
    stopped: Stopped
    seconds: float
    assumed: tuple[str, ...]
    """Fields of the recipe that nobody gave."""
    part_rows: int
    """Rows that went through the student at once; fewer than a batch where memory ran out."""
    samples: int = 0
    """Rows sent through the student and, where it was asked for it, the teacher."""

    @property
    def diverged(self) -> bool:
        """Whether a loss or a weight became NaN or infinite."""
        return self.stopped == "diverged"

    def frame(self) -> pd.DataFrame:
        """Return the history as a DataFrame, a row an epoch."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.history])
