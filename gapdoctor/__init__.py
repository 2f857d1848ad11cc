"""gapdoctor: the doctor for knowledge distillation.

Names are looked up when first used, so that importing gapdoctor imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gapdoctor.version import __version__

_HOMES = {
    "Case": "gapdoctor.observe.case",
    "Pipeline": "gapdoctor.observe.case",
    "Preprocess": "gapdoctor.observe.case",
    "TeacherLogits": "gapdoctor.observe.case",
    "Diagnosis": "gapdoctor.domain.diagnosis",
    "Recipe": "gapdoctor.domain.recipe",
    "GapDoctorError": "gapdoctor.errors",
    "diagnose": "gapdoctor.pipeline",
    "fix": "gapdoctor.pipeline",
    "plan": "gapdoctor.pipeline",
    "load_case": "gapdoctor.loading.load",
    "save_bundle": "gapdoctor.bundle",
}

__all__ = [
    "Case",
    "Diagnosis",
    "GapDoctorError",
    "Pipeline",
    "Preprocess",
    "Recipe",
    "TeacherLogits",
    "__version__",
    "diagnose",
    "fix",
    "load_case",
    "plan",
    "save_bundle",
]

if TYPE_CHECKING:
    from gapdoctor.bundle import save_bundle
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.domain.recipe import Recipe
    from gapdoctor.errors import GapDoctorError
    from gapdoctor.loading.load import load_case
    from gapdoctor.observe.case import Case, Pipeline, Preprocess, TeacherLogits
    from gapdoctor.pipeline import diagnose, fix, plan


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'gapdoctor' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
