"""`[preprocess] inference = "train"` where the data sets carry their pipelines themselves."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.errors import ConfigError
from gapdoctor.loading.where import TRAIN_PIPELINE
from gapdoctor.observe.case import Case
from gapdoctor.observe.pipelines import prepare_case

_FEW = 64
"""Rows read of a stream: it carries no pipeline, and is refused."""


def train_at_inference(case: Case, place: str) -> Case:
    """Return the case with the train set's own transform as train and inference pipeline.

    Its random steps are replaced as everywhere (`observe.transforms.deterministic`); the data are
    the raw samples then.

    Parameters
    ----------
    case : Case
        Without a pipeline of its own.
    place : str
        File, line and key, for messages.

    Raises
    ------
    ConfigError
        When the data sets carry no `.transform`, or do more to a sample than that.
    """
    found = prepare_case(case, _FEW, 0)
    train = found.pipelines["train"]
    if not found.given or train is None:
        why = "; ".join(found.notes) or "the data sets carry no .transform of their own"
        raise ConfigError(
            f'{place}: "{TRAIN_PIPELINE}": {why}',
            'name the pipeline: [preprocess] train = "run.py:name"',
        )
    notes = (
        "The train set's own transform makes the student's inputs on all splits.",
        *(f"Train pipeline from the data set's transform; {said}." for said in train.replaced),
    )
    return replace(
        case,
        train=found.train,
        heldout=found.heldout,
        test=found.test,
        preprocess=replace(case.preprocess, train=train, inference=train),
        notes=(*case.notes, *notes),
    )
