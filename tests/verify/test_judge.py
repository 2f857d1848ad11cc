from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from gapdoctor.domain.trials import Change, PlannedFix
from gapdoctor.verify import best_first, judge, untested
from tests.verify.conftest import rows_of


def test_a_fix_that_helps_in_every_seed_is_verified(make_comparison, rng) -> None:
    comparison = make_comparison("a", 3.0)
    found = judge([comparison], rng)
    record = found.records[0]

    assert (record.status, record.verified, record.reason) == ("verified", True, "")
    assert record.difference.value == pytest.approx(comparison.on_b().rows.mean())
    assert record.difference.high < 0
    assert record.heldout_loss.value == pytest.approx(comparison.fix.b.loss.mean())
    assert record.accuracy_difference.value > 0
    assert (record.seeds, record.same_sign, record.p_value) == (3, True, None)
    assert found.verified == ("a",)
    assert found.needed == ()
    assert found.notes[-1].startswith("With fewer than 6 seeds")


def test_a_fix_that_does_nothing_is_not(make_comparison, make_arm, rng) -> None:
    comparison = make_comparison("a", (2.02, 1.98, 2.01), control=make_arm("control"))
    record = judge([comparison], rng).records[0]

    assert record.status == "not_verified"
    assert record.reason


def test_two_seeds_are_promising_and_say_what_they_need(make_comparison, rng) -> None:
    found = judge([make_comparison("a", 3.0, seeds=(0, 1))], rng)
    record = found.records[0]

    assert (record.status, record.verified) == ("promising", False)
    assert record.reason == "better in 2 seeds; 3 are needed to verify it"
    assert found.needed == ("a: --seeds 3",)


def test_a_seed_that_says_otherwise_keeps_it_back(make_comparison, make_arm, rng) -> None:
    control = make_arm("control", 2.0)
    record = judge([make_comparison("a", (4.0, 4.0, 1.9), control=control)], rng).records[0]

    assert record.difference.high < 0
    assert record.same_sign is False
    assert (record.status, record.reason) == ("not_verified", "it is no better in 1 of 3 seeds")


def test_what_may_be_chance_tells_how_many_rows_it_would_take(
    make_comparison, make_arm, rng
) -> None:
    over = rows_of(60)
    control = make_arm("control", 2.0, over=over)
    comparison = make_comparison("a", 2.0, control=control, over=over)
    # Better by 0.05 on average, scattered by 1 nat.
    comparison.fix.b.loss[:] = control.b.loss + np.tile([0.95, -1.05], 15)
    found = judge([comparison], rng)

    assert found.records[0].reason.startswith("the difference may be chance: -0.05 nats, between")
    assert found.needed[0].startswith("a: about ")
    assert "instead of 30, to show -0.05 nats at a power of 80 %" in found.needed[0]
    rows = int(found.needed[0].split()[2].replace(",", ""))
    error = 1.0171 / np.sqrt(30)
    assert found.minimum_detectable_effect == pytest.approx(
        (found.critical + 0.8416) * error, rel=1e-3
    )
    assert rows == pytest.approx(30 * (found.minimum_detectable_effect / 0.05) ** 2, abs=1)


def test_a_fix_that_is_worse_says_so(make_comparison, rng) -> None:
    found = judge([make_comparison("a", 1.0)], rng)

    assert found.records[0].reason.startswith("it loses ")
    assert found.records[0].reason.count(";") == 1  # accuracy falls too
    assert found.needed == ()


def losing_rows(comparison, lost: int) -> None:
    """Let the fix be right where its control is, but for some rows."""
    control, fix = comparison.control.b.correct, comparison.fix.b.correct
    fix[:] = control
    fix[:, np.flatnonzero(control.all(axis=0))[:lost]] = False


def test_accuracy_may_not_fall_by_more_than_a_point(make_comparison, rng) -> None:
    comparison = make_comparison("a", 3.0)
    losing_rows(comparison, 8)  # of 400
    record = judge([comparison], rng).records[0]

    assert record.difference.high < 0
    assert record.reason == "accuracy falls by 2 points, more than 1"
    assert (record.status, record.verified) == ("not_verified", False)


def test_accuracy_may_waver(make_comparison, rng) -> None:
    comparison = make_comparison("a", 3.0)
    losing_rows(comparison, 2)
    record = judge([comparison], rng).records[0]

    assert record.accuracy_difference.value == pytest.approx(-0.005)
    assert record.accuracy_difference.high > 0
    assert record.verified


def test_a_fall_within_a_point_that_is_sure_counts(make_comparison, rng) -> None:
    comparison = make_comparison("a", 3.0, over=rows_of(8000))
    losing_rows(comparison, 30)  # 0.75 points, all one way
    record = judge([comparison], rng).records[0]

    assert record.accuracy_difference.value == pytest.approx(-0.0075)
    assert record.accuracy_difference.high < 0
    assert record.reason.startswith("accuracy falls, by 0.")
    assert record.status == "not_verified"


