import numpy as np
import pytest

from gapdoctor.stats.intervals import wilson
from gapdoctor.stats.split import exact_split, limit_h


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(seed: int, n: int = 600) -> dict[str, np.ndarray]:
    """Rows share their hardness; student: +0.2 on train, +0.5 on held-out."""
    r = rng(seed)
    hard_train, hard_heldout = r.exponential(size=n), r.exponential(size=n)
    return {
        "train_student": hard_train + 0.2 + r.normal(0, 0.3, n),
        "train_teacher": hard_train,
        "heldout_student": hard_heldout + 0.5 + r.normal(0, 0.3, n),
        "heldout_teacher": hard_heldout,
    }


def test_known_answer() -> None:
    found = exact_split([1.0, 1.0], [0.5, 0.5], [3.0, 5.0], [1.0, 3.0], rng())
    assert found.excess.value == 2.0
    assert found.fit_deficit.value == 0.5
    assert found.excess_gap.value == 1.5
    assert found.student_generalization.value == 3.0
    assert found.teacher_generalization.value == 1.5
    # Every row's difference is the same, so that nothing is uncertain about it.
    assert (found.excess.low, found.excess.high, found.noise_floor) == (2.0, 2.0, 0.0)
    assert found.student_generalization.high > found.student_generalization.low


@pytest.mark.parametrize("seed", range(20))
def test_the_identity_holds_to_the_last_bit(seed: int) -> None:
    losses = planted(seed, n=37)
    keep = rng(seed).random(37) < 0.7
    for train_keep in (None, keep):
        found = exact_split(**losses, rng=rng(), train_keep=train_keep)
        assert found.excess.value == found.fit_deficit.value + found.excess_gap.value
        direct = losses["heldout_student"].mean() - losses["heldout_teacher"].mean()
        assert found.excess.value == pytest.approx(direct, abs=1e-12)


def test_pairing_makes_the_interval_narrow() -> None:
    losses = planted(1)
    paired = exact_split(**losses, rng=rng())
    shuffled = {**losses, "heldout_teacher": losses["heldout_teacher"][::-1]}
    apart = exact_split(**shuffled, rng=rng())
    assert apart.excess.value == pytest.approx(paired.excess.value)
    assert apart.noise_floor > 3 * paired.noise_floor
    assert paired.noise_floor == (paired.excess.high - paired.excess.low) / 2


def test_dropped_train_rows_change_only_the_two_terms() -> None:
    losses = planted(2)
    keep = np.ones(600, dtype=bool)
    keep[:100] = False
    losses["train_teacher"][:100] += 8.0  # the teacher rejects these labels
    everything = exact_split(**losses, rng=rng(3))
    rest = exact_split(**losses, rng=rng(3), train_keep=keep)
    assert everything.fit_deficit.value < -1.0
    assert rest.fit_deficit.value == pytest.approx(0.2, abs=0.05)
    assert rest.excess_gap.value == pytest.approx(0.3, abs=0.05)
    assert rest.excess.value == pytest.approx(everything.excess.value, abs=1e-12)
    assert (rest.excess.low, rest.excess.high) == (everything.excess.low, everything.excess.high)
    assert rest.student_generalization == everything.student_generalization
    assert rest.teacher_generalization == everything.teacher_generalization


def test_keeping_every_row_keeps_the_values() -> None:
    losses = planted(3)
    everything = exact_split(**losses, rng=rng())
    kept = exact_split(**losses, rng=rng(), train_keep=np.ones(600, dtype=bool))
    assert kept.fit_deficit.value == everything.fit_deficit.value
    assert kept.excess_gap.value == everything.excess_gap.value


def test_groups_widen_what_rests_on_heldout_rows() -> None:
    r = rng(4)
    ids = np.arange(600) // 30
    losses = planted(4)
    losses["heldout_student"] = losses["heldout_student"] + r.normal(0, 0.5, 20)[ids]
    alone = exact_split(**losses, rng=rng())
    grouped = exact_split(**losses, rng=rng(), groups=ids)
    assert grouped.noise_floor > 2 * alone.noise_floor
    width = [i.fit_deficit.high - i.fit_deficit.low for i in (alone, grouped)]
    assert width[1] == pytest.approx(width[0], rel=0.15)


def test_coverage_of_all_three_terms() -> None:
    hits = np.zeros(3)
    for seed in range(200):
        found = exact_split(**planted(1000 + seed, n=150), rng=rng(seed))
        terms = (found.excess, found.fit_deficit, found.excess_gap)
        truths = (0.5, 0.2, 0.3)
        hits += [t.low <= truth <= t.high for t, truth in zip(terms, truths, strict=True)]
    for k in hits:
        told = wilson(float(k), 200)
        assert told.low <= 0.95 <= told.high


def test_rows_and_constants() -> None:
    losses = planted(5)
    found = exact_split(**losses, rng=rng())
    order = rng(9).permutation(600)
    moved = exact_split(
        losses["train_student"][order],
        losses["train_teacher"][order],
        losses["heldout_student"] + 3.0,
        losses["heldout_teacher"] + 3.0,
        rng(),
    )
    for name in ("excess", "fit_deficit", "excess_gap"):
        assert getattr(moved, name).value == pytest.approx(getattr(found, name).value)


def test_a_diverged_student_gets_an_unbounded_interval() -> None:
    losses = planted(6)
    losses["heldout_student"][3] = np.inf
    found = exact_split(**losses, rng=rng())
    assert (found.excess.low, found.excess.high) == (-np.inf, np.inf)
    assert np.isfinite([found.fit_deficit.low, found.fit_deficit.high]).all()


def test_models_must_be_scored_on_the_same_rows() -> None:
    with pytest.raises(ValueError, match="one loss a row for both models"):
        exact_split([1.0, 2.0], [1.0], [1.0], [1.0], rng())


def test_limit() -> None:
    assert limit_h(0.1) == 0.05
    assert limit_h(2.0) == pytest.approx(0.2)
    assert limit_h(2.0, returned_to_teacher=1.0) == pytest.approx(0.1)
    assert limit_h(2.0, returned_to_teacher=5.0) == 0.05
