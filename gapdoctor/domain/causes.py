"""The closed list of reasons for a gap. A new cause is one line more here, on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why a student's held-out loss is higher than its teacher's."""

    PREPROCESSING_MISMATCH = "preprocessing_mismatch"
    DISTRIBUTION_SHIFT = "distribution_shift"
    OVERFITTING = "overfitting"
    LACK_OF_REGULARIZATION = "lack_of_regularization"
    CAPACITY_SHORTFALL = "capacity_shortfall"
    LOSS_IMBALANCE = "loss_imbalance"
    OPTIMIZATION = "optimization"


@dataclass(frozen=True, slots=True)
class CausePage:
    """The manual page of a cause: what a report and `gapdoctor explain` say about it."""

    title: str
    meaning: str
    """What is wrong, for somebody who trained the pair."""
    tell_apart: str
    """What looks alike, and what separates it."""
    what_helps: str
    """What usually closes the gap."""


PAGES: dict[Cause, CausePage] = {
    Cause.PREPROCESSING_MISMATCH: CausePage(
        "Preprocessing mismatch",
        "The student is fed something else when deployed than it was trained on: another scale, "
        "other mean and standard deviation, swapped channels, another crop, permuted classes.",
        "Overfitting has the same gap, but the same held-out rows sent through the training "
        "pipeline do not get their loss back. A real shift of the data gives nothing back to "
        "either model when a transform is undone.",
        "Use one pipeline for training and inference. Nothing has to be retrained.",
    ),
    Cause.DISTRIBUTION_SHIFT: CausePage(
        "Distribution shift",
        "The held-out data come from somewhere else than the train data: other people, devices, "
        "seasons, or another mix of classes.",
        "A preprocessing mismatch is undone by one transform; overfitting leaves the inputs of "
        "both splits alike.",
        "Train on data like those of deployment, reweight to their class mix, or augment "
        "towards them.",
    ),
    Cause.OVERFITTING: CausePage(
        "Overfitting",
        "The student has learned its train rows by heart: it is sure on them and wrong beside "
        "them, where the teacher is not.",
        "A mismatch makes the same gap, but undoing it brings the loss back. Too weak a "
        "distillation loss has overfitting as its consequence and is named first.",
        "More or augmented data, weight decay, dropout, a larger share of the distillation "
        "loss, stopping earlier.",
    ),
    Cause.LACK_OF_REGULARIZATION: CausePage(
        "Lack of regularization",
        "Nothing in the recipe or the model keeps the student from fitting noise: no weight "
        "decay, no dropout, no augmentation.",
        "It is the reason for overfitting rather than a second gap; the two carry the same nats.",
        "Add weight decay, dropout or augmentation, one at a time, against a control.",
    ),
    Cause.CAPACITY_SHORTFALL: CausePage(
        "Capacity shortfall",
        "The student is too small to follow the teacher even on the train rows.",
        "Unfinished training leaves the same deficit, but both losses still want the same step.",
        "A wider or deeper student, or a teacher closer to its size.",
    ),
    Cause.LOSS_IMBALANCE: CausePage(
        "Loss imbalance",
        "The weights in force between task and distillation loss are not the declared ones: a "
        "missing factor T², a mean over classes, a temperature that flattens the targets.",
        "Overfitting is often its consequence: with too little distillation the student learns "
        "the labels by heart.",
        "Correct the loss, then retrain as declared; change task weight and temperature.",
    ),
    Cause.OPTIMIZATION: CausePage(
        "Optimization trouble",
        "Training ended before it was done or in a bad place: too few epochs, a learning rate "
        "too low or too high, a schedule that never anneals, stale BatchNorm statistics.",
        "A student that is too small looks alike, but its two losses pull against each other "
        "at the end; here they still agree.",
        "Train longer with an annealed learning rate; re-estimate BatchNorm statistics.",
    ),
}
