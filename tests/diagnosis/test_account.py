"""The account adds up, to the last bit of what was returned."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from gapdoctor.diagnosis.account import Account, Ledger, draw_up
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Interval, Returned, Side

Make = Callable[..., Claim]
D, E = Side.FIT_DEFICIT, Side.EXCESS_GAP


def close(interval: Interval, value: float, width: float = 1e-9) -> bool:
    near = abs(interval.value - value) < 1e-9
    return near and interval.high - interval.low < width


def drawn(ledger: Ledger, *claims: Claim, taken: tuple[Side, ...] = ()) -> Account:
    return draw_up(ledger, claims, frozenset(taken), np.random.default_rng(0))


def test_without_claims_the_excess_is_unexplained(ledger: Callable[..., Ledger]) -> None:
    account = drawn(ledger(0.4, 0.1))
    assert close(account.excess, 0.4)
    assert close(account.left[D], 0.1)
    assert close(account.left[E], 0.3)
    assert close(account.unexplained, 0.4)
    assert account.explained == account.shared == account.alone == {}


def test_what_is_returned_is_explained_and_what_the_teacher_gets_is_shared(
    claim: Make, ledger: Callable[..., Ledger]
) -> None:
    account = drawn(
        ledger(0.4, 0.1),
        claim(Cause.PREPROCESSING_MISMATCH, 6, returned=0.3, to_teacher=0.05),
        claim(Cause.OPTIMIZATION, 2, returned=0.02),
    )
    assert close(account.explained[Cause.PREPROCESSING_MISMATCH], 0.3)
    assert close(account.shared[Cause.PREPROCESSING_MISMATCH], 0.05)
    assert close(account.alone[Cause.PREPROCESSING_MISMATCH], 0.25)
    assert close(account.explained[Cause.OPTIMIZATION], 0.02)
    assert close(account.left[D], 0.1)
    assert close(account.left[E], 0.4 - 0.25 - 0.02 - 0.1)
    assert close(account.unexplained, 0.4 - 0.27)


def test_interventions_of_one_cause_add_up_and_are_not_clipped(
    claim: Make, ledger: Callable[..., Ledger]
) -> None:
    cause = Cause.PREPROCESSING_MISMATCH
    account = drawn(ledger(0.1), claim(cause, 6, returned=0.3), claim(cause, 1, returned=-0.05))
    assert close(account.explained[cause], 0.25)
    assert close(account.unexplained, -0.15)


@pytest.mark.parametrize("taken", [c for k in range(3) for c in combinations((D, E), k)], ids=str)
@pytest.mark.parametrize("split", ["heldout", "train"])
def test_excess_is_what_was_returned_and_taken_and_what_remains(
    claim: Make, ledger: Callable[..., Ledger], taken: tuple[Side, ...], split: str
) -> None:
    claims = (
        claim(Cause.PREPROCESSING_MISMATCH, 6, returned=0.31, to_teacher=0.07, split=split),
        claim(Cause.LOSS_IMBALANCE, 2, returned=-0.02),
    )
    account = drawn(ledger(0.9, 0.25, noise=0.4), *claims, taken=taken)
    total = sum(i.value for i in account.alone.values())
    total += sum(account.left[side].value for side in taken)
    assert account.excess.value == pytest.approx(total + account.unexplained.value, abs=1e-12)


def test_intervals_of_sums_know_that_the_rows_are_the_same(
    ledger: Callable[..., Ledger], evidence: object
) -> None:
    """Where an intervention returns the whole of a noisy excess, nothing noisy remains."""
    rows = ledger(0.5, noise=1.0)
    returned = Returned(rows.student - rows.teacher, np.zeros(200))
    whole = Claim(Cause.PREPROCESSING_MISMATCH, 6, "t", (), returned=returned)
    account = drawn(rows, whole)
    explained = account.explained[Cause.PREPROCESSING_MISMATCH]
    assert explained.high - explained.low > 0.2
    assert close(account.unexplained, 0.0)
    assert explained == account.excess


def test_rows_of_the_train_split_are_resampled_apart(ledger: Callable[..., Ledger]) -> None:
    """The same noise on train rows does not cancel the noise of the held-out rows."""
    rows = ledger(0.5, noise=1.0)
    returned = Returned(rows.student - rows.teacher, np.zeros(200), "train")
    account = drawn(rows, Claim(Cause.PREPROCESSING_MISMATCH, 6, "t", (), returned=returned))
    assert account.unexplained.value == pytest.approx(0, abs=1e-12)
    assert account.unexplained.high - account.unexplained.low > 0.3


def test_a_train_side_return_may_have_another_number_of_rows(
    ledger: Callable[..., Ledger],
) -> None:
    returned = Returned(np.full(37, 0.2), np.zeros(37), "train")
    account = drawn(ledger(0.5), Claim(Cause.PREPROCESSING_MISMATCH, 6, "t", (), returned=returned))
    assert close(account.unexplained, 0.3)


def test_groups_widen_the_intervals(ledger: Callable[..., Ledger]) -> None:
    groups = np.repeat(np.arange(20), 10).astype(object)
    student = 0.5 + np.repeat(np.random.default_rng(1).normal(size=20), 10)
    plain = Ledger(student, np.zeros(200), np.zeros(200))
    grouped = Ledger(student, np.zeros(200), np.zeros(200), groups)
    widths = [a.excess.high - a.excess.low for a in (drawn(plain), drawn(grouped))]
    assert widths[1] > 2 * widths[0]


def test_a_single_row_has_no_interval() -> None:
    one = Ledger(np.array([1.0]), np.array([0.5]), np.zeros(3))
    account = drawn(one)
    assert account.excess == Interval(0.5, -np.inf, np.inf)
