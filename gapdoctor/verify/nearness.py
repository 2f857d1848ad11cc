"""Does the recipe make the student that the user has? By half A."""

from __future__ import annotations

from dataclasses import dataclass

from gapdoctor.verify.arms import Arm


@dataclass(frozen=True, slots=True)
class Nearness:
    """A control beside the given student."""

    behind: float
    """Loss of the control − loss of the given student on half A, nats."""
    limit: float
    """h, nats."""
    statement: str
    """What that means, as whole sentences; empty where the two are alike."""

    @property
    def near(self) -> bool:
        """Whether the control does not stay behind by more than h: all may start as it did."""
        return self.behind <= self.limit


def control_near_given(control: Arm, given: Arm, limit: float) -> Nearness:
    """Compare a control with the given student on half A, each at its own temperature.

    Many students began from pretrained weights that no recipe names: where the first control
    from scratch stays behind by more than h, training starts from the checkpoint instead. A
    control that is better by more than h says as much of the recipe, and changes nothing.

    Parameters
    ----------
    control : Arm
        With one seed or more.
    given : Arm
        Under the free corrections that the control was trained with.
    limit : float
        h, nats (`gapdoctor.stats.split.limit_h`).
    """
    behind = control.loss_on_a - given.loss_on_a
    if abs(behind) <= limit:
        return Nearness(behind, limit, "")
    origin = "from scratch" if control.start == "scratch" else "on from the checkpoint"
    told = (
        f"Trained {origin} with the recipe that is said to have run, the student loses "
        f"{abs(behind):.3g} nats {'more' if behind > 0 else 'less'} on half A than the given one "
        f"(limit {limit:.3g})"
    )
    return Nearness(behind, limit, f"{told}: {_meaning(control, behind)}")


def _meaning(control: Arm, behind: float) -> str:
    if behind < 0:
        return "the given student was not trained by this recipe alone, or was stopped early."
    if control.start == "scratch":
        return "the recipe is not the one, or the student began from weights that it does not name."
    return "the recipe is not the one: it undoes what the student had learned."
