"""What the clinic measured, and what it makes of the promises of fixes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gapdoctor
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import ClinicCount
from gapdoctor.fixes._base import all_fixes
from gapdoctor.fixes._clinic import measured
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._planning import PlanOptions, make_plan
from tests.fixes.conftest import Causes, Patients, Record

OPTIONS = PlanOptions(pace=Pace(step=0.01))
DROPOUT, DECAY = "add_dropout", "add_weight_decay"


def gain(patient: object, fix: str) -> float | None:
    plan = make_plan(patient, OPTIONS)  # type: ignore[arg-type]
    return next(f.expected_gain for f in plan.fixes if f.id == fix)


@pytest.mark.parametrize(
    ("faults", "gained", "times"),
    [(9, 0.5, 1.0), (9, 0.25, 7.5 / 12), (9, 1.0, 1.75), (1, 0.0, 0.75), (9, 0.0, 0.25)],
)
def test_few_faults_move_a_promise_little_and_many_move_it_far(
    faults: int, gained: float, times: float, record: Record
) -> None:
    """What the fix says of itself counts as three faults."""
    record({"fix": DROPOUT, "cause": "overfitting", "faults": faults, "gained": gained})
    found = measured(DROPOUT, Cause.OVERFITTING)
    assert found is not None
    assert found.times == pytest.approx(times)


def test_what_was_not_measured_is_believed(record: Record) -> None:
    record({"fix": DROPOUT, "cause": "overfitting", "gained": 0.1})
    assert measured(DROPOUT, Cause.OPTIMIZATION) is None
    assert measured(DECAY, Cause.OVERFITTING) is None


def test_a_plan_expects_what_came_of_such_promises_and_tells_the_count(
    patient: Patients, cause: Causes, record: Record
) -> None:
    told = patient(cause(Cause.OVERFITTING))
    assert gain(told, DROPOUT) == pytest.approx(0.9 * 0.5 * 0.25)
    record({"fix": DROPOUT, "cause": "overfitting", "gained": 0.125, "helped": 2, "harmed": 1,
            "expected": 0.25})  # fmt: skip
    assert gain(told, DROPOUT) == pytest.approx(0.9 * 0.5 * 0.25 * 7.5 / 12)
    plan = make_plan(told, OPTIONS)
    counts = {f.id: f.clinic for f in plan.fixes if f.status == "planned"}
    assert counts[DROPOUT] == ClinicCount(Cause.OVERFITTING, 9, 2, 1)
    assert counts[DECAY] is None


def test_what_helped_more_comes_first(patient: Patients, cause: Causes, record: Record) -> None:
    told = patient(cause(Cause.OVERFITTING))

    def order() -> list[str]:
        found = [f.id for f in make_plan(told, OPTIONS).fixes]
        return [name for name in found if name in (DROPOUT, DECAY)]

    assert order() == [DECAY, DROPOUT]
    record({"fix": DROPOUT, "cause": "overfitting", "expected": 0.25, "gained": 0.5})
    assert order() == [DROPOUT, DECAY]


def test_no_more_is_expected_than_there_is(
    patient: Patients, cause: Causes, record: Record
) -> None:
    record({"fix": "match_views", "cause": "overfitting", "expected": 0.1, "gained": 1.0})
    assert gain(patient(cause(Cause.OVERFITTING)), "match_views") == pytest.approx(0.9 * 0.5)


def test_the_record_that_is_shipped_is_of_fixes_and_causes_that_exist() -> None:
    file = Path(gapdoctor.__file__).parent / "fixes" / "_clinic.json"
    told = json.loads(file.read_text())
    treats = {fix.name: {*fix.treats} for fix in all_fixes()}
    assert told["tuning"]["counts"]
    for part in ("tuning", "reporting"):
        for one in told[part]["counts"]:
            assert Cause(one["cause"]) in treats[one["fix"]]
            assert one["helped"] + one["harmed"] <= one["faults"]
            assert one["expected"] >= 0
            assert -1 <= one["share"] <= one["gained"] <= 1
