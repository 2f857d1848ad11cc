"""Distill hints: first the student's lower half learns a layer of the teacher, then the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import FeatureLoss
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._features import pairs_for, told_pairs


@dataclass(frozen=True)
class DistillHints(Fix):
    """Train in two stages: a middle layer copies one of the teacher, then the whole loss follows.

    These are the hints of FitNets (Romero et al. 2015). In the first epochs the only loss is how
    far the student's middle layer, through a learned map of its channels, is from the teacher's;
    from there on the recipe runs as it did. Both stages together are as long as the control, and
    the learning rate follows its schedule through both. `[recipe] hint_epochs = 0` keeps the hints
    beside the other losses throughout.

    When it helps
    -------------
    It was made for students that are hard to train: thin and deep ones.

    When it does not
    ----------------
    Nearly always: it was below plain distillation in 12 of the 13 pairs in which it was tried again
    (RepDistiller, Tian et al. 2020). So it is tried last of all.

    It is not tried where the recipe learns the teacher's features already, where no layers of the
    two models can be listened to and paired, as with a teacher that is a file of logits, where only
    the BatchNorm statistics are stale, and where a training of one epoch has no room for a first
    stage.

    Sources
    -------
    - Romero, Ballas, Kahou, Chassang, Gatta & Bengio 2015, "FitNets: hints for thin deep nets",
      ICLR, arXiv 1412.6550.
    - Tian, Krishnan & Isola 2020, "Contrastive representation distillation" (RepDistiller), ICLR,
      arXiv 1910.10699.
    """

    name: ClassVar[str] = "distill_hints"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OPTIMIZATION,)

    share: float = 0.05
    """Share of the cause's nats that is expected back (starting value: 1 of 13 published pairs is
    better with it)."""
    stage: float = 0.1
    """Share of the epochs that the first stage takes (starting value)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where layers can be listened to, and there is room for two stages."""
        pairs = pairs_for(patient)
        if isinstance(pairs, NotApplicable):
            return pairs
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm"):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        if patient.epochs < 2:
            return NotApplicable("a training of one epoch has no room for a first stage")
        middle = (pairs[(len(pairs) - 1) // 2],)
        epochs = max(1, round(self.stage * patient.epochs))
        return Variant(
            varied(
                patient.recipe, feature_loss=FeatureLoss.MSE, feature_layers=middle,
                hint_epochs=epochs,
            ),
            f"For the first {epochs} of {patient.epochs} epochs the student learns features alone: "
            f"{told_pairs(middle)}.",
            self.share,
        )  # fmt: skip
