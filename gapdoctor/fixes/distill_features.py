"""Distill features: the student learns from the teacher's layers, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import FeatureLoss
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._features import pairs_for, told_pairs


@dataclass(frozen=True)
class DistillFeatures(Fix):
    """Add to the loss how far features of the student are from features of the teacher.

    By default two rows that look alike to a layer of the teacher are to look alike to the student's
    (`similarity`: Tung & Mori 2019); that fits layers of any size and kind. `[recipe] feature_loss`
    may also name `attention` (where the features are large: Zagoruyko & Komodakis 2017; layers of
    images or tokens) or `mse` (what they are, through a learned map of the channels: FitNets,
    Romero et al. 2015).

    The layers are paired by depth, size and similarity (linear CKA: Kornblith et al. 2019); the
    plan names them, and `[recipe] feature_layers` names others. The teacher is asked at each step
    about the very view that the student sees. Nothing is added to the student: no layer, no hook,
    no key.

    When it helps
    -------------
    Less often than its many papers let expect. In the 13 pairs of RepDistiller (Tian et al. 2020)
    similarity alone closes 31 % of the gap between student and teacher, attention 16 %, FitNets 12
    %, plain distillation 44 %.

    When it does not
    ----------------
    Beside plain distillation, as here, there is less left to gain. So it is tried last.

    It is not tried where the recipe learns the teacher's features already, and where no layers of
    the two models can be listened to and paired, as with a teacher that is a file of logits.

    Sources
    -------
    - Tung & Mori 2019, "Similarity-preserving knowledge distillation", ICCV, arXiv 1907.09682.
    - Zagoruyko & Komodakis 2017, "Paying more attention to attention", ICLR, arXiv 1612.03928.
    - Romero, Ballas, Kahou, Chassang, Gatta & Bengio 2015, "FitNets: hints for thin deep nets",
      ICLR, arXiv 1412.6550.
    - Kornblith, Norouzi, Lee & Hinton 2019, "Similarity of neural network representations
      revisited", ICML, arXiv 1905.00414.
    - Tian, Krishnan & Isola 2020, "Contrastive representation distillation" (RepDistiller), ICLR,
      arXiv 1910.10699.
    """

    name: ClassVar[str] = "distill_features"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OVERFITTING, Cause.CAPACITY_SHORTFALL)

    share: float = 0.1
    """Share of the cause's nats that is expected back (starting value: what feature distillation
    adds to plain distillation in published pairs is small, and often less than nothing)."""
    loss: str = "similarity"
    """What the features are compared by: of the three, the one that closes the most in RepDistiller
    and fits all layers."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where the layers of both models can be listened to."""
        pairs = pairs_for(patient)
        if isinstance(pairs, NotApplicable):
            return pairs
        return Variant(
            varied(patient.recipe, feature_loss=FeatureLoss(self.loss), feature_layers=pairs),
            f"The student also learns features, by their {self.loss}: {told_pairs(pairs)}.",
            self.share,
        )
