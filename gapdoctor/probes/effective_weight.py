"""Effective weight: which loss was really minimised?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Side, Skipped
from gapdoctor.domain.recipe import Recipe, Schedule
from gapdoctor.observe.measures import (
    asks_for_gradients,
    larger_side,
    limit_now,
    measure_left,
)
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.observe.training_view import training_view
from gapdoctor.probes._base import Probe
from gapdoctor.stats.head import EffectiveWeight, effective_weight, odds_ratio


@dataclass(frozen=True)
class WeightInForce(Probe):
    """Is the weight between task and distillation loss in force the declared one?

    At the end of training the gradient of the loss in force is about zero. The head's gradients
    are known in closed form, so the task weight at which they cancel can be solved for (Wang & Gong
    2018, arXiv 1802.05351). Its odds over the declared odds tell the usual bugs: temperature² is a
    missing factor T² (Hinton et al. 2015), the number of classes a `reduction="mean"`, their
    product both. Taken in training conditions: batch statistics, the recipe's augmentation, one
    view for both models. Where the gradients do not cancel (residual above 0.4), nothing is said;
    nor where the labels seem to weigh more than any known bug makes them while the learning rate
    never came down: rows that are fitted have no task gradient left, whatever its weight.

    A recipe that says outright that T² is left out is read as it stands: its distillation loss is
    T² weaker than its weight says. That is held against it weakly, where the excess gap shows.

    Too little distillation makes the student learn the labels by heart: overfitting is then its
    consequence.
    """

    name: ClassVar[str] = "effective_weight"
    order: ClassVar[int] = 84
    needs: ClassVar[frozenset[Need]] = frozenset({Need.LOSS_WEIGHTS})

    residual_limit: float = 0.4
    """Share of the gradient that does not cancel, above which nothing is said."""
    odds_limit: float = 4.0
    """Factor between the odds in force and the declared odds, either way."""
    match: float = 2.0
    """Factor within which the odds ratio is that of a known bug."""
    strength: float = 4.5
    """Log-odds of a ratio that is that of a known bug."""
    unnamed: float = 2.5
    """Log-odds of another ratio beyond the limit."""
    against: float = -1.5
    """Log-odds where the weight in force is near the declared one."""
    one_sided: float = 0.3
    """Weight of the other loss in force, where the recipe declares that only one was used."""
    warm: float = 2.0
    """Temperature from which a declared loss without T² is weighed by T² in earnest."""
    declared: float = 1.5
    """Log-odds of a declared loss whose distillation term lacks T², where E is above h."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Read the declared loss, then solve for the weight at which the checkpoint is at rest."""
        if not asks_for_gradients(seen):
            return Finding(self.name)
        declared = self._declared(seen)
        found = self._in_force(seen)
        if isinstance(found, Skipped):
            return Finding(self.name, declared) if declared else found
        return Finding(self.name, (*declared, found))

    def _declared(self, seen: Observations) -> tuple[Claim, ...]:
        """What the recipe says outright: a distillation term that is T² weaker than its weight."""
        recipe = seen.recipe.recipe
        weight, temperature = recipe.task_weight, recipe.temperature
        assert weight is not None
        assert temperature is not None
        weak = recipe.scale_by_t2 is False and temperature >= self.warm and 0 < weight < 1
        if not weak or measure_left(seen).excess_gap.low <= limit_now(seen):
            return ()
        factor = temperature**2
        in_force = weight / (weight + (1 - weight) / factor)
        evidence = Evidence(
            self.name,
            f"The recipe does not multiply the distillation loss by T² (temperature "
            f"{temperature:g}): its gradient is {factor:g} times weaker than its weight says. "
            f"Declared, the task loss weighs {weight:.2f} and the distillation loss "
            f"{1 - weight:.2f}; in force are {in_force:.2f} and {1 - in_force:.2f}.",
            factor, self.odds_limit, "times", "for",
        )  # fmt: skip
        claim = Claim(
            Cause.LOSS_IMBALANCE, self.declared, "declared weight", (evidence,),
            side=Side.EXCESS_GAP,
            summary=f"Without the factor T² the distillation loss weighs {1 - in_force:.2f} "
            f"instead of {1 - weight:.2f}: the student hardly listens to its teacher.",
        )  # fmt: skip
        return (claim,)

    def _in_force(self, seen: Observations) -> Claim | Skipped:
        recipe = seen.recipe.recipe
        assert recipe.task_weight is not None
        assert recipe.temperature is not None
        view = training_view(seen)
        if isinstance(view, str):
            return Skipped(self.name, view)
        gradients = view.gradients(recipe.temperature, recipe.label_smoothing)
        found = effective_weight(gradients, view.head)
        if not found.residual <= self.residual_limit:
            return Skipped(
                self.name,
                f"the head's gradients do not cancel (residual {found.residual:.2f}): the weight "
                "in force cannot be read; a run to the end with its learning rate annealed would "
                "tell",
            )
        if not 0 < recipe.task_weight < 1:
            return self._one_sided(seen, found, recipe.task_weight)
        declared_t2 = recipe.scale_by_t2 is not False
        ratio = odds_ratio(found, recipe.task_weight, recipe.temperature, declared_t2)
        if self._is_merely_fitted(recipe, ratio, len(seen.classes)):
            return Skipped(
                self.name,
                "the train rows are fitted, so that next to nothing is left of the task loss's "
                "gradient; at a learning rate that never came down the other one need not be at "
                "rest, and the weight in force cannot be read",
            )
        return self._claim(seen, found, ratio)

    def _is_merely_fitted(self, recipe: Recipe, ratio: float, classes: int) -> bool:
        """Whether the odds are beyond those of all known bugs for want of a task gradient."""
        assert recipe.temperature is not None
        most = self.match * classes * recipe.temperature**2
        return recipe.schedule is Schedule.CONSTANT and ratio > most

    def _one_sided(self, seen: Observations, found: EffectiveWeight, declared: float) -> Claim:
        """There are no odds of 0 or 1; the weight in force is told."""
        off = abs(found.task_weight - declared) > self.one_sided
        evidence = Evidence(
            self.name,
            f"The checkpoint is at rest under a task weight of {found.task_weight:.2f} (residual "
            f"{found.residual:.2f}); declared is {declared:.0f}, one of the two losses alone.",
            found.task_weight, declared, "task weight", "for" if off else "against",
        )  # fmt: skip
        summary = (
            f"Another loss was minimised than is declared: the task loss weighs "
            f"{found.task_weight:.2f} instead of {declared:.0f}."
        )
        return Claim(
            Cause.LOSS_IMBALANCE, self.unnamed if off else self.against, "weight in force",
            (evidence,), side=larger_side(seen), summary=summary if off else "",
        )  # fmt: skip

    def _claim(self, seen: Observations, found: EffectiveWeight, ratio: float) -> Claim:
        recipe = seen.recipe.recipe
        bug = self._bug(ratio, recipe.temperature or 1.0, len(seen.classes))
        off = ratio > self.odds_limit or ratio < 1 / self.odds_limit
        strength = (self.strength if bug else self.unnamed) if off else self.against
        if not off and recipe.scale_by_t2 is False:
            strength = 0.0  # as declared, and what is declared is weak: no word against it
        statement = (
            f"The checkpoint is at rest under a task weight of {found.task_weight:.2f} (residual "
            f"{found.residual:.2f}); declared is {recipe.task_weight:.2f}"
            f"{' without T²' if recipe.scale_by_t2 is False else ''}. The odds are "
            f"{ratio:.3g} times the declared ones{bug and ': ' + bug}."
        )
        evidence = Evidence(
            self.name, statement, ratio, self.odds_limit, "odds ratio", "for" if off else "against"
        )
        summary = (
            f"Another loss was minimised than is declared: the task loss weighs "
            f"{found.task_weight:.2f} instead of {recipe.task_weight:.2f}"
            + (f", as {bug} makes it." if bug else ".")
        )
        return Claim(
            Cause.LOSS_IMBALANCE, strength, "weight in force", (evidence,), side=larger_side(seen),
            summary=summary if off else "",
        )  # fmt: skip

    def _bug(self, ratio: float, temperature: float, classes: int) -> str:
        """The known bugs whose ratio this is, within `match`; several where they are alike."""
        bugs = {
            "a missing factor T²": temperature**2,
            'a reduction="mean" over classes': float(classes),
            "both a missing T² and a mean over classes": classes * temperature**2,
        }
        if not 0 < ratio < math.inf:
            return ""
        far = {name: abs(math.log(ratio / expected)) for name, expected in bugs.items()}
        found = sorted(
            (name for name in bugs if far[name] < math.log(self.match)), key=lambda name: far[name]
        )
        return " or ".join(name for name in found if bugs[name] > self.odds_limit)
