"""Weights into a model: which entry, which names, strictly."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._guess import complaint, guess
from gapdoctor.loading.checkpoint._match import Match, match
from gapdoctor.loading.checkpoint._record import Checkpoint, Entry, Role

if TYPE_CHECKING:
    from torch import nn

_SHOWN = 3


def load_weights(
    model: nn.Module, checkpoint: Checkpoint, *, key: str | None, role: Role
) -> tuple[str, ...]:
    """Load the weights of one entry into `model`, strictly.

    Parameters
    ----------
    model : nn.Module
        Built by the user's factory; changed in place.
    checkpoint : Checkpoint
        The file that was read.
    key : str or None
        Dotted path of the entry in the file (`[student] key`). None: the one that fits.
    role : {"student", "teacher", "assistant"}
        Whose weights are wanted; entries that the file calls another's are not looked at. In a file
        of its own an assistant may be the student.

    Returns
    -------
    tuple of str
        What was assumed: a prefix stripped, a width cast, values that are no numbers.

    Raises
    ------
    CheckpointError
        When no entry fits, when several differing ones do, or when `key` names none.
    """
    matches = [match(entry, model, role) for entry in _eligible(checkpoint, key, role)]
    chosen, notes = _chosen(matches, checkpoint, role)
    state = {name: chosen.pairs.get(name, own) for name, own in model.state_dict().items()}
    try:
        model.load_state_dict(state, strict=True)
    except Exception as error:
        # a model may have loading hooks of its own
        raise CheckpointError(
            f"{checkpoint.path}: the {role} model refuses its weights ({type(error).__name__})",
            "check model and args",
        ) from error
    return (*notes, *_remarks(chosen))


def fits(model: nn.Module, entry: Entry, role: Role) -> bool:
    """Tell whether an entry's weights can be loaded into `model`; changes nothing."""
    return match(entry, model, role).fits


def _eligible(checkpoint: Checkpoint, key: str | None, role: Role) -> tuple[Entry, ...]:
    if key is not None:
        named = tuple(entry for entry in checkpoint.entries if entry.key == key)
        if named:
            return named
        known = [entry.key for entry in checkpoint.entries]
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it holds: {_listed(known)}"
        raise CheckpointError(f"{checkpoint.path}: no weights under the key {key!r}", hint)
    wanted = ("assistant", "student") if role == "assistant" else (role,)
    own = tuple(entry for entry in checkpoint.entries if entry.role in wanted)
    open_to_all = tuple(entry for entry in checkpoint.entries if entry.role is None)
    if own or open_to_all:
        return own or open_to_all
    other = checkpoint.entries[0].role if checkpoint.entries else None
    what = f"only the {other}'s weights" if other else "no weights that can be read"
    raise CheckpointError(
        f"{checkpoint.path}: holds {what}; the {role}'s are wanted",
        f"set [{role}] key to the entry that is meant, or [{role}] checkpoint to its file",
    )


def _chosen(
    matches: list[Match], checkpoint: Checkpoint, role: Role
) -> tuple[Match, tuple[str, ...]]:
    fitting = [m for m in matches if m.fits]
    if not fitting:
        best = min(matches, key=lambda m: m.problems)
        where = f" (key {best.entry.key})" if best.entry.key else ""
        raise CheckpointError(
            f"{checkpoint.path}{where}: does not fit the {role} model: {complaint(best)}",
            guess(best),
        )
    first = fitting[0]
    if len(fitting) == 1:
        return first, ()
    if all(_same(first, other) for other in fitting[1:]):
        return first, (f"{_labels(fitting)} hold the same weights; the first is taken.",)
    raise CheckpointError(
        f"{checkpoint.path}: several sets of weights fit the {role}: {_labels(fitting)}",
        f'say which: [{role}] key = "{first.entry.key}"',
    )


def _same(first: Match, second: Match) -> bool:
    import torch

    return first.pairs.keys() == second.pairs.keys() and all(
        torch.equal(tensor, second.pairs[name]) for name, tensor in first.pairs.items()
    )


def _remarks(chosen: Match) -> tuple[str, ...]:
    notes = []
    if chosen.stripped:
        notes.append(f"The prefix {chosen.stripped} was taken off the names in the file.")
    if chosen.beside:
        notes.append(f"{len(chosen.beside)} tensors beside it were left out.")
    widths = sorted({str(t.dtype) for t in chosen.pairs.values() if t.is_floating_point()})
    odd = [width.removeprefix("torch.") for width in widths if width != "torch.float32"]
    if odd:
        notes.append(f"Weights stored as {', '.join(odd)} were cast to the model's own type.")
    broken = [name for name, t in chosen.pairs.items() if not t.isfinite().all()]
    if broken:
        notes.append(f"{len(broken)} tensors hold NaN or infinity: {_listed(broken)}.")
    return tuple(notes)


def _labels(matches: list[Match]) -> str:
    return ", ".join(m.entry.label for m in matches)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = ", …" if len(names) > _SHOWN else ""
    return ", ".join(name or "(the file itself)" for name in names[:_SHOWN]) + more
