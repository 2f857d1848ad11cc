"""Which classes and functions a pickle may name: torch's own for plain tensors, and plain data.

Everything else is replaced by a stand-in that keeps what was stored and runs nothing; what acts
on the machine is refused outright.
"""

from __future__ import annotations

import re
from enum import Enum, auto


class Kind(Enum):
    """What to do about a name."""

    KNOWN = auto()
    """torch.load(weights_only=True) rebuilds it itself."""
    STAND_IN = auto()
    """Keep what was stored, as plain data."""
    HOSTILE = auto()
    """It acts on the machine; weights never need that."""
    SPECIAL = auto()
    """A torch internal that plain weights do not use: sparse, quantised, meta, …"""


REBUILD = frozenset(
    f"torch._utils._rebuild_{end}"
    for end in ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")
)
FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
COPIES = frozenset({"collections.OrderedDict", "collections.Counter", "builtins.set", "torch.Size"})
CALLED = REBUILD | COPIES | {FROM_TYPE, "torch.device", "builtins.complex", "_codecs.encode"}
"""May be called. Others that torch knows, such as `torch.Tensor`, may only be named."""

STORAGE_BYTES = {
    "torch.FloatStorage": 4, "torch.DoubleStorage": 8, "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2, "torch.LongStorage": 8, "torch.IntStorage": 4,
    "torch.ShortStorage": 2, "torch.CharStorage": 1, "torch.ByteStorage": 1,
    "torch.BoolStorage": 1, "torch.ComplexFloatStorage": 8, "torch.ComplexDoubleStorage": 16,
    "torch.storage.UntypedStorage": 1,
}  # fmt: skip

_NAMED = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter"})
_DTYPE = re.compile(r"torch\.(bool|bfloat16|u?int\d+|float\d+\w*|complex\d+)")
_TORCH_INSIDE = re.compile(
    r"torch\.\w+|torch\.(_utils|_tensor|storage|sparse|cuda|serialization|masked)\..*"
)
_PLAIN_BUILTINS = frozenset(
    f"builtins.{name}"
    for name in (
        "bytes", "int", "float", "str", "bool", "list", "dict", "tuple", "frozenset", "slice",
        "range", "object",
    )
)  # fmt: skip
_HOSTILE = frozenset(
    {
        "os", "posix", "nt", "sys", "subprocess", "importlib", "runpy", "shutil", "socket",
        "ctypes", "pickle", "_pickle", "marshal", "codeop", "pty", "pdb", "bdb", "webbrowser",
        "multiprocessing", "threading", "asyncio", "operator", "urllib", "http", "tempfile",
        "pip", "timeit", "cProfile", "doctest", "builtins", "gc", "signal", "codecs", "_codecs",
        "pydoc", "zipimport",
    }
)  # fmt: skip
_HOSTILE_STARTS = (
    "torch.hub.", "torch.package.", "torch.utils.cpp_extension.", "torch.load", "torch.jit.load",
    "numpy.load", "io.open", "types.CodeType", "types.FunctionType", "code.interact",
    "code.Interactive",
)  # fmt: skip


def kind_of(name: str) -> Kind:
    """Return what to do about the class or function `name` (module, dot, qualified name)."""
    if name in CALLED or name in _NAMED or name in STORAGE_BYTES or _DTYPE.fullmatch(name):
        return Kind.KNOWN
    if name in _PLAIN_BUILTINS:
        return Kind.STAND_IN
    if name.partition(".")[0] in _HOSTILE or name.startswith(_HOSTILE_STARTS):
        return Kind.HOSTILE
    if _TORCH_INSIDE.fullmatch(name):
        return Kind.SPECIAL
    return Kind.STAND_IN
