"""Layers of the teacher that a student can learn from, and how they are told."""

from __future__ import annotations

from collections.abc import Sequence

from gapdoctor.fixes._base import NotApplicable, Patient


def pairs_for(patient: Patient) -> tuple[tuple[str, str], ...] | NotApplicable:
    """Return the layers that are paired, or what keeps a training from learning them."""
    there = patient.recipe.feature_loss
    if there is not None:
        return NotApplicable(f"the recipe learns the teacher's features already ({there})")
    if isinstance(patient.layer_pairs, str):
        return NotApplicable(patient.layer_pairs)
    return patient.layer_pairs or NotApplicable("no layers of student and teacher are paired")


def told_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """Return pairs of layers in words."""
    return ", ".join(f"`{mine}` from the teacher's `{theirs}`" for mine, theirs in pairs)
