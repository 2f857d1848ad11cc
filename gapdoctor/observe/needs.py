"""What a probe may need of a case."""

from __future__ import annotations

from enum import StrEnum


class Need(StrEnum):
    """What a probe may need; the value is the reason that a skipped probe is given."""

    TRAIN_PROBES = "only with --train-probes"
    PIPELINES = (
        "the train and the inference pipeline are not both known: the inputs are read alike; give "
        "[preprocess] train and inference on raw samples, or data sets with a transform"
    )
    TEACHER_MODEL = "the teacher is a file of logits; give its model"
    HISTORY = 'no learning curves; give [recipe] history = "history.csv"'
    STUDENT_FEATURES = "the student has no linear head whose input could be read"
    LOSS_WEIGHTS = "the loss is not known; give [recipe] task_weight and temperature"
    FACTORY = "no factory of the student; name [student] model as where:what"
