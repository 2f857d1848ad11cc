"""New views of train rows: what suits them, and whether teacher and student can share one."""

from __future__ import annotations

from gapdoctor.domain.recipe import Recipe, TaughtBy
from gapdoctor.fixes._patient import Patient
from gapdoctor.observe.augmentation import OWN, default_augmentation
from gapdoctor.training.views import MIXUP_NAME


def why_no_views(patient: Patient, recipe: Recipe) -> str | None:
    """Return what keeps a recipe from showing new views, the same to both; None: nothing does."""
    if not patient.floating:
        return "the inputs are whole numbers, not measurements"
    if (recipe.task_weight or 0.0) >= 1 or recipe.taught_by == TaughtBy.ASSISTANT:
        return None  # nobody is asked, or one who eats what the student eats
    if patient.teacher_parameters is None:
        return "the teacher is a file of logits, which knows no new views"
    if not patient.shares_view:
        return "the teacher has a pipeline of its own: they cannot share a view"
    return None


def new_views(patient: Patient) -> tuple[str, ...]:
    """Return what suits the inputs and does not augment yet, the most helpful first.

    Beside a user's own augmentation mixup alone.
    """
    there = patient.augmentation
    own = any(name == OWN or ":" in name for name in there)
    suited = () if own else default_augmentation(patient.kind, patient.shape)
    return tuple(name for name in (MIXUP_NAME, *suited) if name not in there)