def test_a_fix_that_trains_nothing_needs_no_seeds(make_comparison, rng) -> None:
    record = judge([make_comparison("match_preprocessing", 3.0, free=True)], rng).records[0]

    assert (record.status, record.verified) == ("verified", True)
    assert (record.seeds, record.same_sign, record.p_value) == (0, None, None)
    assert record.start == "checkpoint"


def test_temperature_is_compared_with_the_student_as_it_stands(make_comparison, make_arm, rng):
    given = make_arm("given", 2.0, seeds=(0,), start="checkpoint", scale=5.0)
    comparison = make_comparison(
        "scale_temperature", 2.0, free=True, scale=5.0, control=given.without_temperature()
    )
    record = judge([comparison], rng).records[0]

    assert record.verified
    assert record.difference.value == pytest.approx(
        record.heldout_loss.value - record.loss_before_temperature.value
    )
    assert (record.accuracy_difference.low, record.accuracy_difference.high) == (0.0, 0.0)


def test_six_seeds_have_a_p_value(make_comparison, rng) -> None:
    found = judge([make_comparison("a", 3.0, seeds=range(6))], rng)

    assert found.records[0].p_value < 0.05
    assert found.notes == ()


def test_more_fixes_widen_the_intervals_of_all(make_comparison) -> None:
    fixes = [make_comparison(f"f{i}", 2.1, seeds=range(9 * i, 9 * i + 3)) for i in range(6)]
    alone = judge(fixes[:1], np.random.default_rng(1))
    together = judge(fixes, np.random.default_rng(1))

    assert together.critical > alone.critical + 0.2
    assert together.records[0].difference.high > alone.records[0].difference.high
    assert together.notes[0] == "The intervals of 6 fixes hold together at 95 %."


def test_only_finalists_are_judged(make_comparison, rng) -> None:
    fixes = [make_comparison("a", 3.0), make_comparison("b", 2.5), make_comparison("c", 1.5)]
    found = judge(fixes, rng, finalists=("a",))

    assert [r.difference is None for r in found.records] == [False, True, True]
    assert found.records[1].heldout_loss is not None
    assert found.records[1].reason.startswith("others did better on half A (-0.")
    assert found.records[2].reason.startswith("not better than its control on half A (+0.")
    assert {r.status for r in found.records[1:]} == {"not_verified"}


def test_no_seed_in_common(make_comparison, make_arm, rng) -> None:
    comparison = make_comparison("a", 3.0, seeds=(5,), control=make_arm("control", seeds=(0,)))
    found = judge([comparison], rng)

    assert found.records[0].reason == "no seed was finished by both it and its control"
    assert isnan(found.minimum_detectable_effect)
    assert isnan(found.critical)


def test_seeds_are_paired(make_comparison, make_arm, rng) -> None:
    """A control that lost a seed is compared over those that are left."""
    control = make_arm("control", (2.0, 2.0, 2.0), seeds=(0, 2, 3))
    comparison = make_comparison("a", (3.0, 3.0, 3.0, 3.0), seeds=(0, 1, 2, 3), control=control)
    record = judge([comparison], rng).records[0]

    assert comparison.seeds == (0, 2, 3)
    assert (record.seeds, record.status) == (3, "verified")


def test_too_few_groups_verify_nothing(make_comparison, rng) -> None:
    over = rows_of(400, groups=8)  # four in each half
    found = judge([make_comparison("a", 4.0, over=over)], rng)

    assert found.records[0].status == "not_verified"
    assert found.records[0].reason.startswith("half B has 4 rows or groups, too few to tell")
    assert found.needed == ("a: more rows (or groups) in half B",)


def test_the_same_rows_and_seed_give_the_same_records(make_comparison) -> None:
    fixes = [make_comparison("a", 3.0), make_comparison("b", 2.2)]
    first, second = (judge(fixes, np.random.default_rng(4)) for _ in range(2))

    assert first.records == second.records


def test_nothing_to_judge(rng) -> None:
    found = judge([], rng)

    assert found.records == found.needed == found.notes == ()


def test_the_best_stand_first_and_those_not_tried_last(make_comparison, rng) -> None:
    change = Change("recipe.dropout", 0.0, 0.2)
    plan = PlannedFix("x", (), "", changes=(change,), start="scratch")
    absent = untested(plan, "checkpoint", "not_applicable", "no factory")
    late = untested(replace(plan, id="y", start=None), "checkpoint", "not_reached", "budget")
    judged = judge(
        [make_comparison(n, q) for n, q in (("a", 2.0), ("b", 2.6), ("c", 3.0))], rng
    ).records

    assert [r.id for r in best_first([absent, late, *judged])] == ["c", "b", "a", "y", "x"]
    assert (absent.start, absent.changes, absent.reason) == ("scratch", (change,), "no factory")
    assert late.start == "checkpoint"
