"""Rebalance the losses: let the teacher be heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied


@dataclass(frozen=True)
class RebalanceLosses(Fix):
    """Change task weight, temperature and the factor T² so that the teacher is heard.

    Soft targets carry what the labels do not, and keep a student from learning its rows by heart.
    Their gradients shrink by 1/T², so the distillation loss is multiplied by T² (Hinton et al.
    2015, arXiv 1503.02531); the labels weigh little beside it (0.1 in RepDistiller, Tian et al.
    2020, arXiv 1910.10699; nothing at all in Beyer et al. 2022, arXiv 2106.05237). Usual
    temperatures are 2 to 10.

    It does not always help: plain distillation is below the undistilled student in 22 of 162
    published cells, which is why an arm without a teacher is run where the budget allows.
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
        changed = self._changed(patient)
        if not changed:
            assert recipe.task_weight is not None
            return NotApplicable(
                f"the distillation loss weighs {1 - recipe.task_weight:g} at temperature "
                f"{recipe.temperature:g} with the factor T² already"
            )
        lone = patient.recipe.scale_by_t2 is False and 0 < (recipe.task_weight or 0.0) < 1
        return Variant(
            varied(recipe, **changed), f"The teacher is heard: {_told(patient, changed)}.",
            self.with_t2 if lone else self.share,
        )  # fmt: skip

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
