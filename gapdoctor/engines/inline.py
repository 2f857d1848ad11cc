"""Trials in the caller's process, one after another: for live objects."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.engines._base import Conditions, Engine, Watcher
from gapdoctor.engines._told import run_told
from gapdoctor.observe.case import Case


class Inline(Engine):
    """Trains in the caller's process.

    Parameters
    ----------
    case : Case
        Live objects; they are left as they were.
    """

    def __init__(self, case: Case) -> None:
        self._case = case

    def run(
        self, specs: Sequence[TrialSpec], conditions: Conditions, watcher: Watcher
    ) -> list[TrialRecord]:
        """See `Engine.run`."""
        materials = conditions.applied.materials(self._case, conditions.settings)

        def late() -> bool:
            return conditions.deadline is not None and time.monotonic() > conditions.deadline

        return [run_told(spec, materials, conditions.folder, late, watcher) for spec in specs]
