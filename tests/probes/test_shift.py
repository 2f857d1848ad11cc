"""Shift of inputs, within classes and of the class mix; harmful, harmless, and none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Preprocess
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Intervention, Side, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.untrained import untrained
from gapdoctor.probes.shift import Shift

PROBE = Shift()
Look = Callable[..., Observations]
Rows = tuple[torch.Tensor, torch.Tensor]


def asked(seen: Observations) -> dict[str, Claim]:
    """The claims, by their topic."""
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    assert found.warnings == ()
    assert {c.cause for c in found.claims} <= {Cause.DISTRIBUTION_SHIFT}
    return {c.topic: c for c in found.claims}


def moved(planted: ModuleType, by: Sequence[float], n: int = 1_000) -> Rows:
    x, y = planted.rows(2, n)
    return x + torch.tensor(by), y


# -- features ----------------------------------------------------------------------------------


def test_inputs_from_elsewhere_are_named(planted: ModuleType, looked: Look) -> None:
    """So far away that no held-out row looks like a train row: nothing can be reweighted."""
    claims = asked(looked(planted.healthy(1_000, heldout=moved(planted, [9.0, 0, 0, 0]))))
    assert set(claims) == {"features"}
    claim = claims["features"]
    assert claim.strength == PROBE.unmirrored > 0
    assert claim.side is Side.EXCESS_GAP
    assert (claim.returned, claim.intervention, claim.correction) == (None, None, None)
    assert claim.valid_unless == {Cause.PREPROCESSING_MISMATCH}
    (evidence,) = claim.evidence
    assert evidence.limit == PROBE.p_value
    assert evidence.value < PROBE.p_value
    assert (evidence.unit, evidence.speaks) == ("p-value", "for")
    assert "both splits differ" in evidence.statement


@pytest.mark.parametrize("pair", ["healthy", "overfitted", "short_of_fit", "mismatched"])
def test_data_of_one_distribution_speak_against(
    planted: ModuleType, looked: Look, pair: str
) -> None:
    """Whatever the models make of them, and whatever pipeline they are deployed with."""
    case = getattr(planted, pair)(1_000, student_factory=lambda: nn.Linear(4, 3))
    claims = asked(looked(case))
    assert set(claims) == {"features"}
    assert claims["features"].strength == PROBE.against < 0
    (evidence,) = claims["features"].evidence
    assert evidence.value > PROBE.p_value
    assert evidence.speaks == "against"
    assert "look alike" in evidence.statement


def test_a_small_shift_is_said_with_less_confidence(planted: ModuleType, looked: Look) -> None:
    """Half a deviation in one column: a distance of about a fifth."""
    seen = looked(planted.healthy(1_000, heldout=moved(planted, [0.0, 0.0, 0.6, 0.0])))
    small, large = (
        replace(PROBE, large=limit).examine(seen).claims[0]  # type: ignore[union-attr]
        for limit in (0.5, 0.01)
    )
    assert small.strength == PROBE.small_strength
    assert large.strength == PROBE.unmirrored
    assert 0 < small.strength < large.strength
    assert float(small.evidence[0].statement.split("distance ")[1].split()[0]) < 0.3


class Styled(nn.Module):
    """The Bayes rule on the first four columns; a high fifth one makes it doubt class 0."""

    def __init__(self, planted: ModuleType, doubt: float) -> None:
        super().__init__()
        self.rule, self.doubt = planted.bayes(), doubt

    def forward(self, x: torch.Tensor) -> Any:
        fooled = self.doubt * torch.sigmoid(4 * (x[:, 4:] - 1))
        return self.rule(x[:, :4]) - fooled * torch.tensor([1.0, 0.0, 0.0])


def styled(planted: ModuleType, seed: int, share: float, n: int = 1_500) -> Rows:
    """Rows of which a share comes in another style: 2 in the fifth column."""
    x, y = planted.rows(seed, n)
    rng = np.random.default_rng(seed)
    style = 2.0 * (rng.random(n) < share) + 0.5 * rng.normal(size=n)
    return torch.cat([x, torch.tensor(style, dtype=torch.float32)[:, None]], dim=1), y


def test_what_reweighting_returns_is_what_a_shift_explains(
    planted: ModuleType, looked: Look
) -> None:
    """A style that few train rows have is frequent held-out; the student alone minds it."""
    case = Case(
        Styled(planted, 9.0), Styled(planted, 0.0),
        styled(planted, 1, 0.2), styled(planted, 2, 0.8),
    )  # fmt: skip
    seen = looked(case)
    claim = asked(seen)["features"]
    assert claim.strength == PROBE.unmirrored
    assert claim.side is None
    assert claim.returned is not None
    assert claim.returned.split == "heldout"
    b = seen.rows(Split.HELDOUT).reporting
    assert len(claim.returned.student) == len(claim.returned.teacher) == b.sum()
    excess = measure_left(seen).excess_gap.value
    more = (claim.returned.student - claim.returned.teacher).mean()
    assert more == pytest.approx(excess, rel=0.25)
    shown = claim.evidence[1]
    assert shown.value == pytest.approx(more)
    assert (shown.limit, shown.unit, shown.speaks) == (limit_now(seen), "nats", "for")
    assert "weighted to look like train rows" in shown.statement


def test_a_harmless_shift_explains_nothing(planted: ModuleType, looked: Look) -> None:
    case = Case(
        Styled(planted, 0.0), Styled(planted, 0.0),
        styled(planted, 1, 0.2), styled(planted, 2, 0.8),
    )  # fmt: skip
    claim = asked(looked(case))["features"]
    assert claim.strength == PROBE.unmirrored
    assert claim.returned is None
    assert claim.side is Side.EXCESS_GAP


def test_what_was_undone_is_no_shift(planted: ModuleType, looked: Look) -> None:
    """Nor does a mismatch that is proven void what is left of one."""
    x, y = planted.rows(2, 1_000)
    seen = looked(planted.healthy(1_000, heldout=(3 * x, y)))
    assert asked(seen)["features"].strength > 0
    seen.offer("third", transform=lambda batch: batch / 3)
    seen.believe(Intervention("correction", "third", touches_teacher=True))
    after = asked(seen)["features"]
    assert after.strength == PROBE.against
    assert after.valid_unless == frozenset()


def test_with_both_pipelines_known_it_is_surer(planted: ModuleType, looked: Look) -> None:
    """Then the mirror would have seen another preprocessing."""
    x, y = moved(planted, [9.0, 0, 0, 0])
    both = Preprocess(planted.undo, planted.undo)
    case = planted.healthy(
        train=planted.raw(planted.rows(1, 1_000)), heldout=planted.raw((x, y)), preprocess=both
    )
    assert asked(looked(case))["features"].strength == PROBE.strength > PROBE.unmirrored


@pytest.mark.parametrize(("kind", "voided"), [("correction", True), ("pipeline", False)])
def test_what_a_correction_leaves_may_be_its_trace(
    planted: ModuleType, looked: Look, kind: str, voided: bool
) -> None:
    seen = looked(planted.healthy(1_000, heldout=moved(planted, [9.0, 0, 0, 0])))
    seen.offer("same", transform=lambda batch: batch)
    name = "same" if kind == "correction" else "train"
    seen.believe(Intervention(kind, name, touches_teacher=True))  # type: ignore[arg-type]
    claim = asked(seen)["features"]
    assert claim.strength > 0
    assert claim.valid_unless == ({Cause.PREPROCESSING_MISMATCH} if voided else frozenset())


def test_a_shift_that_only_the_network_could_see_is_seen(planted: ModuleType, looked: Look) -> None:
    """Long rows are summed up, which no shuffling within a stretch changes; features are not."""
    rng = np.random.default_rng(0)
    pattern = np.tile([1.0, -1.0], 320)
    x = {s: torch.tensor(rng.normal(size=(1_000, 640)) + sign * pattern).float()
         for s, sign in (("train", 1), ("heldout", -1))}  # fmt: skip
    y = torch.tensor(rng.integers(0, 3, 1_000))
    head = planted.linear(rng.normal(size=(3, 640)) / 25, np.zeros(3))
    wide = nn.Sequential(nn.Linear(640, 300), nn.ReLU(), nn.Linear(300, 3))
    case = Case(wide, head, (x["train"], y), (x["heldout"], y))
    assert asked(looked(case))["features"].strength > 0


# -- class priors ------------------------------------------------------------------------------


def mixed(planted: ModuleType, seed: int, shares: Sequence[float], n: int = 1_000) -> Rows:
    """Rows of the planted classes in another mix."""
    x, y = planted.rows(seed, 12 * n)
    keep = np.concatenate(
        [np.flatnonzero(y.numpy() == c)[: round(s * n)] for c, s in enumerate(shares)]
    )
    keep = np.random.default_rng(seed).permutation(keep)
    return x[keep], y[keep]


def rare_class(planted: ModuleType, student: nn.Module) -> Case:
    """One class in twenty train rows, and three in four held-out ones."""
    return Case(
        student, planted.bayes(), mixed(planted, 1, (0.05, 0.475, 0.475)),
        mixed(planted, 2, (0.75, 0.125, 0.125)),
    )  # fmt: skip


def shy(planted: ModuleType) -> nn.Module:
    """A student that has learned how rare class 0 is among the train rows, and more."""
    rule = planted.bayes()
    with torch.no_grad():
        rule.bias[0] -= 4.0
    assert isinstance(rule, nn.Module)
    return rule


def test_another_mix_of_classes_is_named_with_the_nats_it_costs(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(rare_class(planted, shy(planted)))
    claims = asked(seen)
    claim = claims["class priors"]
    assert claim.strength == PROBE.prior_strength > 0
    assert (claim.side, claim.intervention) == (None, None)
    assert "another mix" in claim.summary
    (evidence,) = claim.evidence
    assert evidence.limit == limit_now(seen)
    assert evidence.value > limit_now(seen)
    assert (evidence.unit, evidence.speaks) == ("nats", "for")
    assert "total variation 0.70" in evidence.statement
    assert claim.returned is not None
    more = claim.returned.student - claim.returned.teacher
    assert evidence.value == pytest.approx(more.mean())
    # Within a class both splits are alike, and told by the mix: that is no shift of features.
    assert claims["features"].strength == PROBE.against


def test_it_returns_the_loss_at_the_train_mix(planted: ModuleType, looked: Look) -> None:
    seen = looked(rare_class(planted, shy(planted)))
    returned = asked(seen)["class priors"].returned
    assert returned is not None
    held = seen.rows(Split.HELDOUT)
    b, labels = held.reporting, held.labels[held.reporting]
    train = np.bincount(seen.rows(Split.TRAIN).labels) / len(seen.rows(Split.TRAIN).labels)
    for model, rows in zip(Model, (returned.student, returned.teacher), strict=True):
        loss = seen.outputs(model, Split.HELDOUT).loss[b]
        at_train_mix = sum(share * loss[labels == c].mean() for c, share in enumerate(train))
        assert rows.mean() == pytest.approx(loss.mean() - at_train_mix, abs=0.02)


def test_another_mix_that_costs_the_student_nothing_is_no_cause(
    planted: ModuleType, looked: Look
) -> None:
    claims = asked(looked(rare_class(planted, planted.bayes())))
    claim = claims["class priors"]
    assert claim.strength == 0.0
    assert claim.returned is None
    assert claim.evidence[0].speaks == "against"
    assert claims["features"].strength == PROBE.against


def test_a_slightly_other_mix_is_negligible(planted: ModuleType, looked: Look) -> None:
    """Significant with so many rows, and less than a tenth of them apart."""
    case = Case(
        shy(planted), planted.bayes(), mixed(planted, 1, (0.30, 0.35, 0.35), 2_400),
        mixed(planted, 2, (0.38, 0.31, 0.31), 2_400),
    )  # fmt: skip
    assert set(asked(looked(case))) == {"features"}


def test_classes_that_train_lacks_leave_nothing_to_compare(
    planted: ModuleType, looked: Look
) -> None:
    """No row of one class on both sides: neither weights nor features can be told."""
    case = Case(
        planted.bayes(), planted.bayes(), mixed(planted, 1, (0.0, 0.0, 1.0)),
        mixed(planted, 2, (1.0, 0.0, 0.0)),
    )  # fmt: skip
    assert asked(looked(case)) == {}


# -- too little --------------------------------------------------------------------------------


@pytest.mark.parametrize("few", ["train", "heldout"])
def test_too_few_rows_are_skipped(planted: ModuleType, looked: Look, few: str) -> None:
    for count in (PROBE.least_priors - 1, PROBE.least - 1):
        case = planted.healthy(1_000, **{few: planted.rows(3, count)})
        found = PROBE.examine(looked(case))
        assert isinstance(found, Skipped)
        assert found.reason.startswith(f"{count} rows of a split")
        assert re.search(rf"features (shows )?from {PROBE.least} on", found.reason)
    assert asked(looked(planted.healthy(1_000, **{few: planted.rows(3, PROBE.least)})))


def test_a_class_mix_needs_fewer_rows_than_features(planted: ModuleType, looked: Look) -> None:
    case = Case(
        shy(planted), planted.bayes(), mixed(planted, 1, (0.05, 0.475, 0.475), 300),
        mixed(planted, 2, (0.75, 0.125, 0.125), 300),
    )  # fmt: skip
    claims = asked(looked(case))
    assert set(claims) == {"class priors"}
    assert claims["class priors"].strength > 0


def test_rows_of_one_group_count_once(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(1_000, groups=[i // 12 for i in range(1_000)])
    found = PROBE.examine(looked(case))
    assert isinstance(found, Skipped)
    assert found.reason.startswith("84 rows or groups of a split")


def test_a_few_broken_rows_are_left_out(planted: ModuleType, looked: Look) -> None:
    x, y = planted.rows(2, 1_000)
    x[:5] = float("nan")
    claims = asked(looked(planted.healthy(1_000, heldout=(x, y))))
    assert claims["features"].strength == PROBE.against


# -- the untrained student ---------------------------------------------------------------------


def test_it_has_weights_of_its_own_and_the_same_again(planted: ModuleType, looked: Look) -> None:
    student, given = planted.bayes(1.05), planted.bayes(1.05)
    seen = looked(planted.healthy(student=student))
    before = torch.random.get_rng_state()
    one, other = untrained(seen), untrained(seen)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert isinstance(one, nn.Linear)
    assert isinstance(other, nn.Linear)
    assert torch.equal(one.weight, other.weight)
    assert not torch.allclose(one.weight, student.weight, atol=0.1)
    assert torch.equal(student.weight, given.weight)


def test_a_factory_is_asked_first(planted: ModuleType, looked: Look) -> None:
    made = nn.Linear(4, 3)
    assert untrained(looked(planted.healthy(student_factory=lambda: made))) is made


def test_without_a_way_to_build_it_anew_inputs_are_compared_alone(
    planted: ModuleType, looked: Look
) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rule, self.scale = planted.bayes(), nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> Any:
            return self.scale * self.rule(x)

    seen = looked(planted.healthy(1_000, student=Own()))
    assert untrained(seen) is None
    assert asked(seen)["features"].strength == PROBE.against
    away = looked(planted.healthy(1_000, student=Own(), heldout=moved(planted, [2.0] * 4)))
    assert asked(away)["features"].strength > 0


def test_hidden_weights_are_not_taken_for_untrained_ones(planted: ModuleType, looked: Look) -> None:
    """Nothing to reset, and yet it knows the train rows: asking it would be asking the labels."""

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = planted.bayes().weight.detach()

        def forward(self, x: torch.Tensor) -> Any:
            return x @ self.weight.T

    assert untrained(looked(planted.healthy(student=Packed()))) is None
