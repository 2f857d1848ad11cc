"""`student.fixed.pth`: other weights in the file that the student was read from.

The user's own loading code must go on to work on it, so the file keeps its container, its layout,
its keys and prefixes and the types of its numbers. Where names and shapes are the same, the new
numbers are put into the very bytes of the old ones: all else stays, also what only the user's code
can unpickle, and nothing of it is run. Else the file is written anew, as alike as it can be, and
what had to give way is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gapdoctor.errors import CheckpointError, GapDoctorError, OutputError
from gapdoctor.files import write_bytes
from gapdoctor.loading.checkpoint._open import Opened, open_checkpoint
from gapdoctor.loading.checkpoint._read import read_checkpoint
from gapdoctor.loading.checkpoint._record import Entry, Role
from gapdoctor.loading.checkpoint.containers._base import Container, find_container
from gapdoctor.loading.writing._anew import Anew, anew, saved
from gapdoctor.loading.writing._in_place import rewritten
from gapdoctor.loading.writing._storages import NotInPlace
from gapdoctor.loading.writing._target import Target, as_stored, entries_of, put, target_of

if TYPE_CHECKING:
    import pandas as pd

    from gapdoctor.domain.recipe import Recipe

_PROGRAMS = ("torchscript", "exported")
_READ_BY = {
    "safetensors": ("a safetensors file", "safetensors.torch.load_file(path)"),
    "exported": ("a program of torch.export", 'torch.export.load(open(path, "rb"))'),
}
"""Containers whose users look at a file's name; what reads them whatever that ends in."""


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """What was written, and how it differs from the file that was read."""

    path: Path
    same_layout: bool
    """Whether the user's own loading code reads it; else it is a bare state_dict."""
    in_place: bool
    """Whether nothing but the numbers changed."""
    notes: tuple[str, ...]
    """What is otherwise than in the file that was read, and what was kept of the old training."""


def write_checkpoint(
    original: Path,
    weights: Mapping[str, Tensor],
    out: Path,
    *,
    role: Role = "student",
    key: str | None = None,
    unsafe: bool = False,
    recipe: Recipe | None = None,
    history: pd.DataFrame | None = None,
) -> WrittenCheckpoint:
    """Write other weights in the container and the layout of the file they were read from.

    Parameters
    ----------
    original : Path
        The file that was read. It is not written to.
    weights : mapping of str to Tensor
        All of the model's `state_dict()`, by its own names; of other shapes where it grew.
    out : Path
        Where to write; whole or not at all.
    role : {"student", "teacher"}
        Whose weights they are.
    key : str, optional
        Dotted path of the entry that was read (`[student] key`). Sets that held the very same
        values get the new ones too; differing ones (a running average) are kept.
    unsafe : bool
        The original was read with `--unsafe-load`.
    recipe, history : optional
        Of the new student: they replace those in a bundle of `save_bundle`.

    Raises
    ------
    CheckpointError
        When the original cannot be read, or no weights in it bear these names.
    OutputError
        When the file cannot be written.
    """
    if out.resolve() == original.resolve():
        raise CheckpointError(f"{out}: is the file that was read", "write to another file")
    with open_checkpoint(original) as opened, _of(original):
        container = find_container(opened)
        if container is None:
            raise CheckpointError("not a checkpoint", "name the checkpoint file")
        content, written = _contents(opened, container, weights, role, key, unsafe=unsafe,
                                     news=_news(recipe, history), out=out)  # fmt: skip
        unread = out.with_name(f".{out.name}.unread.tmp")
        write_bytes(unread, content)
        try:
            _check(unread, written.same_layout, weights, role, key, unsafe=unsafe)
            unread.replace(out)
        finally:
            unread.unlink(missing_ok=True)
    return replace(written, notes=(*written.notes, *_of_the_name(written, original, container)))


def _of_the_name(written: WrittenCheckpoint, original: Path, container: Container) -> list[str]:
    name = written.path.name
    if (
        not written.same_layout
        or container.name not in _READ_BY
        or written.path.suffix == original.suffix
    ):
        return []
    what, call = _READ_BY[container.name]
    return [
        f"{name} is {what}, as {original.name} is, whatever its name ends in: read it with {call}, "
        f"or rename it to end in {original.suffix}."
    ]


@contextmanager
def _of(original: Path) -> Iterator[None]:
    """Name the file in what is raised, and tell of damage in one line."""
    try:
        yield
    except CheckpointError as error:
        if str(original) in error.message:
            raise
        raise CheckpointError(f"{original}: {error.message}", error.hint) from error
    except GapDoctorError:
        raise
    except OSError as error:
        raise OutputError(
            f"{error.filename}: cannot write: {error.strerror or error}", "name another folder"
        ) from error
    except Exception as error:
        # torch, struct and zipfile raise a dozen kinds on damaged bytes
        raise CheckpointError(
            f"{original}: damaged, or not a checkpoint ({type(error).__name__})",
            "copy or save the checkpoint again",
        ) from error


