"""Which pipeline makes which model's inputs: from the config, or from the data sets themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

import numpy as np
import torch

from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Case, Pipeline
from gapdoctor.observe.inputs import prepare
from gapdoctor.observe.rows import Rows, as_rows
from gapdoctor.observe.transforms import Steps, deterministic, transform_of, without_transform


@dataclass(frozen=True)
class Prepared:
    """The data of a case as raw rows, and the pipelines that make model-ready inputs of them."""

    train: Rows
    heldout: Rows
    test: Rows | None
    pipelines: dict[str, Pipeline | None]
    """By name: `train`, `inference`, `teacher`; names that mean the same thing share one entry
    in `same`."""
    same: dict[str, str]
    """`teacher` -> `train` and the like: the name under which a pipeline's inputs are kept."""
    given: bool
    """Whether the train and the inference pipeline are both known, so that they can differ."""
    notes: tuple[str, ...] = ()


def prepare_case(case: Case, stream_rows: int, seed: int) -> Prepared:
    """Return raw rows and pipelines of a case, by the rules of the hand-over."""

    def rows(source: Any, name: str) -> Rows:
        return as_rows(source, name, keys=case.sample_keys, stream_rows=stream_rows, seed=seed)

    train, heldout = rows(case.train, "train"), rows(case.heldout, "heldout")
    test = None if case.test is None else rows(case.test, "test")
    given = case.preprocess
    if given.train is None and given.inference is None and given.teacher is None:
        found = _from_transforms(case, train, heldout, test, rows)
        if found is not None:
            return _corrected(found, case)
    pipelines, notes = declared_pipelines(case)
    same = _same(pipelines)
    both = given.train is not None and given.inference is not None
    return Prepared(train, heldout, test, pipelines, same, both, notes)


def through_train(found: Prepared, case: Case) -> Prepared:
    """Return the data with the train pipeline at inference too, then the case's corrections.

    Wherever the pipelines come from: the config, or the data sets themselves.
    """
    steps = tuple(step for step in case.preprocess.corrections if callable(step))
    train = found.pipelines["train"]
    if steps:
        train = replace(train or Pipeline(_as_it_is, name="corrections"), after=steps)
    pipelines = found.pipelines | {"inference": train}
    return replace(found, pipelines=pipelines, same=_same(pipelines))


def declared_pipelines(case: Case) -> tuple[dict[str, Pipeline | None], tuple[str, ...]]:
    """Return the pipelines that a case names, by name, and what was assumed about them."""
    given = case.preprocess
    train = _pipeline(given.train, "preprocess.train")
    inference = _pipeline(given.inference, "preprocess.inference")
    notes = []
    if train is None and inference is not None:
        notes.append("no train pipeline is given: both splits go through the inference pipeline")
        train = inference
    elif inference is None and train is not None:
        notes.append("no inference pipeline is given: both splits go through the train pipeline")
        inference = train
    teacher = _pipeline(given.teacher, "preprocess.teacher") or train
    heldout_teacher = teacher
    steps = tuple(step for step in given.corrections if callable(step))
    if steps:
        ready = given.train is None and given.inference is None
        inference = replace(inference or Pipeline(_as_it_is, name="corrections"), after=steps)
        heldout_teacher = inference if ready and given.teacher is None else teacher
    return {
        "train": train,
        "inference": inference,
        "teacher": teacher,
        "heldout_teacher": heldout_teacher,
    }, tuple(notes)


def _corrected(found: Prepared, case: Case) -> Prepared:
    """With the corrections of the case behind a pipeline that the data sets themselves gave."""
    steps = tuple(step for step in case.preprocess.corrections if callable(step))
    if not steps:
        return found
    own = found.pipelines["inference"] or Pipeline(_as_it_is, name="corrections")
    pipelines = found.pipelines | {"inference": replace(own, after=steps)}
    if not found.given:
        pipelines["heldout_teacher"] = pipelines["inference"]
    return replace(found, pipelines=pipelines, same=_same(pipelines))


def _as_it_is(sample: Any) -> Any:
    return sample


