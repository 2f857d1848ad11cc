import numpy as np
import pytest

from gapdoctor.errors import DataError
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.verify import Arm, HeldoutRows, arm_record, given_record
from tests.verify.conftest import logits_of, rows_of


def test_each_seed_is_scored_on_both_halves_at_its_own_temperature(make_arm, rows) -> None:
    arm = make_arm("x", seeds=(4, 1), quality=(2.0, 1.0), scale=3.0)
    logits = logits_of(rows, 1.0, 1, 3.0)
    a, b = rows.choosing, rows.reporting
    tau = fit_temperature(logits[a], rows.labels[a])

    assert arm.seeds == (1, 4)
    assert arm.temperatures[0] == pytest.approx(tau)
    np.testing.assert_allclose(arm.b.loss[0], cross_entropy(logits[b] / tau, rows.labels[b]))
    np.testing.assert_allclose(arm.b.before[0], cross_entropy(logits[b], rows.labels[b]))
    np.testing.assert_allclose(arm.a.loss[0], cross_entropy(logits[a] / tau, rows.labels[a]))
    assert arm.b.correct[0].mean() == (logits[b].argmax(axis=1) == rows.labels[b]).mean()


def test_no_arm_wins_by_the_scale_of_its_logits(make_arm) -> None:
    one, scaled = make_arm("one"), make_arm("scaled", scale=5.0)

    np.testing.assert_allclose(one.b.loss, scaled.b.loss, rtol=1e-4)
    assert scaled.b.before.mean() > one.b.before.mean() + 0.2


def test_without_temperature_no_arm_has_one(make_arm) -> None:
    arm = make_arm("x", scale=5.0, with_temperature=False)

    assert arm.temperatures == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(arm.b.loss, arm.b.before)


def test_as_trained_again(make_arm) -> None:
    arm = make_arm("x", scale=5.0)
    plain = arm.without_temperature()

    assert plain.temperatures == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(plain.b.loss, arm.b.before)
    np.testing.assert_array_equal(plain.a.loss, arm.a.before)


def test_a_student_that_is_right_on_all_of_half_a_keeps_its_scale(make_arm, rows) -> None:
    """Its loss on A falls for ever as the temperature shrinks; one row of B would pay for it."""
    logits = 8.0 * np.eye(4, dtype=np.float32)[rows.labels]
    wrong = np.flatnonzero(rows.reporting)[0]
    logits[wrong] = np.roll(logits[wrong], 1)
    arm = Arm.of("x", "scratch", {0: logits}, rows)

    assert arm.temperatures == (1.0,)
    assert arm.b.loss.max() < 9


def test_a_temperature_that_rests_on_one_row_is_not_taken(rows) -> None:
    logits = 4.0 * np.eye(4, dtype=np.float32)[rows.labels]
    wrong = np.flatnonzero(rows.choosing)[0]
    logits[wrong] = np.roll(logits[wrong], 1)
    a = rows.choosing

    assert fit_temperature(logits[a], rows.labels[a]) < 0.7
    assert Arm.of("x", "scratch", {0: logits}, rows).temperatures == (1.0,)


def test_a_row_without_an_answer_is_wrong_at_the_loss_of_a_guess(rows) -> None:
    logits = logits_of(rows, 9.0, 0)
    b = np.flatnonzero(rows.reporting)[:2]
    logits[b[0], 0] = np.nan
    logits[b[1], 2] = np.inf
    arm = Arm.of("x", "scratch", {0: logits}, rows, with_temperature=False)

    np.testing.assert_allclose(arm.b.loss[0, :2], np.log(4))
    assert not arm.b.correct[0, :2].any()


def test_the_best_seed_is_that_of_half_a(make_arm) -> None:
    arm = make_arm("x", quality=(1.0, 3.0, 2.0), seeds=(5, 7, 9))

    assert arm.best_seed == 7
    assert arm.temperature(7) == arm.temperatures[1]
    assert arm.only([7]).loss_on_a == pytest.approx(arm.a.loss[1].mean())
    assert arm.only([9, 5]).seeds == (9, 5)
    np.testing.assert_array_equal(arm.only([9, 5]).b.loss, arm.b.loss[[2, 0]])


def test_records_average_seeds_row_by_row(make_arm, rng) -> None:
    arm = make_arm("control", start="checkpoint", scale=2.0)
    record, given = arm_record(arm, rng), given_record(arm.only([0]), rng)

    assert (record.start, record.seeds) == ("checkpoint", 3)
    assert record.heldout_loss.value == pytest.approx(arm.b.loss.mean())
    assert record.loss_before_temperature.value == pytest.approx(arm.b.before.mean())
    assert record.heldout_accuracy.value == pytest.approx(arm.b.correct.mean())
    assert given.heldout_loss.low < arm.b.loss[0].mean() < given.heldout_loss.high


def test_whole_groups_are_resampled(make_arm, rng) -> None:
    wide = arm_record(make_arm("x", over=rows_of(800, groups=8)), rng).heldout_loss
    over = rows_of(800, groups=8)
    alone = HeldoutRows(over.labels, over.choosing)
    narrow = arm_record(make_arm("x", over=alone), rng).heldout_loss

    assert wide.value == narrow.value
    assert (wide.low, wide.high) != (narrow.low, narrow.high)


@pytest.mark.parametrize(("choosing", "half"), [(True, "B"), (False, "A")])
def test_an_empty_half_is_told(choosing: bool, half: str) -> None:
    with pytest.raises(DataError, match=f"none of its 3 rows is in half {half}") as caught:
        HeldoutRows(np.zeros(3, dtype=np.int64), np.full(3, choosing))
    assert caught.value.hint


def test_no_seed_and_other_rows_are_bugs(rows) -> None:
    with pytest.raises(ValueError, match="x: no seed"):
        Arm.of("x", "scratch", {}, rows)
    with pytest.raises(ValueError, match=r"x: logits \(3, 4\) of 800 rows"):
        Arm.of("x", "scratch", {0: np.zeros((3, 4))}, rows)
