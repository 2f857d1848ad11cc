"""Which tensors of a file are the model's, and other values for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._candidates import candidates
from gapdoctor.loading.checkpoint._match import Match, match
from gapdoctor.loading.checkpoint._record import Entry, Role
from gapdoctor.loading.checkpoint.layouts._base import all_layouts
from gapdoctor.loading.writing._storages import NotInPlace

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Target:
    """The sets of weights of a file that get the new ones."""

    matches: tuple[Match, ...]
    """The one that was read, and those that held the same values."""
    others: tuple[Entry, ...]
    """All other sets of weights."""

    @property
    def fits(self) -> bool:
        """Whether each of the file's tensors is replaced by one of its own shape."""
        return all(m.fits and not m.missing for m in self.matches)


def entries_of(tree: Any) -> tuple[Entry, ...]:
    """Return the sets of weights in the object inside a file, as reading finds them."""
    found = candidates(tree)
    laid_out = (layout.entries(tree, found) for layout in all_layouts())
    return next((entries for entries in laid_out if entries), ())


def target_of(
    entries: Iterable[Entry], weights: Mapping[str, Tensor], role: Role, key: str | None
) -> Target:
    """Return which of the entries get the new weights.

    Raises
    ------
    CheckpointError
        When none bears their names.
    """
    every = tuple(entries)
    named = [e for e in every if key is None or e.key == key]
    own = [e for e in named if e.role == role] or [e for e in named if e.role is None or key]
    tried = [match(entry, cast("nn.Module", _Named(weights)), role) for entry in own]
    if not tried or not min(tried, key=_rank).pairs:
        raise CheckpointError(
            f"no weights in the file bear the {role}'s names",
            "write the weights with torch.save(model.state_dict(), …)",
        )
    chosen = min(tried, key=_rank)
    same = tuple(m for m in tried if m is chosen or _same(m, chosen))
    taken = {id(m.entry) for m in same}
    return Target(same, tuple(e for e in every if id(e) not in taken))


class _Named:
    """Weights in the place of the model that has them: matching asks for their names only."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def state_dict(self) -> Mapping[str, Tensor]:
        return self._weights


def _rank(found: Match) -> tuple[int, int]:
    """Names decide; a larger student has the same names and other shapes."""
    return (len(found.missing) + len(found.unexpected), found.problems)


def _same(one: Match, other: Match) -> bool:
    return one.pairs.keys() == other.pairs.keys() and all(
        tensor.shape == other.pairs[name].shape and torch.equal(tensor, other.pairs[name])
        for name, tensor in one.pairs.items()
    )


def put(target: Target, weights: Mapping[str, Tensor]) -> None:
    """Copy the new weights over the old ones, each in the type that it is stored in.

    Raises
    ------
    NotInPlace
        When shapes or names differ, when a value does not fit the stored type, or when other
        weights stand on the same bytes.
    """
    if not target.fits:
        raise NotInPlace("the new weights have other names or shapes than the old ones")
    before = [
        (tensor, tensor.clone()) for entry in target.others for tensor in entry.state.values()
    ]
    pairs = [(m.pairs[name], new) for m in target.matches for name, new in weights.items()
             if name in m.pairs]  # fmt: skip
    with torch.no_grad():
        for old, new in pairs:
            old.copy_(as_stored(new, old.dtype))
    if not all(_equal(old, new.to(old.dtype)) for old, new in pairs):
        raise NotInPlace("two of the weights shared their bytes and now differ")
    if not all(_equal(tensor, copy) for tensor, copy in before):
        raise NotInPlace("another model's weights stand on the same bytes")


def as_stored(new: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in the type that the file stores it in.

    Raises
    ------
    NotInPlace
        When that type cannot hold its values.
    """
    cast_ = new.detach().cpu().to(dtype)
    if new.is_floating_point() and not torch.equal(cast_.isfinite(), new.cpu().isfinite()):
        raise NotInPlace(f"a weight is too large for {str(dtype).removeprefix('torch.')}")
    return cast_


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.cpu().nan_to_num())
