"""Scores with known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clinic import results
from tests.clinic.outcomes import Outcome, Said
from tests.clinic.page import page, summary
from tests.clinic.score import brier, confusion, is_failure, reliability, score, share

MISMATCH = Said("preprocessing_mismatch", 0.9, 0.5, "rotate(90)")
OVERFITTING = Said("overfitting", 0.6, 0.2, None)
DOUBT = Said("optimization", 0.2, 0.1, None)


def outcome(*causes: Said, truth: tuple[str, ...] = (), **fields: Any) -> Outcome:
    known: dict[str, Any] = {
        "name": "digits/cnn/x/mild/full", "part": "tuning", "kind": "grey", "arch": "cnn",
        "fault": "x" if truth else "healthy", "severity": "mild", "variant": "full",
        "cluster": "a", "second": (), "also": (), "corrections": (), "damage": 0.2,
        "excess": 0.2, "verdict": "generalization_gap",
    }  # fmt: skip
    return Outcome(truth=truth, causes=causes, **{**known, **fields})


def test_the_first_cause_decides_top1_and_the_first_two_top2() -> None:
    second = outcome(OVERFITTING, MISMATCH, truth=("preprocessing_mismatch",))
    assert not second.top1
    assert second.top2
    third = outcome(OVERFITTING, DOUBT, MISMATCH, truth=("preprocessing_mismatch",))
    assert not third.top2
    assert not outcome(truth=("overfitting",)).top1


def test_equivalent_causes_are_all_right() -> None:
    either = ("overfitting", "lack_of_regularization")
    assert outcome(OVERFITTING, truth=either).top1
    assert not is_failure(outcome(OVERFITTING, truth=either))


def test_of_two_faults_both_have_to_stand_among_the_first_two() -> None:
    both: dict[str, Any] = {"truth": ("preprocessing_mismatch",), "second": ("overfitting",)}
    assert outcome(OVERFITTING, MISMATCH, **both).top1
    assert outcome(OVERFITTING, MISMATCH, **both).top2
    assert not outcome(MISMATCH, DOUBT, **both).top2


def test_a_consequence_is_right_to_name_and_not_to_name_first() -> None:
    found = outcome(
        OVERFITTING, Said("loss_imbalance", 0.55, 0.2, None),
        truth=("loss_imbalance",), also=("overfitting",),
    )  # fmt: skip
    assert not found.top1
    assert score([found]).precision.value == 1.0


@pytest.mark.parametrize(
    ("verdict", "causes", "alarm"),
    [
        ("healthy", (), False),
        ("inconclusive", (DOUBT,), False),
        ("healthy", (OVERFITTING,), True),
        ("shared_gap", (), True),
        ("error", (), True),
    ],
)
def test_false_alarms(verdict: str, causes: tuple[Said, ...], alarm: bool) -> None:
    assert outcome(*causes, verdict=verdict).false_alarm is alarm


def test_a_correction_counts_by_its_id_and_only_on_the_mismatch() -> None:
    right = outcome(MISMATCH, truth=("preprocessing_mismatch",), corrections=("rotate",))
    assert right.correction_named
    assert not is_failure(right)
    wrong = replace(right, corrections=("flip",))
    assert not wrong.correction_named
    assert is_failure(wrong)
    elsewhere = outcome(replace(MISMATCH, cause="overfitting"), corrections=("rotate",))
    assert not elsewhere.correction_named


def test_intervals_count_students_not_cases() -> None:
    # Wilson's interval of 5 of 10 at 95 %, from the formula: 0.2366 to 0.7634.
    apart = share([True, False] * 5, [str(n) for n in range(10)])
    assert (apart.interval.low, apart.interval.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    together = share([True, False] * 50, [str(n % 10) for n in range(100)])
    assert together.cases == 100
    assert together.interval == apart.interval
    assert share([], []).clusters == 0


def test_brier_and_bins() -> None:
    right = outcome(MISMATCH, DOUBT, truth=("preprocessing_mismatch",))
    wrong = outcome(OVERFITTING, truth=("optimization",), cluster="b")
    # (0.9 − 1)² + 0.2² + 0.6² over three causes.
    assert brier([right, wrong]) == pytest.approx((0.01 + 0.04 + 0.36) / 3)
    bins = reliability([right, wrong], bins=3)
    assert [one.confidence for one in bins] == pytest.approx([0.2, 0.6, 0.9])
    assert [one.share.hits for one in bins] == [0, 0, 1]
    assert [one.inside for one in bins] == [True, True, True]


def test_precision_counts_named_causes_of_all_pairs() -> None:
    found = [
        outcome(MISMATCH, DOUBT, truth=("preprocessing_mismatch",)),
        outcome(OVERFITTING, truth=("optimization",), cluster="b"),
        outcome(OVERFITTING, cluster="c"),
        outcome(verdict="healthy", cluster="d"),
    ]
    scores = score(found)
    assert (scores.precision.hits, scores.precision.cases) == (1, 3)
    assert (scores.false_alarms.hits, scores.false_alarms.cases) == (1, 2)
    assert (scores.top1.hits, scores.top1.cases) == (1, 2)
    assert scores.healthy_students == 2


def test_confusion_names_the_verdict_where_no_cause_stands_first() -> None:
    table = confusion(
        [
            outcome(MISMATCH, truth=("preprocessing_mismatch",)),
            outcome(truth=("preprocessing_mismatch",), verdict="inconclusive"),
            outcome(DOUBT, verdict="healthy"),
        ]
    )
    assert table == {
        "x": {"preprocessing_mismatch": 1, "inconclusive": 1},
        "healthy": {"healthy": 1},
    }


def test_results_and_page_hold_every_failure(own_cache: Path) -> None:
    failed = outcome(
        OVERFITTING, truth=("preprocessing_mismatch",), corrections=("rotate",), name="a/b|c"
    )
    path = own_cache / "results.json"
    results.write_results(path, "tuning", [failed, outcome(verdict="healthy", cluster="b")])
    assert json.loads(path.read_text())["part"] == "tuning"
    read = results.read_results(path)
    assert read[0] == failed
    text = page({"tuning": read})
    assert "planted preprocessing_mismatch" not in text
    assert "preprocessing_mismatch, by rotate" in text
    assert "overfitting 0.60 (+0.20)" in text
    assert "| top-1 | 0 of 1 | 0.0% |" in text
    assert "1 healthy (1 students)" in summary(score(read))
