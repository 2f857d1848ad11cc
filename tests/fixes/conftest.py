"""Diagnoses and patients whose answer is set by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import (
    Cost,
    DataRecord,
    Diagnosis,
    Fidelity,
    Gap,
    HalfUse,
    Halves,
    ModelRecord,
    RankedCause,
    SplitUse,
    Verdict,
)
from gapdoctor.domain.findings import Evidence, Interval, Skipped, Table, Warning_
from gapdoctor.domain.recipe import Optimizer, Recipe, RecipeRecord, Schedule
from gapdoctor.fixes import _clinic
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Proposal, Variant, all_fixes
from gapdoctor.training.defaults import completed

RECIPE = completed(
    Recipe(
        epochs=20, batch_size=50, optimizer=Optimizer.ADAM, lr=1e-3, weight_decay=0.0,
        schedule=Schedule.CONSTANT, task_weight=0.5, temperature=4.0, scale_by_t2=True, augment=(),
        dropout=0.0, early_stopping=0,
    )
).recipe  # fmt: skip
"""20 epochs of 20 steps."""

Patients = Callable[..., Patient]
Causes = Callable[..., RankedCause]
Facts = Callable[..., Evidence]
Fixes = dict[str, Fix]


def is_variant(found: Proposal) -> Variant:
    assert isinstance(found, Variant), found
    return found


def why_not(found: Proposal) -> str:
    assert isinstance(found, NotApplicable), found
    return found.reason


def around(value: float) -> Interval:
    return Interval(value, value - 0.01, value + 0.01)


def a_fact(probe: str = "probe", **more: Any) -> Evidence:
    """One fact, for the cause unless said otherwise."""
    return replace(Evidence(probe, "Something was seen.", 1.0, 0.5, "nats", "for"), **more)


def a_cause(
    cause: Cause, *evidence: Evidence, confidence: float = 0.9, nats: float = 0.5, **more: Any
) -> RankedCause:
    """A cause that is believed."""
    return RankedCause(
        **{
            "rank": 1, "id": cause, "severity": "high", "explained": around(nats),
            "shared": around(0.0), "alternative_to": None, "confidence": confidence,
            "summary": "It is so.", "correction": None, "evidence": evidence or (a_fact(),),
            **more,
        }
    )  # fmt: skip


def curves(epochs: int, *, first: int = 1, **columns: Any) -> Table:
    """Learning curves of so many epochs, in the table of a diagnosis."""
    rows = [(first + e, 0.5, *(column(e) for column in columns.values())) for e in range(epochs)]
    return Table(("epoch", "heldout_loss", *columns), tuple(rows))


def a_diagnosis(
    *causes: RankedCause,
    warnings: tuple[str, ...] = (),
    skipped: tuple[str, ...] = (),
    history: Table | None = None,
    **more: Any,
) -> Diagnosis:
    """A record of what matters to fixes; the rest is plain."""
    nothing = around(0.0)
    return Diagnosis(
        **{
            "version": "0", "created": "", "seed": 0, "command": "", "environment": {},
            "student": ModelRecord(None, None, 1000), "teacher": ModelRecord(None, None, 9000),
            "data": DataRecord(SplitUse(1000, 1000), SplitUse(500, 500), tuple("0123456789")),
            "recipe": RecipeRecord(RECIPE), "metrics": (),
            "halves": Halves(HalfUse(250, "heldout"), HalfUse(250, "heldout")),
            "fidelity_train": Fidelity(nothing, nothing),
            "fidelity_heldout": Fidelity(nothing, nothing),
            "gap": Gap(around(0.5), nothing, around(0.5), nothing, nothing, 0.01, 0.05),
            "verdict": Verdict.GENERALIZATION_GAP, "causes": causes, "unexplained": nothing,
            "warnings": tuple(Warning_(name, f"There is {name}.") for name in warnings),
            "skipped": tuple(Skipped(name, "not asked") for name in skipped),
            "tables": {} if history is None else {"history": history},
            "cost": Cost(1.0, 1, 1.0), **more,
        }
    )  # fmt: skip


def a_patient(*causes: RankedCause, recipe: Any = None, **more: Any) -> Patient:
    """A patient with a plain recipe; keywords are its fields, or those of its diagnosis."""
    told = {k: more.pop(k) for k in ("warnings", "skipped", "history") if k in more}
    ran = replace(RECIPE, **(recipe or {}))
    return Patient(
        **{
            "diagnosis": a_diagnosis(*causes, **told), "declared": ran, "recipe": ran,
            "epochs": ran.epochs, "departures": (), "assumed": (), "shape": (3, 8, 8),
            "floating": True, "train_rows": 1000, "student_parameters": 1000,
            "teacher_parameters": 9000, "larger": 4000, "has_factory": True,
            "has_pipelines": False, "pipelines_differ": False, "shares_view": True,
            "has_head": True, "has_batchnorm": True, "dropouts": (), **more,
        }
    )  # fmt: skip


Record = Callable[..., None]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Record:
    """Have the clinic's record hold these counts alone."""

    def written(*counts: dict[str, Any]) -> None:
        file = tmp_path / f"clinic{len(list(tmp_path.iterdir()))}.json"
        usual = {"faults": 9, "helped": 0, "harmed": 0, "expected": 0.5, "difference": 0.0}
        told = {"counts": [{**usual, **one} for one in counts]}
        file.write_text(json.dumps({"tuning": told, "reporting": {"counts": []}}))
        monkeypatch.setattr(_clinic, "FILE", file)

    return written


@pytest.fixture(autouse=True)
def _unmeasured(record: Record) -> None:
    """A new measurement changes no test of how plans are made."""
    record()


@pytest.fixture
def fact() -> Callable[..., Evidence]:
    return a_fact


@pytest.fixture
def cause() -> Callable[..., RankedCause]:
    return a_cause


@pytest.fixture
def diagnosis() -> Callable[..., Diagnosis]:
    return a_diagnosis


@pytest.fixture
def patient() -> Callable[..., Patient]:
    return a_patient


@pytest.fixture
def log() -> Callable[..., Table]:
    return curves


@pytest.fixture
def fixes() -> dict[str, Fix]:
    return {fix.name: fix for fix in all_fixes()}


@pytest.fixture
def sick() -> Callable[..., Patient]:
    """Everything was found, so that each fix has something to treat."""
    return lambda **more: a_patient(*(a_cause(c) for c in Cause), **more)


@pytest.fixture
def overfitted() -> Patient:
    """Overfitted, and maybe for lack of regularization."""
    lack = a_cause(Cause.LACK_OF_REGULARIZATION, confidence=0.7)
    return a_patient(a_cause(Cause.OVERFITTING), lack)


@pytest.fixture
def rising() -> RankedCause:
    """The held-out loss rises before the end."""
    return a_cause(Cause.OVERFITTING, a_fact("history", unit="share"))
