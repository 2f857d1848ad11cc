"""The student before its training: the same architecture with fresh random weights."""

from __future__ import annotations

import copy

from torch import nn

from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.observations import Observations


def untrained(seen: Observations) -> nn.Module | None:
    """Return the student's architecture with fresh random weights, or None where it has no way.

    The factory where there is one; else a copy whose every module with weights can reset them.
    Where nothing can be reset the weights are hidden (packed, as quantised ones are), not absent.
    """
    with own_random_state(seen.settings.seed):
        if seen.case.student_factory is not None:
            return seen.case.student_factory()
        twin = copy.deepcopy(seen.case.student)
        fresh = False
        for module in twin.modules():
            reset = getattr(module, "reset_parameters", None)
            own = list(module.parameters(recurse=False))
            if callable(reset):
                reset()
                fresh = True
            elif own:
                return None
        return twin if fresh else None
