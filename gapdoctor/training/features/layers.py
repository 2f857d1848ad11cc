"""What the layers of a model give: heard through hooks that live no longer than one pass."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from gapdoctor.observe.borrow import borrowed
from gapdoctor.observe.forward import naming_failures
from gapdoctor.observe.head import as_logits
from gapdoctor.training.placement import fed


@dataclass(frozen=True)
class Layer:
    """A layer as one pass heard it."""

    path: str
    """Dotted, as `named_modules` has it."""
    depth: float
    """Share of the layers with weights that had run when it was done, of the whole pass."""
    gives: str
    """What it returned, in words, where that is no tensor of features; else empty."""
    calls: int
    """How often it ran."""
    shape: tuple[int, ...] = ()
    """(n, …) of its output."""
    axis: int = 1
    """Of the channels."""
    gram: torch.Tensor | None = None
    """(n, n) products of its rows, float64, on the CPU."""
    passed_on: bool = False
    """Another layer, around it or behind it, returned the very same tensor."""
    inner: bool = False
    """It stands inside a block that returns features of its own, of as many axes."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The sizes of the axes that are neither rows nor channels."""
        return tuple(n for at, n in enumerate(self.shape) if at not in (0, self.axis))


@dataclass(frozen=True)
class Survey:
    """All layers of a model, in the order in which they were done."""

    layers: tuple[Layer, ...]
    logits: tuple[int, ...]
    """Their shape (n, C)."""

    def layer(self, path: str) -> Layer | None:
        """Return a layer by its path; None where it never ran."""
        return next((layer for layer in self.layers if layer.path == path), None)


def survey(model: nn.Module, inputs: torch.Tensor, who: str, device: torch.device) -> Survey:
    """Return what every layer of a model gives for some rows, in eval mode.

    The model is left as it was, without hooks.

    Parameters
    ----------
    model : nn.Module
        `student` or `teacher`.
    inputs : tensor (n, …)
        Model-ready.
    who : str
        For messages.
    device : torch.device
        Where it runs.

    Raises
    ------
    UserCodeError
        When the model cannot take the rows.
    """
    heard = _Heard(len(inputs))
    named = [(path, module) for path, module in model.named_modules() if path]
    with torch.inference_mode(False), borrowed(model, device):
        handles = [m.register_forward_hook(heard.by(path)) for path, m in named]
        try:
            with naming_failures(who, inputs):
                logits = as_logits(model(fed(inputs, model, device)), who, len(inputs))
        finally:
            for handle in handles:
                handle.remove()
    return Survey(_with_inner(heard.told(), dict(named)), tuple(logits.shape))


