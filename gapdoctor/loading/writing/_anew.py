"""A file written anew in the layout of another one, where its bytes cannot take the new weights."""

from __future__ import annotations

import argparse
import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gapdoctor.loading.checkpoint._inert import Inert, NumpyArray
from gapdoctor.loading.checkpoint._match import Match
from gapdoctor.loading.checkpoint._tree import weights_of
from gapdoctor.loading.writing._storages import NotInPlace
from gapdoctor.loading.writing._target import Target, as_stored

_OF_TRAINING = ("optim", "sched", "scaler", "rng")
"""Parts of the names of entries that belong to one training and its shapes."""


@dataclass(slots=True)
class Anew:
    """An object to save, and what became of the old one's parts."""

    tree: Any
    plain: bool = False
    """A bare state_dict took the place of the whole layout."""
    dropped: list[str] = field(default_factory=list)
    """Entries left out: they belong to the old training."""
    unknown: list[str] = field(default_factory=list)
    """Entries left out: they are of classes that are not imported."""


def anew(tree: Any, target: Target, weights: Mapping[str, Tensor]) -> Anew:
    """Return the object with the new weights in the places of the old ones.

    What is not weights is kept, but for two kinds: states of the optimizer, the schedule and alike
    where shapes changed (they would not load), and objects of classes that are not imported.

    Parameters
    ----------
    tree : object
        What the file holds.
    target : Target
        Of the same object.
    weights : mapping of str to Tensor
        By the model's own names.
    """
    whole = weights_of(tree) is not None
    if not isinstance(tree, dict):
        return Anew(_bare(weights), plain=True)
    if whole:
        return Anew(_replaced(tree, target.matches[0], weights))
    made = Anew(None)
    made.tree = _walked(tree, "", made, target, weights)
    return made


def saved(content: Any, *, legacy: bool) -> bytes:
    """Return the bytes of torch.save, in its present or its old format."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _walked(
    value: Any,
    path: str,
    made: Anew,
    target: Target,
    weights: Mapping[str, Tensor],
) -> Any:
    """A dict, level by level: weights replaced, the rest as plain as it must be."""
    result = OrderedDict() if isinstance(value, OrderedDict) else {}
    for key, item in dict.items(value):
        here = f"{path}.{key}".strip(".")
        state = weights_of(item)
        found = None if state is None else _match_at(here, target)
        if found is not None:
            result[key] = (
                _replaced(item, found, weights) if isinstance(item, dict) else _bare(weights)
            )
            if not isinstance(item, dict):
                made.unknown.append(f"{here} (a whole model; its weights stand there now)")
        elif not target.fits and any(part in str(key).lower() for part in _OF_TRAINING):
            made.dropped.append(here)
        elif isinstance(item, dict) and state is None:
            result[key] = _walked(item, here, made, target, weights)
        else:
            try:
                result[key] = _plain(item)
            except NotInPlace as reason:
                made.unknown.append(f"{here} ({reason})")
    return result


def _match_at(path: str, target: Target) -> Match | None:
    """The match whose weights stand at `path`, or there under a prefix of their names."""
    keys = ((m, m.entry.key) for m in target.matches)
    return next((m for m, key in keys if key == path or key.startswith(f"{path}.")), None)


def _replaced(old: dict[Any, Any], match: Match, weights: Mapping[str, Tensor]) -> dict[Any, Any]:
    """The old dict's names in their order, those of the model with its new weights."""
    own, gone = _own_names(old, match), _places_of_old_weights(match)
    lead = _lead(own)
    new: dict[Any, Any] = OrderedDict() if isinstance(old, OrderedDict) else {}
    for raw, value in dict.items(old):
        if raw in own:
            new[raw] = _tensor(weights[own[raw]], value)
        elif not (isinstance(value, Tensor) and value.data_ptr() in gone):
            new[raw] = _plain_or_none(value)
    for name in weights.keys() - set(own.values()):
        new[lead + name] = weights[name].detach().cpu().clone()
    if hasattr(old, "__dict__"):  # torch keeps the versions of modules there
        vars(new).update({k: v for k, v in vars(old).items() if k == "_metadata"})
    return new


def _own_names(old: dict[Any, Any], match: Match) -> dict[str, str]:
    """Name in the file -> the model's own name, by where the tensors lie and by their names."""
    places: dict[tuple[int, int], list[str]] = {}
    for own, tensor in match.pairs.items():
        places.setdefault((tensor.data_ptr(), tensor.numel()), []).append(own)
    found: dict[str, str] = {}
    raw: Any
    for raw, tensor in dict.items(old):
        if isinstance(tensor, Tensor):
            names = places.get((tensor.data_ptr(), tensor.numel()), [])
            alike = [n for n in names if _ending(raw, n)]
            if alike:
                found[raw] = max(alike, key=lambda n: _ending(raw, n))
    return found


def _ending(raw: str, own: str) -> int:
    """How many of the last dotted parts two names share."""
    a, b = raw.split(".")[::-1], own.split(".")[::-1]
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(map(len, (a, b)))
    )


def _lead(own: Mapping[str, str]) -> str:
    """What the file writes before the model's own names."""
    return next((r.removesuffix(n) for r, n in own.items() if r.endswith(n)), "")


def _places_of_old_weights(match: Match) -> set[int]:
    """Where the weights of the old model lie that the new one lacks."""
    taken = {tensor.data_ptr() for tensor in match.pairs.values()}
    own = {t.data_ptr() for n, t in match.entry.state.items() if n not in match.beside}
    return own - taken if match.unexpected else set()


def _tensor(new: Tensor, old: Tensor) -> Tensor:
    try:
        return as_stored(new, old.dtype).clone()
    except NotInPlace:  # written as wide as it is: strict loading casts it
        return new.detach().cpu().clone()


def _bare(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return OrderedDict((name, tensor.detach().cpu().clone()) for name, tensor in weights.items())


def _plain_or_none(value: Any) -> Any:
    try:
        return _plain(value)
    except NotInPlace:
        return None


def _plain(value: Any) -> Any:
    """The value where it is plain data through and through; known stand-ins as what they were."""
    if isinstance(value, NumpyArray):
        return value.values()
    if isinstance(value, Inert):
        if value.kind == "argparse.Namespace":
            return argparse.Namespace(**{str(k): _plain(v) for k, v in value.fields().items()})
        if value.kind.startswith("pathlib."):
            return "/".join(str(part) for part in value.args)
        raise NotInPlace(value.kind)
    if isinstance(value, dict):
        items = {key: _plain(item) for key, item in dict.items(value)}
        return type(value)(items) if type(value) in (dict, OrderedDict) else items
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, nn.Module):
        raise NotInPlace(type(value).__name__)
    return value
