"""Observations of a case, and what a probe says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gapdoctor import Case
from gapdoctor.domain.findings import Claim, Finding
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.pipeline import look
from gapdoctor.probes._base import Probe


@pytest.fixture
def looked() -> Callable[..., Observations]:
    """Look at a case with small batches."""

    def run(case: Case, **more: Any) -> Observations:
        return look(case, Settings(**{"batch_size": 64, **more}), Progress())

    return run


@pytest.fixture
def claims_of(looked: Callable[..., Observations]) -> Callable[..., tuple[Claim, ...]]:
    """Ask one probe about a case; its claims."""

    def run(probe: Probe, case: Case) -> tuple[Claim, ...]:
        found = probe.examine(looked(case))
        assert isinstance(found, Finding)
        return found.claims

    return run
