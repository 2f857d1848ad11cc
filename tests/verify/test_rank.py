import numpy as np
import pytest

from gapdoctor.verify import control_near_given, difference_interval, rank


def test_the_order_is_that_of_half_a(make_comparison, make_arm) -> None:
    control = make_arm("control")
    fixes = [make_comparison(n, q, control=control)
             for n, q in (("a", 2.2), ("b", 3.0), ("c", 1.5), ("d", 2.6))]  # fmt: skip
    found = rank(fixes)

    assert [one.name for one in found.order] == ["b", "d", "a", "c"]
    assert found.finalists == ("b", "d", "a")
    assert found.to_combine == ("b", "d", "a")
    assert found.order[0].difference == pytest.approx(fixes[1].on_a().rows.mean())
    assert found.order[0].loss == pytest.approx(fixes[1].fix.loss_on_a)


def test_half_b_plays_no_part(make_comparison, make_arm, rows) -> None:
    fixes = [make_comparison("a", 2.5), make_comparison("b", 3.0)]
    before = rank(fixes)
    for c in fixes:
        c.fix.b.loss[:] = np.random.default_rng(0).normal(size=c.fix.b.loss.shape)

    assert rank(fixes) == before


def test_no_more_finalists_than_asked_for(make_comparison) -> None:
    fixes = [make_comparison(f"f{i}", 2.5 + i / 10) for i in range(8)]

    assert rank(fixes, finalists=2).finalists == ("f7", "f6")
    assert len(rank(fixes).finalists) == 6


def test_a_lost_seed_does_not_move_a_fix(make_comparison, make_arm) -> None:
    # Seed 0 is the hardest: a fix that lost it would seem better than it is.
    control = make_arm("control", quality=(1.0, 2.0, 3.0))
    whole = make_comparison("whole", (1.3, 2.3, 3.3), control=control)
    lost = make_comparison("lost", (2.1, 3.1), control=control, seeds=(1, 2))
    found = rank([lost, whole])

    assert lost.fix.loss_on_a < whole.fix.loss_on_a
    assert [one.name for one in found.order] == ["whole", "lost"]
    assert found.order[1].seeds == 2


def test_only_single_fixes_of_one_start_are_combined(make_comparison) -> None:
    fixes = [
        make_comparison("a+b", 4.0),
        make_comparison("increase_capacity", 2.2),
        make_comparison("c", 3.0, start="checkpoint"),
        make_comparison("d", 2.5, start="checkpoint"),
    ]
    found = rank(fixes)

    assert found.finalists == ("a+b", "c", "d", "increase_capacity")
    assert found.to_combine == ("c", "d")


def test_a_fix_without_a_seed_of_its_control_is_left_out(make_comparison, make_arm) -> None:
    control = make_arm("control", seeds=(3,))

    assert rank([make_comparison("a", 3.0, control=control, seeds=(0, 1))]).order == ()
    assert rank([]).to_combine == ()


def test_an_arm_is_compared_with_the_control_of_its_start_only(make_comparison, make_arm) -> None:
    with pytest.raises(ValueError, match="a: starts from checkpoint, its control scratch"):
        make_comparison("a", 3.0, start="checkpoint", control=make_arm("control"))


def test_what_stands_in_no_ranking_has_its_own_interval(make_arm, rng) -> None:
    without, control = make_arm("without_teacher", 1.5, seeds=(0, 1)), make_arm("control", 2.0)
    found = difference_interval(without, control, rng)

    assert found.value == pytest.approx(without.b.loss.mean() - control.b.loss[:2].mean())
    assert 0 < found.low < found.value < found.high


# -- from scratch, or from the checkpoint ------------------------------------------------------


def test_a_control_near_the_given_student_says_nothing(make_arm) -> None:
    found = control_near_given(make_arm("control", 2.0), make_arm("given", 2.02, seeds=(0,)), 0.05)

    assert found.near
    assert found.statement == ""


def test_a_control_behind_the_given_student_moves_the_start(make_arm) -> None:
    control, given = make_arm("control", 1.0, seeds=(0,)), make_arm("given", 3.0, seeds=(0,))
    found = control_near_given(control, given, 0.05)

    assert not found.near
    assert found.behind == pytest.approx(control.loss_on_a - given.loss_on_a)
    assert found.statement.startswith("Trained from scratch with the recipe")
    assert "the recipe is not the one" in found.statement
    assert found.statement.endswith("weights that it does not name.")


def test_a_control_that_undoes_the_checkpoint(make_arm) -> None:
    control = make_arm("control", 1.0, start="checkpoint")
    found = control_near_given(control, make_arm("given", 3.0, seeds=(0,)), 0.05)

    assert not found.near
    assert found.statement.endswith("it undoes what the student had learned.")


def test_a_control_that_is_much_better_moves_nothing(make_arm) -> None:
    found = control_near_given(make_arm("control", 3.0), make_arm("given", 1.0, seeds=(0,)), 0.05)

    assert found.near
    assert "was not trained by this recipe alone, or was stopped early" in found.statement
    assert "nats less on half A" in found.statement
