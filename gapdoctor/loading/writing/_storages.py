"""The object inside a file of torch.save, with the bytes that each tensor stands on.

`torch.load` does not tell which tensor came from which storage of the file; to put other weights
in their place, that has to be known. Nothing that a file names is imported here either.
"""

from __future__ import annotations

import codecs
import io
import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gapdoctor.loading.checkpoint._inert import stand_ins
from gapdoctor.loading.checkpoint._names import STORAGE_BYTES
from gapdoctor.loading.checkpoint._scan import Scan

_DTYPES = {
    "torch.FloatStorage": torch.float32, "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16, "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8, "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64, "torch.ComplexDoubleStorage": torch.complex128,
    "torch.storage.UntypedStorage": torch.uint8,
}  # fmt: skip


class NotInPlace(Exception):
    """The weights cannot be put where the old ones are; says why, as half a sentence."""


@dataclass(slots=True)
class Held:
    """What a pickle holds."""

    tree: Any = None
    storages: dict[str, torch.UntypedStorage] = field(default_factory=dict)
    """By their key in the file, still empty: `fill` puts the bytes in."""
    widths: dict[str, int] = field(default_factory=dict)
    """Bytes of one number, by the same key."""

    def fill(self, key: str, raw: bytes | memoryview) -> None:
        """Put a storage's bytes in."""
        if len(raw) != self.storages[key].nbytes():
            raise NotInPlace("a storage is not as long as it is said to be")
        if len(raw):
            _bytes_of(self.storages[key]).copy_(torch.frombuffer(bytearray(raw), dtype=torch.uint8))

    def raw(self, key: str) -> bytes:
        """Return a storage's bytes as they are now."""
        return _bytes_of(self.storages[key]).numpy().tobytes()


def read_held(stream: BinaryIO, scan: Scan) -> Held:
    """Return the object of one pickle; its tensors stand on storages that are still empty.

    Parameters
    ----------
    stream : binary file
        Stands at the pickle's first byte, and behind its last one afterwards.
    scan : Scan
        Its dry run, which found nothing amiss.

    Raises
    ------
    NotInPlace
        When a tensor is stored in a way that its place cannot be told from.
    """
    held = Held()
    reader = _Reader(stream, scan, held)
    try:
        held.tree = reader.load()
    except NotInPlace:
        raise
    except Exception as error:
        # stand-ins cannot do all that a class of the user's could
        raise NotInPlace(f"its objects cannot be told apart ({type(error).__name__})") from error
    return held


def plain_pickle(stream: BinaryIO) -> Any:
    """Return the plain value of one pickle, in which no name may stand."""
    return _Reader(stream, Scan(), Held()).load()


class _Reader(pickle.Unpickler):
    """Knows a closed list of names, each of ours; imports none."""

    def __init__(self, stream: BinaryIO, scan: Scan, held: Held) -> None:
        super().__init__(stream)
        self._held = held
        self._names: dict[str, Any] = {name: stand_in for stand_in, name in stand_ins(scan)}
        self._names |= _KNOWN

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        if full in STORAGE_BYTES:
            return full
        if full in self._names:
            return self._names[full]
        dtype = getattr(torch, name, None) if full == f"torch.{name}" else None
        if isinstance(dtype, torch.dtype):
            return dtype
        raise NotInPlace(f"it names {full}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count = pid[:5]
        if len(pid) > 5 and pid[5] is not None:
            raise NotInPlace("a storage is a part of another one")
        storages = self._held.storages
        if key not in storages:
            storages[key] = _empty(count * STORAGE_BYTES[kind])
            self._held.widths[key] = STORAGE_BYTES[kind]
        return _Storage(storages[key], _DTYPES[kind])


@dataclass(frozen=True, slots=True)
class _Storage:
    untyped: torch.UntypedStorage
    dtype: torch.dtype


def _bytes_of(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _empty(size: int) -> torch.UntypedStorage:
    return torch.UntypedStorage(size)  # type: ignore[no-untyped-call]


def _tensor(
    storage: _Storage, offset: int, size: Any, stride: Any, *rest: Any, dtype: Any = None
) -> Tensor:
    before = storage.untyped.nbytes()
    made = torch.empty(0, dtype=dtype or storage.dtype)
    made.set_(storage.untyped, offset, tuple(size), tuple(stride))
    if storage.untyped.nbytes() != before:
        raise NotInPlace("a tensor reaches beyond its storage")
    return made


def _tensor_v2(
    storage: _Storage, offset: int, size: Any, stride: Any, grad: Any, hooks: Any, bits: Any = None
) -> Tensor:
    if bits:
        raise NotInPlace("a tensor is stored conjugated or negated")
    return _tensor(storage, offset, size, stride)


def _tensor_v3(
    storage: _Storage, offset: int, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any,
    bits: Any = None,
) -> Tensor:  # fmt: skip
    if bits:
        raise NotInPlace("a tensor is stored conjugated or negated")
    return _tensor(storage, offset, size, stride, dtype=dtype)


def _first(data: Any, *rest: Any) -> Any:
    """A parameter is its tensor."""
    return data


def _from_type(function: Callable[..., Any], kind: Any, arguments: Any, state: Any) -> Any:
    return function(*arguments)


_KNOWN: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "builtins.set": set,
    "builtins.complex": complex,
    "_codecs.encode": codecs.encode,
}


def as_stream(raw: bytes) -> BinaryIO:
    """Return bytes as a file."""
    return io.BytesIO(raw)
