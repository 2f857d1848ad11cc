"""The contract of a fix, tried on each that is found: a new file is under test at once."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdoctor.cli import manual
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.fixes._base import (
    Fix,
    NotApplicable,
    Patient,
    Variant,
    all_fixes,
    changes_of,
    fixes_for,
    varied,
)
from gapdoctor.training.defaults import completed

FIXES = all_fixes()
SHAPES = [(3, 8, 8), (1, 8, 8), (1, 64, 9), (6,), (2, 100), (2, 2, 2, 2)]
EACH = pytest.mark.parametrize("fix", FIXES, ids=lambda f: f.name)


def test_the_ids_of_the_contract_are_there() -> None:
    assert {
        "match_preprocessing", "recalibrate_batchnorm", "reorder_classes", "scale_temperature",
        "retrain_as_declared", "train_longer", "schedule_learning_rate", "lower_learning_rate",
        "rebalance_losses", "add_augmentation", "add_weight_decay", "add_dropout",
        "increase_capacity", "stop_early", "distill_features", "distill_hints",
    } <= {fix.name for fix in FIXES}  # fmt: skip


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_treated_by_some_fix(cause: Cause) -> None:
    names = fixes_for(cause)
    assert names
    assert set(names) == {fix.name for fix in FIXES if cause in fix.treats}


@EACH
def test_it_bears_the_name_of_its_file_and_says_what_it_treats(fix: Fix) -> None:
    assert Path(inspect.getfile(type(fix))).stem == fix.name
    assert fix.treats
    assert set(fix.treats) <= set(Cause)


@EACH
def test_its_docstring_begins_with_a_sentence_on_one_line(fix: Fix) -> None:
    page = inspect.getdoc(type(fix))
    assert page is not None
    first, *rest = page.splitlines()
    assert re.fullmatch(r"[A-Z].+\.", first)
    assert len(page) > 250
    assert not rest[0]


@EACH
def test_its_numbers_are_fields_with_a_default_and_a_line_of_their_own(fix: Fix) -> None:
    body = ast.parse(inspect.getsource(type(fix))).body[0].body  # type: ignore[attr-defined]
    explained = {
        one.target.id: other.value.value
        for one, other in pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(other, ast.Expr)
        and isinstance(other.value, ast.Constant)
        and isinstance(one.target, ast.Name)
    }
    for number in fields(fix):
        assert number.default is not MISSING
        assert len(explained[number.name]) > 10, number.name


def test_the_manual_tells_the_numbers_that_count() -> None:
    pages = {page.name: page for page in manual.all_pages() if page.kind == "fix"}
    assert sorted(pages) == [fix.name for fix in FIXES]
    for fix in FIXES:
        told = {x.name: x.default for x in pages[fix.name].limits}
        assert told == {f.name: repr(getattr(fix, f.name)) for f in fields(fix)}
    assert manual.find_page("add-dropout").kind == "fix"


@EACH
def test_it_has_a_test_of_its_own(fix: Fix) -> None:
    mine = Path(__file__)
    tests = [f.read_text() for f in mine.parent.glob("test_*_fixes.py") if f.name != mine.name]
    assert any(f'fixes["{fix.name}"]' in text for text in tests)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe that a config allows, as far as it is known."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    rate = st.floats(1e-6, 10.0)
    names = st.sampled_from(["flip", "crop", "noise", "erase", "mixup"])
    return Recipe(
        epochs=draw(st.integers(1, 300)), batch_size=maybe(st.integers(1, 512)),
        optimizer=maybe(st.sampled_from(Optimizer)), lr=maybe(rate),
        momentum=maybe(st.floats(0.0, 0.99)), weight_decay=maybe(st.floats(0.0, 1.0)),
        schedule=maybe(st.sampled_from(Schedule)), step_size=maybe(st.integers(1, 100)),
        patience=maybe(st.integers(0, 100)), min_lr=maybe(st.floats(0.0, 1.0)),
        warmup_epochs=maybe(st.integers(0, 20)), task_weight=maybe(st.floats(0.0, 1.0)),
        temperature=maybe(st.floats(0.1, 50.0)), scale_by_t2=maybe(st.booleans()),
        distillation=maybe(st.sampled_from(Distillation)),
        dkd_alpha=maybe(st.floats(0.0, 2.0)), dkd_beta=maybe(st.floats(0.0, 10.0)),
        augment=draw(
            st.just("run.py:augment")
            | st.lists(names, unique=True, max_size=5).map(tuple)
        ),
        dropout=maybe(st.floats(0.0, 0.9)), early_stopping=maybe(st.integers(0, 30)),
    )  # fmt: skip


def sound(variant: Variant, patient: Patient) -> None:
    """Its recipe can be trained by, differs from the control's, and its numbers are in bounds."""
    changes = changes_of(patient, variant)
    assert changes
    assert all(change.before != change.after for change in changes)
    assert completed(variant.recipe).assumed == ()
    recipe = variant.recipe
    assert recipe.lr is not None
    assert recipe.lr > 0
    assert 0 <= (recipe.dropout or 0.0) < 1
    assert recipe.early_stopping is None or recipe.early_stopping >= 0
    assert variant.epochs is None or variant.epochs >= 1
    drops = recipe.milestones or ()
    assert list(drops) == sorted(set(drops))
    assert all(drop >= 1 for drop in drops)
    assert recipe.weight_decay is not None
    assert recipe.weight_decay >= 0


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(recipe=recipes(), cut=st.integers(1, 300), shape=st.sampled_from(SHAPES), data=st.data())
def test_whatever_the_recipe_a_proposal_is_sound_and_new(
    recipe: Recipe,
    cut: int,
    shape: tuple[int, ...],
    data: st.DataObject,
    sick: Callable[..., Patient],
) -> None:
    ran = completed(recipe).recipe
    assert ran.epochs is not None
    flags = ("floating", "has_factory", "shares_view", "has_head", "has_batchnorm")
    patient = replace(
        sick(), recipe=ran, declared=ran, epochs=min(cut, ran.epochs), shape=shape,
        larger=data.draw(st.sampled_from([None, 10, 4000, "it raises"])),
        dropouts=data.draw(st.sampled_from([(), (0.1,), (0.9, 0.2)])),
        layer_pairs=data.draw(st.sampled_from([(), (("a", "b"), ("c", "d")), "there is none"])),
        **{name: data.draw(st.booleans()) for name in flags},
    )  # fmt: skip
    for fix in FIXES:
        found = fix.propose(patient)
        if isinstance(found, NotApplicable):
            assert len(found.reason) > 10
            continue
        assert found.summary.endswith(".")
        assert 0 < found.expected_share <= 1
        if isinstance(found, Variant):
            sound(found, patient)
        assert fix.propose(patient) == found


@EACH
def test_what_it_proposes_it_does_not_propose_again(fix: Fix, sick: Callable[..., Patient]) -> None:
    """Treated with its own variant, a patient has nothing left, or something else."""
    patient = sick(layer_pairs=(("a", "b"),))
    for _ in range(6):
        found = fix.propose(patient)
        if not isinstance(found, Variant) or found.larger or found.folds:
            return  # what folds tell to change is not known yet
        assert found.recipe != patient.recipe
        length = found.epochs or patient.epochs
        patient = replace(patient, recipe=found.recipe, declared=found.recipe, epochs=length)
    assert fix.name == "train_longer"  # there is always a longer one


def test_another_schedule_forgets_what_only_the_old_one_knew() -> None:
    step = completed(Recipe(epochs=20, schedule=Schedule.STEP)).recipe
    cosine = varied(step, schedule=Schedule.COSINE)
    assert (cosine.milestones, cosine.gamma, cosine.min_lr) == (None, None, 0.0)
    assert varied(step, lr=0.5).milestones == step.milestones