@contextmanager
def listening(model: nn.Module, paths: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect what the layers at `paths` give while inside, by path; the last call counts."""
    heard: dict[str, torch.Tensor] = {}

    def hook(path: str) -> Any:
        def keep(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            heard[path] = output

        return keep

    handles = [
        model.get_submodule(path).register_forward_hook(hook(path)) for path in dict.fromkeys(paths)
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def why_not_heard(model: object) -> str:
    """Return why nothing can be heard of a model's layers, to stand behind its name; or ''."""
    if not isinstance(model, nn.Module):
        return "is a file of logits, which has no layers"
    if isinstance(model, torch.jit.ScriptModule):
        return "is a TorchScript program, whose layers cannot be listened to"
    return ""


def _with_inner(layers: tuple[Layer, ...], modules: dict[str, nn.Module]) -> tuple[Layer, ...]:
    """Mark the layers inside blocks: their owner is a module with a forward of its own."""
    axes = {layer.path: len(layer.shape) for layer in layers}

    def is_inner(layer: Layer) -> bool:
        owner, _, _ = layer.path.rpartition(".")
        leaf = not any(modules[layer.path].children())
        while owner and isinstance(modules[owner], _CONTAINERS):
            if not (leaf or isinstance(modules[layer.path], _CONTAINERS)):
                return False  # blocks in a row, of whatever owner
            owner, _, _ = owner.rpartition(".")
        return bool(owner) and axes.get(owner) == len(layer.shape) > 0

    return tuple(replace(layer, inner=is_inner(layer)) for layer in layers)


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class _Heard:
    """Notes what hooks are told."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._weighted = 0
        self._calls: dict[str, int] = {}
        self._found: dict[str, tuple[int, dict[str, Any]]] = {}
        """By path: layers with weights that were done, and what is told of it."""
        self._axes: list[tuple[tuple[int, ...], int]] = []
        """Shape and channel axis of outputs of which the latter is certain."""
        self._tensors: dict[str, tuple[weakref.ref[torch.Tensor], int]] = {}
        """By path: its output, and how often that had been changed in place by then."""

    def by(self, path: str) -> Any:
        """Return the hook of a layer."""

        def hear(module: nn.Module, _: Any, output: Any) -> None:
            self._weighted += bool(module._parameters)
            self._calls[path] = self._calls.get(path, 0) + 1
            self._found.pop(path, None)  # a later call stands later
            self._found[path] = (self._weighted, self._of(path, module, output))

        return hear

    def told(self) -> tuple[Layer, ...]:
        """Return all layers once the pass is over."""
        whole = max(1, self._weighted)
        return tuple(
            Layer(path, done / whole, calls=self._calls[path], **told)
            for path, (done, told) in self._found.items()
        )

    def _of(self, path: str, module: nn.Module, output: Any) -> dict[str, Any]:
        gives = _why_no_features(output, self._rows)
        if gives:
            return {"gives": gives}
        shape = tuple(output.shape)
        passed_on = self._pass_on(path, module, output)
        certain = _certain_axis(module, shape)
        if certain is not None:
            self._axes.append((shape, certain))
        flat = output.detach().float().flatten(1)
        gram = (flat @ flat.T).cpu().double()
        return {
            "gives": "", "shape": shape, "axis": self._axis(shape), "gram": gram,
            "passed_on": passed_on,
        }  # fmt: skip

    def _pass_on(self, path: str, module: nn.Module, output: torch.Tensor) -> bool:
        """Mark the layers whose tensor this is; itself, where it did nothing, as dropout here."""
        same = [p for p, (ref, _) in self._tensors.items() if p != path and ref() is output]
        idle = next(module.children(), None) is None and any(
            self._tensors[p][1] == _version(output) for p in same
        )
        for earlier in () if idle else same:
            self._found[earlier][1]["passed_on"] = True
        if not idle:
            self._tensors[path] = weakref.ref(output), _version(output)
        return idle

    def _axis(self, shape: tuple[int, ...]) -> int:
        """As the last layer of the same output shape that is certain; else the usual one."""
        said = (axis for known, axis in reversed(self._axes) if known == shape)
        return next(said, 2 if len(shape) == 3 else 1)


def _version(tensor: torch.Tensor) -> int:
    """How often it was changed in place; of what a model made in inference mode nobody knows."""
    return -1 if tensor.is_inference() else tensor._version


def _why_no_features(output: Any, rows: int) -> str:
    if not isinstance(output, torch.Tensor):
        return f"a {type(output).__name__}, not a tensor"
    if not output.is_floating_point():
        return f"numbers of {output.dtype}".replace("torch.", "")
    if not 2 <= output.ndim <= 4:
        return f"a tensor of {output.ndim} axes"
    if len(output) != rows:
        return f"a tensor whose first axis is {len(output)} for {rows} rows"
    return ""


def _certain_axis(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """The channel axis that a module's own weights tell, where the output agrees with them."""
    first = getattr(module, "out_channels", None) if isinstance(module, _ConvNd) else None
    if isinstance(module, _NormBase):
        first = module.num_features
    if isinstance(module, nn.GroupNorm):
        first = module.num_channels
    last = module.out_features if isinstance(module, nn.Linear) else None
    if isinstance(module, nn.Embedding):
        last = module.embedding_dim
    if isinstance(module, nn.LayerNorm | nn.RMSNorm) and len(module.normalized_shape) == 1:
        last = module.normalized_shape[0]
    if first == shape[1]:
        return 1
    return len(shape) - 1 if last == shape[-1] else None