def _pipeline(given: Pipeline | Callable[[Any], Any] | None, name: str) -> Pipeline | None:
    if given is None or isinstance(given, Pipeline):
        return given
    return Pipeline(given, name=name)


def _same(pipelines: dict[str, Pipeline | None]) -> dict[str, str]:
    """Map each name to the first one that means the same callable."""
    same: dict[str, str] = {}
    for name, pipeline in pipelines.items():
        same[name] = next((n for n in same if _is_same(pipelines[n], pipeline)), name)
    return same


def _is_same(one: Pipeline | None, other: Pipeline | None) -> bool:
    """Identity, since equality is the user's to define: two objects that are no more than alike
    cost a mirror test that returns nothing; two that are wrongly taken for one hide a mismatch.
    """
    if one is None or other is None:
        return one is other
    first, second = one.call, other.call
    if isinstance(first, MethodType) and isinstance(second, MethodType):  # made anew at each access
        alike = first.__self__ is second.__self__ and first.__func__ is second.__func__
    elif isinstance(first, Steps) and isinstance(second, Steps):
        alike = [id(step) for step in first.steps] == [id(step) for step in second.steps]
    else:
        alike = first is second
    return alike and one.batched == other.batched and one.after == other.after


def _from_transforms(
    case: Case, train: Rows, heldout: Rows, test: Rows | None, rows: Callable[[Any, str], Rows]
) -> Prepared | None:
    """The pipelines that the data sets carry, where all do and a sample shows that they hold."""
    parts = {"train": train, "heldout": heldout} | ({} if test is None else {"test": test})
    mine, theirs = transform_of(train.dataset), transform_of(heldout.dataset)
    if (
        mine is None
        or theirs is None
        or any(transform_of(p.dataset) is None for p in parts.values())
    ):
        return None
    bare = {name: _bare(part, rows) for name, part in parts.items()}
    pipelines: dict[str, Pipeline | None] = {
        "train": deterministic(mine, theirs, "the train set's transform"),
        "inference": deterministic(theirs, None, "the held-out set's transform"),
    }
    pipelines["teacher"] = pipelines["heldout_teacher"] = pipelines["train"]
    for name, whose in (("train", "train"), ("heldout", "inference")):
        if not _makes(bare[name], pipelines[whose], parts[name]):
            return Prepared(
                *(train, heldout, test),
                dict.fromkeys(pipelines),
                dict.fromkeys(pipelines, "train"),
                given=False,
                notes=(f"the {name} set does more to a sample than its transform: {_AS_THEY_ARE}",),
            )
    notes = ["the data sets' own transforms are the train and the inference pipeline"]
    notes += [
        f"{name} pipeline from the data set's transform; {said}"
        for name in ("train", "inference")
        for said in (getattr(pipelines[name], "replaced", ()) or ())
    ]
    return Prepared(
        bare["train"],
        bare["heldout"],
        bare.get("test"),
        pipelines,
        _same(pipelines),
        given=True,
        notes=tuple(notes),
    )


_AS_THEY_ARE = "the data sets are read as they are, and their pipelines cannot be compared"


def _bare(part: Rows, rows: Callable[[Any, str], Rows]) -> Rows:
    raw = rows(without_transform(part.dataset), part.name)
    return replace(raw, labels=part.labels, classes=part.classes)


def _makes(bare: Rows, pipeline: Pipeline | None, whole: Rows) -> bool:
    """Tell whether a pipeline makes of the first raw sample what the data set itself yields.

    A data set may do more to a sample than its `.transform`; then it is read as it is.
    """
    first = np.zeros(1, dtype=np.int64)
    expected = prepare(whole.read(first).inputs, None, whole.name)
    try:
        made = prepare(bare.read(first).inputs, pipeline, bare.name)
    except GapDoctorError:
        return False
    if made.shape != expected.shape or made.dtype != expected.dtype:
        return False
    exact = pipeline is not None and not pipeline.replaced
    return not exact or torch.equal(made.nan_to_num(), expected.nan_to_num())
