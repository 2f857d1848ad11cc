"""Fixes that train nothing: a patient whom each helps, and one whom it does not."""

from __future__ import annotations

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import Change
from gapdoctor.fixes._base import Fix, Free, NotApplicable
from tests.fixes.conftest import Causes, Facts, Patients

MISMATCH = Cause.PREPROCESSING_MISMATCH


def test_match_preprocessing_takes_the_train_pipeline_where_it_is_known(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["match_preprocessing"]
    mismatch = cause(MISMATCH, fact("mirror"), correction="swap_channels")
    found = fix.propose(
        patient(
            mismatch, pipelines_differ=True, has_pipelines=True,
            where={"preprocess.train": "run.py:train", "preprocess.inference": "run.py:serve"},
        )
    )  # fmt: skip
    assert isinstance(found, Free)
    assert (found.kind, found.argument) == ("pipeline", "train")
    assert found.changes == (Change("preprocess.inference", "run.py:serve", "run.py:train"),)


def test_match_preprocessing_corrects_the_inputs_where_there_is_no_pipeline(
    fixes: dict[str, Fix], patient: Patients, cause: Causes
) -> None:
    found = fixes["match_preprocessing"].propose(
        patient(cause(MISMATCH, correction="rescale_input(255)"))
    )
    assert isinstance(found, Free)
    assert (found.kind, found.argument) == ("correction", "rescale_input(255)")


def test_match_preprocessing_cannot_undo_everything(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["match_preprocessing"]
    for told, why in (
        (patient(), "no preprocessing mismatch"),
        (patient(cause(MISMATCH, correction="jpeg(20, imagenet)")), "cannot be undone"),
        (patient(cause(MISMATCH, correction="unheard_of")), "not known"),
        (patient(cause(MISMATCH)), "no name"),
        (patient(cause(MISMATCH, fact("class_order"))), "reorder_classes"),
    ):
        found = fix.propose(told)
        assert isinstance(found, NotApplicable)
        assert why in found.reason


def test_recalibrate_batchnorm(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["recalibrate_batchnorm"]
    stale = cause(Cause.OPTIMIZATION, fact("batchnorm"))
    found = fix.propose(patient(stale))
    assert isinstance(found, Free)
    assert (found.kind, found.argument) == ("batchnorm", "1000")
    assert isinstance(fix.propose(patient(stale, has_batchnorm=False)), NotApplicable)
    sound = cause(Cause.OPTIMIZATION, fact("batchnorm", speaks="against"), fact("history"))
    assert isinstance(fix.propose(patient(sound)), NotApplicable)


def test_stale_statistics_alone_call_for_no_training(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    stale = patient(cause(Cause.OPTIMIZATION, fact("batchnorm")))
    for name in ("train_longer", "schedule_learning_rate", "lower_learning_rate"):
        found = fixes[name].propose(stale)
        assert isinstance(found, NotApplicable)
        assert "recalibrate_batchnorm" in found.reason


def test_reorder_classes(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["reorder_classes"]
    found = fix.propose(patient(cause(MISMATCH, fact("class_order"))))
    assert isinstance(found, Free)
    assert found.kind == "class_order"
    assert isinstance(fix.propose(patient(cause(MISMATCH, fact("mirror")))), NotApplicable)


def test_scale_temperature_where_it_gives_something_back(
    fixes: dict[str, Fix], patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["scale_temperature"]
    found = fix.propose(patient(warnings=("miscalibrated",)))
    assert isinstance(found, Free)
    assert found.kind == "temperature"
    scale = cause(Cause.LOSS_IMBALANCE, fact("temperature"))
    alone = fix.propose(patient(scale, warnings=("miscalibrated",)))
    assert isinstance(alone, Free)
    assert alone.expected_share > found.expected_share
    assert isinstance(fix.propose(patient(skipped=("temperature",))), Free)  # nobody knows
    assert isinstance(fix.propose(patient()), NotApplicable)
