"""The contract of a probe, tried on each that is found: a new file is under test at once."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from gapdoctor.domain.findings import Finding, Side, Skipped
from gapdoctor.observe.case import Split
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe, all_probes

PROBES = all_probes()
EACH = pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.name)


def test_they_are_found_in_the_order_of_asking() -> None:
    assert [(p.order, p.name) for p in PROBES] == sorted((p.order, p.name) for p in PROBES)
    assert {"mirror", "memorisation", "history"} <= {p.name for p in PROBES}


@EACH
def test_it_bears_the_name_of_its_file(probe: Probe) -> None:
    assert Path(inspect.getfile(type(probe))).stem == probe.name
    assert probe.needs <= set(Need)


@EACH
def test_its_docstring_begins_with_a_sentence_on_one_line(probe: Probe) -> None:
    first, *rest = inspect.getdoc(type(probe)).splitlines()  # type: ignore[union-attr]
    assert re.fullmatch(r"[A-Z].+[.?]", first)
    assert not rest or not rest[0]


@EACH
def test_its_limits_are_fields_with_a_default_and_a_line_of_their_own(probe: Probe) -> None:
    body = ast.parse(inspect.getsource(type(probe))).body[0].body  # type: ignore[attr-defined]
    explained = {
        one.target.id: other.value.value
        for one, other in pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(other, ast.Expr)
        and isinstance(other.value, ast.Constant)
        and isinstance(one.target, ast.Name)
    }
    for limit in fields(probe):  # type: ignore[arg-type]
        assert limit.default is not MISSING, f"{limit.name} has no default"
        assert limit.name in explained, f"{limit.name} has no docstring line"
        assert len(explained[limit.name]) > 10


@EACH
def test_it_has_a_test_file_of_its_own(probe: Probe) -> None:
    assert Path(__file__).with_name(f"test_{probe.name}.py").exists()


def everything(planted: ModuleType) -> Any:
    """A sound pair of which all is known that a probe could need."""
    from gapdoctor import Preprocess, Recipe

    n = 600
    return planted.healthy(
        n,
        train=planted.raw(planted.rows(1, n)),
        heldout=planted.raw(planted.rows(2, n)),
        preprocess=Preprocess(planted.undo, lambda x: planted.undo(x)),
        history=planted.curves(lambda e: 0.3 + 0.7**e),
        recipe=Recipe(epochs=30, task_weight=0.5, temperature=4.0, batch_size=64),
        student_factory=planted.bayes,
        larger_factory=planted.bayes,
    )


@pytest.fixture
def seen(planted: ModuleType, looked: Callable[..., Observations]) -> Observations:
    return looked(everything(planted), train_probes=True)


def state(model: torch.nn.Module) -> list[Any]:
    """All that a caller could miss; numbers as bytes, so that they compare."""
    modules = [
        (m.training, len(m._forward_hooks), len(m._forward_pre_hooks), sorted(vars(m)))
        for m in model.modules()
    ]
    parameters = [(p.requires_grad, p.grad is None) for p in model.parameters()]
    values = [t.detach().numpy().tobytes() for t in model.state_dict().values()]
    return [modules, parameters, values]


@EACH
def test_it_says_nothing_bad_of_a_sound_pair_and_leaves_it_alone(
    probe: Probe, seen: Observations
) -> None:
    pair = (seen.case.student.train(), seen.case.teacher.train())
    before = [state(m) for m in pair]
    assert seen.missing(probe.needs) is None
    found = probe.examine(seen)
    assert isinstance(found, Finding | Skipped)
    assert found.probe == probe.name
    assert [state(m) for m in pair] == before
    if isinstance(found, Skipped):
        assert found.reason
        return
    assert not [w for w in found.warnings if w.voids]
    b = int(seen.rows(Split.HELDOUT).reporting.sum())
    for claim in found.claims:
        assert claim.strength < 2  # the prior: alone, it names no cause
        assert {e.probe for e in claim.evidence} == {probe.name}
        assert claim.side in {None, *Side}
        if claim.returned is not None and claim.returned.split == "heldout":
            assert len(claim.returned.student) == len(claim.returned.teacher) == b


@EACH
def test_it_says_the_same_when_asked_again(probe: Probe, seen: Observations) -> None:
    assert repr(probe.examine(seen)) == repr(probe.examine(seen))
