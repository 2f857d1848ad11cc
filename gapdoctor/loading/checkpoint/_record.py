"""What a checkpoint file holds, once read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Role = Literal["student", "teacher", "assistant"]

_BUFFER_NAMES = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class Entry:
    """One set of weights in a file."""

    key: str
    """Dotted path inside the file (`model`, `state_dict.student`); empty: the file itself."""
    role: Role | None
    """Whose weights they are, where the file says so."""
    state: Mapping[str, Tensor]
    """Name -> tensor on the CPU; `module.` and `_orig_mod.` prefixes are stripped."""

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.key or "(the file itself)"

    @property
    def parameters(self) -> int:
        """Number of stored values, BatchNorm statistics left out."""
        return sum(
            tensor.numel()
            for name, tensor in self.state.items()
            if name.rpartition(".")[2] not in _BUFFER_NAMES
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file, read without running anything that it holds."""

    path: Path
    sha256: str
    size: int
    """Bytes on disk."""
    format: str
    """`state_dict`, `nested`, `pair`, `bundle`, `module`, `safetensors`, `torchscript`,
    `exported`; each is a file of `layouts/` or `containers/`."""
    entries: tuple[Entry, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)
    """All that is not weights, as plain data: epoch, args, optimizer groups, …"""
    notes: tuple[str, ...] = ()
    """What was assumed on the way, one sentence each."""
