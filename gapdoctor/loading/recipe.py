"""How a student was trained, as far as its checkpoint and the files beside it tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gapdoctor.domain.recipe import Optimizer, Recipe, RecipeRecord, Source
from gapdoctor.loading.recipe_fields import Found
from gapdoctor.loading.recipe_names import read_names
from gapdoctor.loading.recipe_sidecars import read_sidecars
from gapdoctor.loading.recipe_states import read_states

if TYPE_CHECKING:
    from gapdoctor.loading.checkpoint import Checkpoint

_ARGUMENTS = (
    "args", "hyper_parameters", "hparams", "train_args", "training_args", "opt", "options",
    "config", "cfg", "params", "settings",
)  # fmt: skip
_WITH_MOMENTUM = (Optimizer.SGD, Optimizer.RMSPROP)
_WITH_BETAS = (Optimizer.ADAM, Optimizer.ADAMW, Optimizer.NADAM, Optimizer.RADAM)


def recover_recipe(checkpoint: Checkpoint) -> RecipeRecord:
    """Return what is known of the recipe, each field with its source.

    In this order of trust: the recipe of a bundle, the states of optimizer and schedule, the
    script's arguments inside the file, a file of arguments beside it. What nobody says is left
    unknown; nothing is defaulted.

    Parameters
    ----------
    checkpoint : Checkpoint
        The file that was read; its folder is looked at for `args.json` and alike.
    """
    inside, beside = _sources(checkpoint)
    sources: dict[str, Source] = dict.fromkeys(inside.values, "checkpoint")
    values = dict(inside.values)
    for name, value in beside.values.items():
        if name not in values:
            values[name], sources[name] = value, "sidecar"
    for name in idle_fields(values.get("optimizer")):
        values.pop(name, None)
        sources.pop(name, None)
    return RecipeRecord(Recipe(**values), sources)


def recipe_notes(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return what the file says of the recipe that is not certain enough to be a value."""
    inside, beside = _sources(checkpoint)
    known = inside.values.keys() | beside.values.keys()
    told = (sentence for name, sentence in (*inside.notes, *beside.notes) if name not in known)
    return tuple(dict.fromkeys(told))


def _sources(checkpoint: Checkpoint) -> tuple[Found, Found]:
    meta = checkpoint.meta
    inside = Found()
    if checkpoint.format == "bundle":
        for name, value in _mapping(meta.get("recipe")).items():
            inside.add(name, value)
        return inside, Found()
    inside.extend(read_states(meta))
    for key in _ARGUMENTS:
        inside.extend(read_names(_mapping(meta.get(key))))
    inside.extend(read_names(_loose(meta)))
    return inside, read_sidecars(checkpoint.path)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _loose(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Single values at the file's top; a learning rate there may be the last one."""
    return {
        name: value
        for name, value in meta.items()
        if not isinstance(value, Mapping | list) and name not in ("lr", "learning_rate")
    }


def idle_fields(optimizer: Optimizer | None) -> tuple[str, ...]:
    """Return the fields that an optimizer does not read: scripts hold a momentum for Adam, too."""
    if optimizer is None:
        return ()
    idle = () if optimizer in _WITH_MOMENTUM else ("momentum", "nesterov")
    return idle if optimizer in _WITH_BETAS else (*idle, "betas")
