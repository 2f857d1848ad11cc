"""A case put together by hand may hold anything: what is not what it should be, in one line."""

from __future__ import annotations

import math
from collections.abc import Sized
from numbers import Real
from typing import Any

from gapdoctor.domain.recipe import Recipe, RecipeRecord
from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Case, Pipeline, Preprocess


def check_case(case: Case) -> None:
    """Check the kinds of what a case holds, beside models and data.

    Raises
    ------
    GapDoctorError
        For the first field that is of another kind; names it.
    """
    preprocess = case.preprocess
    _expect("preprocess", preprocess, isinstance(preprocess, Preprocess), "give a Preprocess(…)")
    for name in ("train", "inference", "teacher"):
        given = getattr(preprocess, name)
        call = given.call if isinstance(given, Pipeline) else given
        _expect(f"preprocess.{name}", given, given is None or callable(call),
                "give a callable on one raw sample, or a Pipeline")  # fmt: skip
    _expect("recipe", case.recipe, isinstance(case.recipe, Recipe | RecipeRecord),
            "give a Recipe(lr=…, epochs=…)")  # fmt: skip
    for name, value, each in (
        ("data.groups", case.groups, "one id a held-out row"),
        ("data.classes", case.classes, "one name a class"),
    ):
        listed = value is None or (isinstance(value, Sized) and not isinstance(value, str))
        _expect(name, value, listed, f"give a list: {each}")
    for name in ("output_temperature", "folded_temperature"):
        given = getattr(case, name)
        sound = _is_temperature(given) or (given is None and name == "folded_temperature")
        _expect(f"student.{name}", given, sound, "give a number above 0, or leave it out")
    history = case.history
    _expect("history", history, history is None or hasattr(history, "columns"),
            "give a pandas DataFrame with a row an epoch")  # fmt: skip


def _is_temperature(given: Any) -> bool:
    return isinstance(given, Real) and math.isfinite(given) and float(given) > 0


def _expect(name: str, value: Any, sound: bool, hint: str) -> None:
    if not sound:
        raise GapDoctorError(f"{name}: {value!r:.60} is of the wrong kind", hint)
