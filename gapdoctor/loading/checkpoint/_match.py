"""Do a file's weights fit a model, under which names, and if not, why probably not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gapdoctor.loading.checkpoint._record import Entry, Role

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("module.", "_orig_mod.")
_INNER = ("model.", "net.", "network.")
_OWN: Mapping[Role, tuple[str, ...]] = {
    "student": ("student.", "student_model."),
    "teacher": ("teacher.", "teacher_model."),
    "assistant": ("assistant.", "student.", "student_model."),
}
_PEELS = 4
_COUNTER = "num_batches_tracked"
"""BatchNorm's counter, absent in files from before torch 0.4.1, and without effect."""


@dataclass(frozen=True, slots=True)
class Match:
    """How one entry compares with one model."""

    entry: Entry
    pairs: Mapping[str, Tensor]
    """The model's own name -> tensor of the file."""
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Name, shape in the file, shape in the model."""
    unusable: tuple[str, ...]
    """Integers where the model has floats: quantised weights."""
    stripped: str = ""
    """Prefix that was taken off the file's names."""
    beside: tuple[str, ...] = ()
    """Names of the file that do not bear that prefix, and were left out."""

    @property
    def fits(self) -> bool:
        """Whether the weights can be loaded strictly."""
        return self.problems == 0

    @property
    def problems(self) -> int:
        """How many names do not fit."""
        return sum(map(len, (self.missing, self.unexpected, self.misshaped, self.unusable)))


@dataclass(frozen=True, slots=True)
class _View:
    """Names as they read once a prefix is taken off; of a file, or of a model."""

    tensors: Mapping[str, Tensor]
    prefix: str
    beside: tuple[str, ...]


def match(entry: Entry, model: nn.Module, role: Role) -> Match:
    """Compare one entry with a model, under the names that fit best.

    `module.`, `_orig_mod.`, `model.`, `net.` and `student.` (or `teacher.`) prefixes are taken
    off, on either side and repeatedly, when that makes the names fit.
    """
    from torch import Tensor

    wanted = {n: t for n, t in model.state_dict().items() if isinstance(t, Tensor)}
    prefixes = (*_WRAPPERS, *_OWN[role], *_INNER)
    found = [
        _compare(entry, file, ours, wanted)
        for file in _views(entry.state, prefixes)
        for ours in _views(wanted, prefixes)
        if not ours.beside
    ]
    return min(found, key=lambda m: (m.problems, len(m.beside), len(m.stripped)))


def _views(tensors: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> list[_View]:
    views = [_View(tensors, "", ())]
    for _ in range(_PEELS):
        last = views[-1]
        prefix = next((p for p in prefixes if any(n.startswith(p) for n in last.tensors)), None)
        if prefix is None:
            break
        views.append(
            _View(
                {
                    n.removeprefix(prefix): t
                    for n, t in last.tensors.items()
                    if n.startswith(prefix)
                },
                last.prefix + prefix,
                (*last.beside, *(n for n in last.tensors if not n.startswith(prefix))),
            )
        )
    return views


def _compare(entry: Entry, file: _View, ours: _View, wanted: Mapping[str, Tensor]) -> Match:
    own_name = {_plain(name): f"{ours.prefix}{name}" for name in ours.tensors}
    tensors = {_plain(name): tensor for name, tensor in file.tensors.items()}
    pairs = {own_name[name]: tensor for name, tensor in tensors.items() if name in own_name}
    shapes = {name: (tuple(t.shape), _shape(wanted[name])) for name, t in pairs.items()}
    return Match(
        entry=entry,
        pairs=pairs,
        missing=tuple(
            own for name, own in own_name.items() if name not in tensors and _needed(name)
        ),
        unexpected=tuple(name for name in tensors if name not in own_name),
        misshaped=tuple(
            (name, theirs, mine)
            for name, (theirs, mine) in shapes.items()
            if mine is not None and theirs != mine
        ),
        unusable=tuple(name for name, t in pairs.items() if _unusable(t, wanted[name])),
        stripped=file.prefix,
        beside=file.beside,
    )


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")


def _needed(name: str) -> bool:
    return name.rpartition(".")[2] != _COUNTER


def _shape(tensor: Tensor) -> tuple[int, ...] | None:
    """The shape of a model's tensor; None for a lazy layer, which takes the file's."""
    try:
        return tuple(tensor.shape)
    except RuntimeError:
        return None


def _unusable(theirs: Tensor, mine: Tensor) -> bool:
    return mine.is_floating_point() and not (theirs.is_floating_point() or theirs.is_complex())
