"""Rebalance the losses: let the teacher be heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Distillation, Recipe
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._signs import teachers_overconfidence


@dataclass(frozen=True)
class RebalanceLosses(Fix):
    """Change task weight, temperature and the factor T² so that the teacher is heard.

    Soft targets carry what the labels do not, and keep a student from learning its rows by heart.
    Their gradients shrink by 1/T², so the distillation loss is multiplied by T² (Hinton et al.
    2015); the labels weigh little beside it (0.1 in RepDistiller, Tian et al. 2020; nothing at all
    in Beyer et al. 2022). Usual temperatures are 2 to 10.

    Where all that is as it should be, another loss is tried. Plain KL weighs what the teacher says
    of the other classes by its doubt about the label; the decoupled loss lets it be heard (Zhao et
    al. 2022). A teacher that is sure even of its errors has logits that a student hardly reaches:
    the standardized loss asks for their order and proportions alone (Sun et al. 2024). It leaves
    the student's own scale free, which the temperature that every arm is given makes good.

    Label smoothing stays as it is. What harms is a teacher that was trained with it (Müller et al.
    2019); in the student's own labels, measured on students with few rows and weights of 0.1 to
    0.9, it moves the held-out loss by less than 0.01 nats, either way.

    When it helps
    -------------
    Where the factor T² was left out: measured, all of 0.62 nats come back with it. Where the labels
    outweigh the teacher, or the temperature is not a usual one.

    Measured, the decoupled loss helps students with few rows whose teacher knows better (six of
    them got 0.03 to 0.18 of their excess back), the standardized one those whose teacher is too
    sure (two of them: 0.3 and 0.8).

    When it does not
    ----------------
    Distillation does not always help: of 162 published cells (a pair and a method each, tables of
    RepDistiller) the student is below the undistilled one in 22, which is why an arm without a
    teacher is run where the budget allows. Measured, the decoupled loss harms students that are too
    small (by 0.01 to 0.15 nats) or whose teacher learned the same rows by heart.

    It is not tried

    - where only the scale of the logits is off: that is for `scale_temperature`;
    - where another loss ran than is declared: `retrain_as_declared` comes first;
    - where the recipe distils by another loss than plain KL and has its factor T²: which weight and
      temperature suit it is not known;
    - where all is as it should be already, and two classes leave nothing more to say, or the
      student is too small to gain by more.

    Sources
    -------
    - Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", arXiv 1503.02531.
    - Tian, Krishnan & Isola 2020, "Contrastive representation distillation" (RepDistiller), ICLR,
      arXiv 1910.10699.
    - Beyer, Zhai, Royer, Markeeva, Anil & Kolesnikov 2022, "Knowledge distillation: a good teacher
      is patient and consistent", CVPR, arXiv 2106.05237.
    - Zhao, Cui, Song, Qiu & Liang 2022, "Decoupled knowledge distillation", CVPR, arXiv 2203.08679.
    - Sun, Ren, Li, Wang & Cao 2024, "Logit standardization in knowledge distillation", CVPR, arXiv
      2403.01427.
    - Müller, Kornblith & Hinton 2019, "When does label smoothing help?", NeurIPS, arXiv 1906.02629.
    """

    name: ClassVar[str] = "rebalance_losses"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.LOSS_IMBALANCE, Cause.OVERFITTING)

    share: float = 0.5
    """Share of the cause's nats that is expected back (starting value)."""
    with_t2: float = 0.8
    """The same where the factor T² was left out (measured: all of 0.62 nats come back with it)."""
    task_weight: float = 0.1
    """What the labels weigh (RepDistiller)."""
    temperature: float = 4.0
    """Where the recipe's is not a usual one (Hinton et al.; RepDistiller)."""
    usual: tuple[float, float] = (2.0, 10.0)
    """Temperatures that are kept as they are (Hinton et al.)."""
    another: float = 0.15
    """The same by another loss (starting value; measured: 0.03 to 0.18 of the excess of six
    students with few rows by the decoupled one, 0.3 and 0.8 of two whose teacher was too sure by
    the standardized one)."""
    others: float = 2.0
    """What the classes beside the label weigh in the decoupled loss (its authors: 2 to 8; measured
    on 10 to 60 classes: 8 does more where it helps, and harm elsewhere)."""
    of_z_scores: float = 2.0
    """Temperature of the standardized loss (its authors)."""
    too_sure: float = 0.67
    """Share of its errors by which the teacher's confidence is above its accuracy, from which its
    logits are taken for too large (measured: at 0.78 the standardized loss gives back 0.08 nats
    where it gives 0.01 at 0.50 and costs 0.03 below)."""
    small: float = 0.5
    """Confidence of a student that is too small from which the decoupled loss is not tried
    (measured: it costs such students 0.01 to 0.15 nats)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Change what keeps the teacher from being heard."""
        if patient.only_said_by(Cause.LOSS_IMBALANCE, "temperature") and not patient.causes.get(
            Cause.OVERFITTING
        ):
            return NotApplicable("only the scale of the logits is off: scale_temperature")
        recipe = patient.recipe
        if patient.declared.task_weight != recipe.task_weight or (
            patient.declared.scale_by_t2 is not recipe.scale_by_t2
        ):
            return NotApplicable(
                "another loss ran than is declared; the declared one comes first: "
                "retrain_as_declared"
            )
        if recipe.distillation != Distillation.KL:
            return self._of_another_loss(patient)
        changed = self._changed(patient)
        if not changed:
            return self._alternative(patient)
        lone = patient.recipe.scale_by_t2 is False and 0 < (recipe.task_weight or 0.0) < 1
        return Variant(
            varied(recipe, **changed), f"The teacher is heard: {_told(patient, changed)}.",
            self.with_t2 if lone else self.share,
        )  # fmt: skip

    def _of_another_loss(self, patient: Patient) -> Variant | NotApplicable:
        """The factor T² belongs to each; weights and temperatures differ from loss to loss."""
        recipe = patient.recipe
        assert recipe.temperature is not None
        if recipe.scale_by_t2 or recipe.temperature <= 1 or recipe.task_weight == 1:
            return NotApplicable(
                f"the distillation loss is {recipe.distillation}; which weight and temperature "
                "suit it is known of plain KL alone"
            )
        changed = {"scale_by_t2": True}
        return Variant(
            varied(recipe, **changed), f"The teacher is heard: {_told(patient, changed)}.",
            self.share,
        )  # fmt: skip

    def _alternative(self, patient: Patient) -> Variant | NotApplicable:
        """Weight, temperature and T² are as they should be: another loss may say more."""
        recipe = patient.recipe
        assert recipe.task_weight is not None
        heard = (
            f"the distillation loss weighs {1 - recipe.task_weight:g} at temperature "
            f"{recipe.temperature:g} with the factor T² already"
        )
        if len(patient.diagnosis.data.classes) <= 2:
            return NotApplicable(f"{heard}, and of two classes there is nothing more to say")
        if (teachers_overconfidence(patient) or 0.0) >= self.too_sure:
            return self._standardized(recipe)
        small = patient.causes.get(Cause.CAPACITY_SHORTFALL)
        if small is not None and small.confidence >= self.small:
            return NotApplicable(f"{heard}, and a student that is too small gains nothing by more")
        weights = {"dkd_alpha": 1.0, "dkd_beta": self.others}
        return Variant(
            varied(recipe, distillation=Distillation.DECOUPLED, **weights),
            "The teacher is heard on the other classes too, however sure it is of the label: by "
            f"the decoupled loss, in which they weigh {self.others:g}.",
            self.another,
        )

    def _standardized(self, recipe: Recipe) -> Variant:
        return Variant(
            varied(recipe, distillation=Distillation.STANDARDIZED, temperature=self.of_z_scores),
            "The teacher is sure even where it is wrong: the student learns the order and the "
            "proportions of its logits instead of their size, by the standardized loss.",
            self.another,
        )

    def _changed(self, patient: Patient) -> dict[str, Any]:
        recipe = patient.recipe
        assert recipe.task_weight is not None
        assert recipe.temperature is not None
        changed: dict[str, Any] = {}
        if recipe.task_weight > self.task_weight and not self._muffled(patient):
            changed["task_weight"] = self.task_weight
        low, high = self.usual
        if not low <= recipe.temperature <= high:
            changed["temperature"] = self.temperature
        if not recipe.scale_by_t2 and changed.get("temperature", recipe.temperature) > 1:
            changed["scale_by_t2"] = True
        return changed

    def _muffled(self, patient: Patient) -> bool:
        """Whether the missing factor alone explains that the teacher was not heard."""
        weight = patient.recipe.task_weight or 0.0
        return patient.recipe.scale_by_t2 is False and weight <= 0.5


def _told(patient: Patient, changed: dict[str, Any]) -> str:
    words = {"task_weight": "task weight", "temperature": "temperature"}
    told = [
        f"{words[name]} {getattr(patient.recipe, name):g} → {value:g}"
        for name, value in changed.items()
        if name in words
    ]
    return ", ".join([*told, *(["with the factor T²"] if "scale_by_t2" in changed else [])])
