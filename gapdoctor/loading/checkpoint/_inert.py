"""Stand-ins for classes that are not imported: they keep what was stored and run nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from gapdoctor.loading.checkpoint._scan import Scan

_NUMBERS = frozenset("fiub")
"""Kinds of NumPy numbers whose bytes are read: floats, integers, booleans."""


class Inert:
    """Stands for an object whose class is not imported."""

    __slots__ = ("args", "state")
    kind: ClassVar[str] = ""
    """The class's name in the file."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Inert:
        """Keep what the class would have been called with."""
        made = super().__new__(cls)
        made.args, made.state = args, None
        return made

    def __init__(self, *args: Any) -> None:
        """Nothing is done: `__new__` kept it all."""

    def __setstate__(self, state: Any) -> None:
        """Keep what would have been set."""
        self.state = state

    def fields(self) -> dict[Any, Any]:
        """Return the attributes that were stored, slots included."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        found: dict[Any, Any] = {}
        for part in parts:
            if isinstance(part, dict):
                found.update(part)
        return found


class _DictLike:
    def __new__(cls, *args: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _ListLike:
    def __new__(cls, *args: Any) -> list[Any]:  # type: ignore[misc]
        return []


class NumpyArray(Inert):
    """A NumPy array, or a single number, as its dtype's code, its shape and its bytes."""

    __slots__ = ()
    kind = "numpy.ndarray"

    def values(self) -> Any:
        """Return nested lists of numbers; None where it holds no plain numbers."""
        if isinstance(self.state, tuple) and len(self.state) == 5:
            _, shape, dtype, by_columns, raw = self.state
            return _decoded(dtype, raw, shape, by_columns=bool(by_columns))
        if len(self.args) == 2:
            found = _decoded(*self.args, (1,))
            return found[0] if found else None
        return None


def _decoded(dtype: Any, raw: Any, shape: Any, *, by_columns: bool = False) -> Any:
    import numpy as np

    if not isinstance(dtype, Inert) or not isinstance(raw, bytes) or not dtype.args:
        return None
    code, state = str(dtype.args[0]), dtype.state
    if code[0] not in _NUMBERS or not code[1:].isdigit():
        return None
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    order = order if order in ("<", ">") else "="
    numbers = np.frombuffer(raw, dtype=np.dtype(order + code))
    return numbers.reshape(shape, order="F" if by_columns else "C").tolist()


def stand_ins(scan: Scan) -> list[tuple[Callable[..., Any], str]]:
    """Return (stand-in, name) for each name of a scan that torch does not rebuild itself."""
    return [(_stand_in(name, scan), name) for name in sorted(scan.unknown)]


def _stand_in(name: str, scan: Scan) -> Callable[..., Any]:
    base: type = Inert
    if name in scan.dict_like:
        base = _DictLike
    elif name in scan.list_like:
        base = _ListLike
    elif name == "builtins.bytes":
        return _no_bytes
    elif name.startswith("numpy.") and name.rpartition(".")[2] in ("scalar", "_reconstruct"):
        base = NumpyArray
    return type(name, (base,), {"__slots__": (), "kind": name})


def _no_bytes(*args: Any) -> bytes:
    """Empty bytes are pickled as the call `bytes()`."""
    return b""
