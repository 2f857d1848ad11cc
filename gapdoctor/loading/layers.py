"""Names of layers in a config, checked against the models that they are of."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from gapdoctor.errors import ConfigError
from gapdoctor.loading.where import did_you_mean

KEY = "recipe.feature_layers"


def check_layers(
    pairs: Iterable[tuple[str, str]], student: nn.Module, teacher: object, place: str = KEY
) -> None:
    """Raise where `feature_layers` names a layer that a model does not have.

    Parameters
    ----------
    pairs : iterable of (student's layer, teacher's layer)
        Dotted paths, as `named_modules` has them.
    student : nn.Module
    teacher : object
        A module; of a file of logits nothing is checked.
    place : str
        File, line and key, for the message.

    Raises
    ------
    ConfigError
        Names the layer, with the nearest one there is as the hint.
    """
    models = (("student", student), ("teacher", teacher))
    for pair in pairs:
        for (who, model), path in zip(models, pair, strict=True):
            if not isinstance(model, nn.Module):
                continue
            known = [name for name, _ in model.named_modules() if name]
            if path not in known and not _is_there(model, path):
                raise ConfigError(
                    f"{place}: the {who} has no layer {path!r}",
                    did_you_mean(path, known, f"the {who}'s layers are {_listed(known)}"),
                )


def _is_there(model: nn.Module, path: str) -> bool:
    """A module that stands in two places is listed under one name alone."""
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return bool(path)


def _listed(names: list[str]) -> str:
    told = ", ".join(names[:12])
    return f"{told}, …" if len(names) > 12 else told or "none"
