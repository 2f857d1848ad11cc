"""Match preprocessing: feed the student what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.corrections._parse import parse_correction
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import Change
from gapdoctor.fixes._base import Fix, Free, NotApplicable, Patient


@dataclass(frozen=True)
class MatchPreprocessing(Fix):
    """Feed the student at inference what it was trained on; nothing is trained.

    Where both pipelines are known and the mirror test has shown that they cost the student loss,
    the train pipeline is used at inference too. Where only the inputs are known, the correction
    that the diagnosis has named is applied to them.

    When it helps
    -------------
    Wrong mean and standard deviation, swapped channels and a forgotten rescaling are the usual
    ones: a ViT fed 0.5/0.5 instead of ImageNet's goes from 57 to 38 % (mr-eggplant/FOA#2), RGB for
    BGR from 99.7 to 74.9 % (ShiqiYu/SimpleCNNbyCPP#4). Measured on planted mismatches, the train
    pipeline gave back 0.97 to 1.0 of what they cost.

    When it does not
    ----------------
    What cannot be undone (blur, JPEG, a crop) has to be changed where the inputs are made, unless
    the train pipeline is known. A correction may be another strength of the same transform, and
    gives back a little less.

    It is not tried where no mismatch was found or the transform that went wrong has no name, and
    where only the classes are numbered otherwise: that is for `reorder_classes`.

    Sources
    -------
    - mr-eggplant/FOA#2: another mean and standard deviation than in training.
    - ShiqiYu/SimpleCNNbyCPP#4: RGB for BGR.
    """

    name: ClassVar[str] = "match_preprocessing"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.PREPROCESSING_MISMATCH,)

    share: float = 0.97
    """Share of the mismatch's nats that the train pipeline is expected to give back (measured on
    planted mismatches: 0.97 to 1.0)."""
    by_correction: float = 0.9
    """The same for a correction, which may be another strength of the same transform."""

    def propose(self, patient: Patient) -> Free | NotApplicable:
        """Take the train pipeline, else the correction that was named."""
        cause = patient.causes.get(Cause.PREPROCESSING_MISMATCH)
        if cause is None:
            return NotApplicable("no preprocessing mismatch was found")
        if patient.pipelines_differ and patient.says(cause.id, "mirror"):
            before, after = (
                patient.where.get(f"preprocess.{name}", name) for name in ("inference", "train")
            )
            return Free(
                "pipeline", "train",
                "The train pipeline feeds the student at inference too.", self.share,
                (Change("preprocess.inference", before, after),),
            )  # fmt: skip
        if cause.correction is None:
            if patient.only_said_by(cause.id, "class_order"):
                return NotApplicable("only the classes are numbered otherwise: reorder_classes")
            return NotApplicable("the transform that went wrong has no name")
        try:
            candidate = parse_correction(cause.correction)
        except ValueError as error:  # a record of another version
            return NotApplicable(f"the named correction is not known: {error}")
        if candidate.undo is None:
            return NotApplicable(
                f"{candidate.label} cannot be undone: mend it where the inputs are made"
            )
        return Free(
            "correction", candidate.text,
            f"The inputs are corrected before the student sees them: {candidate.label}.",
            self.by_correction,
            (Change("preprocess.corrections", None, [candidate.text]),),
        )  # fmt: skip
