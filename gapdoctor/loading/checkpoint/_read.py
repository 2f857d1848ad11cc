"""From a path to a Checkpoint, and from a program to a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._open import Opened, open_checkpoint
from gapdoctor.loading.checkpoint._record import Checkpoint, Entry

if TYPE_CHECKING:
    from torch import nn
_FROM_FOLDER = "run from the folder that holds the classes that the file names"


def read_checkpoint(path: Path, *, unsafe: bool = False) -> Checkpoint:
    """Read a checkpoint, running nothing of what it holds.

    Parameters
    ----------
    path : Path
        A file of torch.save (zip or older), a `.safetensors`, a TorchScript or exported program
        (of which only the weights are read).
    unsafe : bool
        The user's `--unsafe-load`: classes that the file names are imported and run. Never
        tried on its own where the safe way fails.

    Returns
    -------
    Checkpoint
        Its sets of weights, on the CPU, and all else as plain data.

    Raises
    ------
    CheckpointError
        Whatever the bytes: missing, damaged, hostile, of an unknown kind, or without weights.
    """
    with open_checkpoint(path) as opened:
        try:
            return _read(opened, unsafe=unsafe)
        except CheckpointError as error:
            if str(path) in error.message:
                raise
            raise CheckpointError(f"{path}: {error.message}", error.hint) from error
        except Exception as error:
            # torch raises eleven kinds on damaged bytes, with advice that is none
            raise CheckpointError(
                f"{path}: damaged, or not a checkpoint ({type(error).__name__})",
                _FROM_FOLDER if unsafe else "copy or save the checkpoint again",
            ) from error


def _read(opened: Opened, *, unsafe: bool) -> Checkpoint:
    from gapdoctor.loading.checkpoint._candidates import candidates
    from gapdoctor.loading.checkpoint._tree import plain
    from gapdoctor.loading.checkpoint.containers._base import find_container

    container = find_container(opened)
    if container is None:
        raise CheckpointError(f"{opened.path}: not a checkpoint", _what_instead(opened))
    contents = container.read(opened, unsafe=unsafe)
    found = candidates(contents.tree)
    layout, entries = _laid_out(contents.tree, found)
    sources = {c.source for c in found}
    more = isinstance(contents.tree, dict) and id(contents.tree) not in sources
    checkpoint = Checkpoint(
        path=opened.path,
        sha256=opened.sha256,
        size=opened.size,
        format=container.name if container.names_format else layout,
        entries=entries,
        meta=plain(contents.tree, sources) if more else {},
        notes=contents.notes,
    )
    if not entries and container.name != "exported":
        raise CheckpointError(f"{opened.path}: holds no weights", _seen(checkpoint.meta))
    return checkpoint


def _laid_out(tree: Any, found: tuple[Any, ...]) -> tuple[str, tuple[Entry, ...]]:
    from gapdoctor.loading.checkpoint.layouts._base import all_layouts

    for layout in all_layouts():
        entries = layout.entries(tree, found)
        if entries:
            return layout.name, entries
    return "unknown", ()


def _seen(meta: Any) -> str:
    keys = ", ".join(str(key)[:40] for key in list(meta)[:6])
    return f"its keys are: {keys}" if keys else "save model.state_dict() with torch.save"


def _what_instead(opened: Opened) -> str:
    if any(name.endswith(".npy") for name in opened.members):
        return "this is a NumPy archive (.npz); name the checkpoint file"
    if opened.head[:1] == b"\x80":
        return "this is a plain pickle; save with torch.save(model.state_dict(), …)"
    return "give a file that torch.save, safetensors or torch.jit.save wrote"


def build_from(checkpoint: Checkpoint, kind: Literal["torchscript", "exported"]) -> nn.Module:
    """Return the model that the file is. Runs the program in it: only where the config says so.

    Raises
    ------
    CheckpointError
        When the file is no such program, or torch cannot load it.
    """
    if checkpoint.format != kind:
        raise CheckpointError(
            f'{checkpoint.path}: model = "{kind}", but the file is a {checkpoint.format}',
            'name the student\'s factory: model = "file.py:factory"',
        )
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "torchscript":
                loaded = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(checkpoint.path), map_location="cpu"
                )
                return cast("nn.Module", loaded)
            with checkpoint.path.open("rb") as stream:  # of a path torch asks that it ends in .pt2
                return torch.export.load(stream).module()
    except Exception as error:
        # a program of another torch version fails in many ways
        raise CheckpointError(
            f"{checkpoint.path}: torch cannot load this {kind} program ({type(error).__name__})",
            f"it may come from another torch version; this is {torch.__version__}",
        ) from error
