import numpy as np
import pytest

from gapdoctor.verify import Candidate, candidates, choose, judge
from tests.verify.conftest import rows_of


@pytest.fixture
def given(make_arm):
    return make_arm("given", 1.5, seeds=(0,), start="checkpoint")


def test_the_best_of_half_a_that_beats_the_given_is_chosen(make_arm, given, rng) -> None:
    arms = [make_arm("a", 2.5), make_arm("b", 3.0), make_arm("c", 2.0)]
    found = choose([Candidate(a.name, a) for a in arms], given, rng)
    best = arms[1]

    assert (found.name, found.start, found.seed) == ("b", "scratch", best.best_seed)
    assert found.temperature == best.temperature(best.best_seed)
    assert found.improvement.value == pytest.approx(
        best.only([best.best_seed]).b.loss.mean() - given.b.loss.mean()
    )
    assert found.improvement.high < 0
    assert found.needed == ()


def test_a_better_one_that_fails_on_half_b_lets_the_next_pass(make_arm, given, rng) -> None:
    best, next_ = make_arm("a", 3.0), make_arm("b", 2.5)
    best.b.loss[:] = given.b.loss + 0.1

    assert choose([Candidate("a", best), Candidate("b", next_)], given, rng).name == "b"


def test_what_half_a_says_is_no_better_widens_no_interval(make_arm, given) -> None:
    good, worse = make_arm("a", 2.0), make_arm("control", 0.5)
    alone = choose([Candidate("a", good)], given, np.random.default_rng(0))
    beside = choose(
        [Candidate("a", good), Candidate("control", worse)], given, np.random.default_rng(0)
    )
    assert beside.improvement == alone.improvement


def test_verified_against_its_control_is_not_enough(make_comparison, make_arm, rng) -> None:
    """The control of a wrong recipe is far behind what the user has, and so is the fix."""
    control = make_arm("control", 0.5)
    comparison = make_comparison("a", 1.0, control=control)
    judged = judge([comparison], rng)
    found = choose(
        candidates([comparison], judged.verified, [control]),
        make_arm("given", 2.0, seeds=(0,), start="checkpoint"), rng,
    )  # fmt: skip

    assert judged.verified == ("a",)
    assert (found.name, found.seed, found.improvement) == (None, None, None)
    assert [n.split(":")[0] for n in found.needed] == ["a", "control"]
    assert all(n.endswith("more rows would not help") for n in found.needed)


def test_a_control_may_be_chosen(make_arm, given, rng) -> None:
    found = choose(candidates([], (), [make_arm("control", 2.5)]), given, rng)

    assert found.name == "control"


def test_a_control_does_not_come_before_a_verified_fix_of_its_start(make_arm, given, rng) -> None:
    # On half A the control's best seed is ahead by chance.
    control, fix = make_arm("control", 2.6), make_arm("a", 2.5)
    found = choose([Candidate("control", control), Candidate("a", fix)], given, rng)
    elsewhere = make_arm("control", 2.6, start="checkpoint")
    other = choose([Candidate("control", elsewhere), Candidate("a", fix)], given, rng)

    assert found.name == "a"
    assert (other.name, other.start) == ("control", "checkpoint")


def test_only_verified_fixes_that_were_trained_are_candidates(make_comparison, make_arm) -> None:
    fixes = [make_comparison("a", 3.0), make_comparison("b", 3.0),
             make_comparison("match_preprocessing", 3.0, free=True)]  # fmt: skip
    found = candidates(fixes, ("a", "match_preprocessing"), [make_arm("control")])

    assert [c.name for c in found] == ["a", "control"]


def test_what_is_free_is_held_against_the_file_as_it_stands(make_arm, rng) -> None:
    """A student whose scale alone is off: at its own temperature nothing would be gained."""
    given = make_arm("given", 2.0, seeds=(0,), start="checkpoint", scale=5.0)
    found = choose([Candidate("scale_temperature", given, free=True)], given, rng)

    assert (found.name, found.seed) == ("scale_temperature", None)
    assert found.temperature == given.temperatures[0]
    assert found.improvement.value == pytest.approx((given.b.loss - given.b.before).mean())
    assert choose([Candidate("trained", given)], given, rng).name is None


def test_training_must_beat_what_is_to_be_had_for_nothing(make_arm, given, rng) -> None:
    corrected = make_arm("given", 3.0, seeds=(0,), start="checkpoint")
    stack = Candidate("match_preprocessing", corrected, free=True)
    trained = Candidate("control", make_arm("control", 3.02))
    better = Candidate("a", make_arm("a", 4.0))

    assert choose([trained, stack], given, rng, corrected=corrected).name == "match_preprocessing"
    found = choose([trained, better, stack], given, rng, corrected=corrected)
    assert found.name == "a"
    # What is told is the improvement over what the user has, not over the corrected.
    assert found.improvement.value == pytest.approx(
        better.arm.only([found.seed]).b.loss.mean() - given.b.loss.mean()
    )


def test_what_may_be_chance_tells_how_many_rows_it_would_take(make_arm, rng) -> None:
    over = rows_of(60)
    given = make_arm("given", 2.0, seeds=(0,), start="checkpoint", over=over)
    arm = make_arm("control", 2.0, over=over, seeds=(0,))
    arm.b.loss[:] = given.b.loss + np.tile([0.95, -1.05], 15)
    found = choose([Candidate("control", arm)], given, rng)

    assert found.name is None
    assert "its student loses 0.05 nats less than the given one, which may be" in found.needed[0]
    assert "instead of 30, would show it" in found.needed[0]


def test_too_few_groups_choose_nothing(make_arm, rng) -> None:
    over = rows_of(400, groups=8)
    given = make_arm("given", 1.0, seeds=(0,), start="checkpoint", over=over)
    found = choose([Candidate("control", make_arm("control", 3.0, over=over))], given, rng)

    assert found.name is None
    assert found.needed[0].endswith("on too few rows (or groups) to tell")


def test_nothing_to_choose_from(given, rng) -> None:
    assert choose([], given, rng).name is None
