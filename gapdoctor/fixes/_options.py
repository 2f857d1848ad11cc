"""What is asked of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    length: int | None = None
    """Epochs of the control, where one was trained already; None: as the budget has it."""
    pace: Pace = field(default_factory=Pace)
    """Measured where there is something to train."""

    @property
    def measured(self) -> bool:
        """Whether seconds are known; a budget says nothing without."""
        return self.pace.step > 0
