"""Claims, gaps and ledgers whose numbers are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gapdoctor.diagnosis.account import Ledger
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Gap
from gapdoctor.domain.findings import Claim, Evidence, Finding, Interval, Returned

N = 200
"""Rows of half B, and of the train split."""


@pytest.fixture
def evidence() -> Evidence:
    """One fact."""
    return Evidence("probe", "Something was measured.", 1.0, 0.5, "nats", "for")


@pytest.fixture
def claim(evidence: Evidence) -> Callable[..., Claim]:
    """Make a claim; `returned` and `to_teacher` are nats on every row."""

    def make(
        cause: Cause,
        strength: float,
        topic: str = "topic",
        returned: float | None = None,
        to_teacher: float = 0.0,
        split: str = "heldout",
        **more: Any,
    ) -> Claim:
        back = None
        if returned is not None:
            back = Returned(np.full(N, returned), np.full(N, to_teacher), split)  # type: ignore[arg-type]
        return Claim(cause, strength, topic, (evidence,), returned=back, **more)

    return make


@pytest.fixture
def ledger() -> Callable[..., Ledger]:
    """Losses on half B and the train difference, with a little seeded noise around their means."""

    def make(excess: float, deficit: float = 0.0, noise: float = 0.0, **more: Any) -> Ledger:
        rng = np.random.default_rng(0)
        noises = rng.normal(size=(2, N)) * noise
        noises -= noises.mean(axis=1, keepdims=True)
        return Ledger(0.3 + excess + noises[0], np.full(N, 0.3), deficit + noises[1], **more)

    return make


@pytest.fixture
def gap() -> Callable[..., Gap]:
    """Make a gap of an excess and a fit deficit, `wide` nats to either side."""

    def make(excess: float, deficit: float = 0.0, wide: float = 0.01, limit: float = 0.05) -> Gap:
        def interval(value: float) -> Interval:
            return Interval(value, value - wide, value + wide)

        return Gap(
            interval(excess), interval(deficit), interval(excess - deficit),
            interval(0.1), interval(0.1), wide, limit,
        )  # fmt: skip

    return make


@pytest.fixture
def finding() -> Callable[..., Finding]:
    """Make a finding of claims."""
    return lambda *claims: Finding("probe", tuple(claims))
