"""Every set of weights inside a file, by its dotted path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gapdoctor.loading.checkpoint._tree import weights_of

if TYPE_CHECKING:
    from torch import Tensor

USUAL = (
    "state_dict", "model_state_dict", "model", "net", "network", "student", "weights", "params",
    "module", "state_dict_ema", "model_ema", "ema",
)  # fmt: skip
"""Names under which trainers keep weights, in the order in which they are told."""
_NEVER = ("optim", "sched", "scaler", "rng", "callback", "loops", "args", "config", "hyper", "hist")
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set of weights, and the object in the file that it came from."""

    path: str
    state: dict[str, Tensor]
    source: int
    """`id` of that object, so that it is told as weights only."""


def candidates(tree: Any) -> tuple[Candidate, ...]:
    """Return all sets of weights in `tree`, the usual names first."""
    whole = weights_of(tree)
    if whole is not None:
        return (Candidate("", whole, id(tree)),)
    found = _inside(tree, "", 0)
    return tuple(sorted(found, key=_rank))


def _inside(tree: Any, prefix: str, level: int) -> list[Candidate]:
    if not isinstance(tree, dict) or level == _LEVELS:
        return []
    found: list[Candidate] = []
    for key, value in dict.items(tree):
        if not isinstance(key, str) or key.lower().startswith(_NEVER):
            continue
        path = f"{prefix}.{key}".strip(".")
        state = weights_of(value)
        if state is None:
            found += _inside(value, path, level + 1)
        elif key in USUAL or _looks_like_weights(state):
            found.append(Candidate(path, state, id(value)))
    return found


def _looks_like_weights(state: dict[str, Tensor]) -> bool:
    """A dict of curves is no model: one of a model's names has a dot or is a weight or a bias."""
    return any("." in name or name in ("weight", "bias") for name in state)


def _rank(candidate: Candidate) -> tuple[int, int]:
    last = candidate.path.rpartition(".")[2]
    return (candidate.path.count("."), USUAL.index(last) if last in USUAL else len(USUAL))