def _contents(
    opened: Opened,
    container: Container,
    weights: Mapping[str, Tensor],
    role: Role,
    key: str | None,
    *,
    unsafe: bool,
    news: Mapping[str, Any],
    out: Path,
) -> tuple[bytes, WrittenCheckpoint]:
    """Return the file's bytes: in place where that can be, else anew."""
    kept: list[Target] = []

    def put_weights(tree: Any) -> None:
        exported = container.name == "exported"
        entries = (Entry("", None, tree),) if exported else entries_of(tree)
        if _is_bundle(tree) and news:
            raise NotInPlace("a bundle gets the new recipe and history")
        kept.append(target_of(entries, weights, role, None if exported else key))
        put(kept[-1], weights)

    try:
        content = rewritten(opened, container.name, put_weights)
        return content, WrittenCheckpoint(out, True, True, tuple(_left_alone(kept[-1])))
    except NotInPlace as reason:
        why = str(reason)
    except CheckpointError as error:
        if not unsafe:
            raise
        why = error.message
    return _anew(opened, container, weights, role, key, unsafe=unsafe, news=news, out=out, why=why)


def _anew(
    opened: Opened,
    container: Container,
    weights: Mapping[str, Tensor],
    role: Role,
    key: str | None,
    *,
    unsafe: bool,
    news: Mapping[str, Any],
    out: Path,
    why: str,
) -> tuple[bytes, WrittenCheckpoint]:
    if container.name in _PROGRAMS:
        note = f"The file is a program that the new weights do not fit into: {why}. {_BARE}"
        bare = anew(None, Target((), ()), weights)
        return saved(bare.tree, legacy=False), WrittenCheckpoint(out, False, False, (note,))
    tree = container.read(opened, unsafe=unsafe).tree
    target = target_of(entries_of(tree), weights, role, key)
    if container.name == "safetensors":
        made = anew(tree[""], target, weights)
        content = _safetensors(made.tree, tree["metadata"])
    else:
        made = anew(tree, target, weights)
        if _is_bundle(tree):
            made.tree = {**made.tree, **news}
        content = saved(made.tree, legacy=container.name == "torch_legacy")
    notes = (*_told(made), *_left_alone(target))
    return content, WrittenCheckpoint(out, not made.plain, False, notes)


_BARE = "A bare state_dict was written: load it with model.load_state_dict(torch.load(…))."


def _told(made: Anew) -> list[str]:
    notes = []
    if made.plain:
        notes.append(f"The file is a whole pickled model, whose class is never imported. {_BARE}")
    if made.dropped:
        listed = ", ".join(made.dropped)
        notes.append(f"Left out, since it belongs to the old shapes: {listed}.")
    if made.unknown:
        listed = ", ".join(made.unknown)
        notes.append(f"Left out, since their classes are never imported: {listed}.")
    return notes


def _left_alone(target: Target) -> list[str]:
    own = [e for e in target.others if e.role is None or e.role == target.matches[0].entry.role]
    if not own or target.matches[0].entry.role not in (None, "student"):
        return []
    listed = ", ".join(entry.label for entry in own)
    return [f"Other sets of weights in the file are as they were: {listed}."]


def _is_bundle(tree: Any) -> bool:
    from gapdoctor.loading.checkpoint.layouts.bundle import MARK

    return isinstance(tree, dict) and MARK in tree


def _news(recipe: Recipe | None, history: pd.DataFrame | None) -> dict[str, Any]:
    """What a bundle holds of the new student, as plain data."""
    news: dict[str, Any] = {}
    if recipe is not None:
        news["recipe"] = {name: _plain(value) for name, value in recipe.known().items()}
    if history is not None:
        news["history"] = {str(column): history[column].tolist() for column in history}
    return news


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    import safetensors.torch

    apart = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(apart, dict(metadata) or None))


def _check(
    file: Path,
    same_layout: bool,
    weights: Mapping[str, Tensor],
    role: Role,
    key: str | None,
    *,
    unsafe: bool,
) -> None:
    """Read the file back: what is not there as it should be must not be handed on."""
    try:
        found = read_checkpoint(file, unsafe=unsafe)
        if not found.entries:  # a program whose weights are not read
            return
        target = target_of(found.entries, weights, role, key if same_layout else None)
        pairs = target.matches[0].pairs
        right = pairs.keys() >= {n for n in weights if not n.endswith(_COUNTER)} and all(
            torch.equal(old.nan_to_num(), as_stored(weights[name], old.dtype).nan_to_num())
            for name, old in pairs.items()
        )
    except CheckpointError as error:
        raise CheckpointError(_UNREADABLE, _RESAVE) from error
    if not right:
        raise CheckpointError(_UNREADABLE, _RESAVE)


_COUNTER = "num_batches_tracked"
_UNREADABLE = "the new weights do not read back from it as they were written: it may be damaged"
_RESAVE = "save the original again with torch.save(model.state_dict(), …)"
