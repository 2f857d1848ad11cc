"""What is asked of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from gapdoctor.domain.trials import Start
from gapdoctor.fixes._costs import Pace


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is asked of a plan."""

    hash: str = ""
    """Of the pair, the data, the config and these options; written into the plan."""
    seed: int = 0
    budget: float | None = None
    """Seconds; None: no limit."""
    only: tuple[str, ...] = ()
    """Fix ids: nothing else is tried, and these whatever was found."""
    skip: tuple[str, ...] = ()
    seeds: int = 3
    start: Start | None = None
    """None: from scratch where budget and factory allow it."""
    start_reason: str = ""
    """Why `start` is given, where nobody typed it."""
    seconds_per_step: float = 0.0
    """Measured; of one optimizer step of the student, the teacher's outputs at hand."""
    seconds_per_view: float = 0.0
    """Measured; more, where the teacher is asked about new views at each step."""
    seconds_per_trial: float = 0.0
    """Measured; of each trial, whatever its length."""

    @property
    def pace(self) -> Pace:
        """The measured seconds; steps count one where nothing was measured."""
        return Pace(self.seconds_per_step or 1.0, self.seconds_per_view, self.seconds_per_trial)

    @property
    def measured(self) -> bool:
        """Whether seconds are known; a budget says nothing without."""
        return self.seconds_per_step > 0
