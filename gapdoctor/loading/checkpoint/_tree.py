"""From the object inside a file to plain data and to weights; both under limits."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._inert import Inert, NumpyArray

if TYPE_CHECKING:
    from torch import Tensor

MAX_NODES = 500_000
MAX_DEPTH = 100
_SHORT = 10_000
"""Values of a 1-D tensor that are still told one by one: a curve, not a weight."""
_FLOOR = 16 << 20
"""Bytes that a tensor may claim beyond what is stored: expanded buffers are saved that way."""
_TENSOR_SHARE = 0.9
"""Of the values of a state_dict; the rest is what modules keep as extra state."""
_MODULES = 20_000
_WRAPPERS = ("module.", "_orig_mod.")


def plain(value: Any, leave_out: Collection[int] = ()) -> Any:
    """Return `value` as dicts, lists, text and numbers; tensors as numbers, lists or their shape.

    Parameters
    ----------
    value : object
        As it came out of the file.
    leave_out : collection of int
        `id` of the objects (sets of weights) that are left out.

    Raises
    ------
    CheckpointError
        When it is nested too deep or expands to too much.
    """
    return _Converter(frozenset(leave_out)).convert(value, 0)


class _Converter:
    def __init__(self, leave_out: frozenset[int]) -> None:
        self.leave_out = leave_out
        self.nodes = 0

    def convert(self, value: Any, depth: int) -> Any:
        self.charge(1)
        if depth > MAX_DEPTH:
            raise CheckpointError(
                f"nested more than {MAX_DEPTH} levels deep", "save the weights alone"
            )
        if value is None or isinstance(value, bool | float | str):
            return value
        if isinstance(value, int):
            return int(value) if abs(value) < 1 << 63 else "(a huge integer)"
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.convert(v, depth + 1) for v in value if id(v) not in self.leave_out]
        return self.other(value, depth)

    def mapping(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        return {
            k if isinstance(k, str | int | float | None) else f"({type(k).__name__})": (
                self.convert(v, depth + 1)
            )
            for k, v in dict.items(value)  # a file can shadow `.items` on an OrderedDict
            if id(v) not in self.leave_out
        }

    def other(self, value: Any, depth: int) -> Any:
        if isinstance(value, NumpyArray):
            return self.convert(value.values(), depth + 1)
        if isinstance(value, Inert):
            return self.inert(value, depth)
        if type(value).__module__.partition(".")[0] == "torch":
            return self.torch_value(value)
        if isinstance(value, argparse.Namespace):
            return self.mapping(vars(value), depth)
        return f"({type(value).__name__})"

    def inert(self, value: Inert, depth: int) -> Any:
        fields = value.fields()
        if value.kind in ("argparse.Namespace", "types.SimpleNamespace"):
            return self.mapping(fields, depth)
        if value.kind.startswith("pathlib."):
            return "/".join(str(part) for part in value.args)
        if not fields and len(value.args) == 1 and isinstance(value.args[0], str | int | float):
            return value.args[0]
        arguments = [self.convert(a, depth + 1) for a in value.args]
        return {
            "__class__": value.kind,
            **({"__args__": arguments} if arguments else {}),
            **self.mapping(fields, depth),
        }

    def torch_value(self, value: Any) -> Any:
        import torch

        if not isinstance(value, torch.Tensor):
            return str(value) if isinstance(value, torch.dtype | torch.device) else "(torch)"
        tensor = checked(value)
        if tensor.is_complex() or (tensor.numel() != 1 and tensor.ndim != 1):
            return f"(tensor {tuple(tensor.shape)})"
        if tensor.numel() == 1:
            return tensor.item()
        if len(tensor) > _SHORT:
            return f"(tensor {tuple(tensor.shape)})"
        self.charge(len(tensor))
        return tensor.tolist()

    def charge(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise CheckpointError(
                f"expands to more than {MAX_NODES:,} values", "save the weights alone"
            )


def checked(value: Tensor) -> Tensor:
    """Return a tensor's values without gradients and attributes, or refuse it.

    Raises
    ------
    CheckpointError
        When it is sparse, quantised, without data, or claims far more values than are stored.
    """
    import torch

    # an attribute of the file's making may shadow any method of this very object
    tensor = torch.Tensor.detach(value)
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise CheckpointError(
            "holds a sparse, quantised or empty-handed (meta) tensor", "save dense float weights"
        )
    claimed = tensor.numel() * tensor.element_size()
    if claimed > max(tensor.untyped_storage().nbytes(), _FLOOR):
        raise CheckpointError(
            f"a tensor claims {claimed:,} bytes and holds {tensor.untyped_storage().nbytes():,}",
            "save the weights with torch.save(model.state_dict(), …)",
        )
    return tensor


def weights_of(value: Any) -> dict[str, Tensor] | None:
    """Return the weights that `value` is: a state_dict, or a module (pickled whole); else None."""
    from torch import Tensor, nn

    if isinstance(value, nn.Module):
        value = value.state_dict()
    elif isinstance(value, Inert):
        value = dict(_module_tensors(value))
    if not isinstance(value, dict) or not value:
        return None
    items = list(dict.items(value))
    tensors = {k: v for k, v in items if isinstance(v, Tensor)}
    if len(tensors) < _TENSOR_SHARE * len(items) or not all(isinstance(k, str) for k in tensors):
        return None
    return unwrapped({k: checked(v) for k, v in tensors.items()})


def unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip what DataParallel, torch.compile and AveragedModel put around the names."""
    if "n_averaged" in state:
        state = {k: v for k, v in state.items() if k != "n_averaged"}
    while prefix := next((w for w in _WRAPPERS if all(k.startswith(w) for k in state)), None):
        if not state:
            break
        state = {k.removeprefix(prefix): v for k, v in state.items()}
    return {k.replace("._orig_mod.", "."): v for k, v in state.items()}


def _module_tensors(root: Inert) -> Iterator[tuple[str, Tensor]]:
    """A pickled module's tensors, named as `state_dict` names them, from what was stored."""
    from torch import Tensor

    left = [("", root, 0)]
    for _ in range(_MODULES):
        if not left:
            return
        prefix, module, depth = left.pop()
        if depth > MAX_DEPTH:
            break
        own, inner = _module_parts(module.fields())
        yield from ((f"{prefix}{n}", t) for n, t in own.items() if isinstance(t, Tensor))
        children = [(f"{prefix}{n}.", m, depth + 1) for n, m in inner.items() if _is_module(m)]
        left.extend(reversed(children))
    raise CheckpointError("a model of modules in modules without end", "save the weights alone")


def _is_module(value: Any) -> bool:
    return isinstance(value, Inert) and not isinstance(value, NumpyArray)


def _module_parts(fields: dict[Any, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    if "_modules" not in fields:  # a TorchScript module keeps all as plain attributes
        return fields, fields
    lost = fields.get("_non_persistent_buffers_set") or ()
    own = {**(fields.get("_parameters") or {}), **(fields.get("_buffers") or {})}
    return {n: t for n, t in own.items() if n not in lost}, fields["_modules"] or {}
