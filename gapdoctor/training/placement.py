"""Where a student trains, in which precision, and that its owner's copy stays untouched."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from gapdoctor.errors import GapDoctorError


@dataclass(frozen=True)
class Placement:
    """Device, precision and memory layout of a training."""

    device: torch.device
    mixed: bool = False
    """bfloat16 where the operation allows it; weights and losses stay in float32."""
    channels_last: bool = False
    """Images lie in memory pixel by pixel: faster convolutions on CUDA."""

    @classmethod
    def on(cls, device: torch.device) -> Placement:
        """Return what helps on a device: on CUDA both, where it has bfloat16; else neither."""
        cuda = device.type == "cuda"
        return cls(device, cuda and torch.cuda.is_bf16_supported(), cuda)

    def laid_out(self, batch: torch.Tensor) -> torch.Tensor:
        """Return a batch on the device, in its layout."""
        moved = batch.to(self.device)
        if self.channels_last and moved.ndim == 4:
            return moved.contiguous(memory_format=torch.channels_last)
        return moved


def trainable(student: nn.Module, place: Placement, *, in_place: bool = False) -> nn.Module:
    """Return a student ready to train: a copy on the device, gradients cleared.

    Half precision becomes float32. Frozen parameters stay frozen, unless all of them are: then
    the student was frozen for inference, and all are trained.

    Raises
    ------
    GapDoctorError
        When the student cannot be copied, moved or set to train mode, or has no parameters.
    """
    twin = student if in_place else copied(student)
    parameters = list(twin.parameters())
    if not parameters:
        raise GapDoctorError("student: has no parameters to train", "give a trainable nn.Module")
    if not any(p.requires_grad for p in parameters):
        for parameter in parameters:
            parameter.requires_grad_(parameter.is_floating_point())
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in parameters):
        twin.float()
    try:
        twin.to(place.device)
        twin.train()
    except (RuntimeError, NotImplementedError) as error:  # an exported program has one mode only
        raise GapDoctorError(
            f"student: cannot be trained on {place.device}: {str(error).splitlines()[0]}",
            "name the student's class or factory instead of a program",
        ) from error
    if place.channels_last:
        for module in twin.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)
    twin.zero_grad(set_to_none=True)
    return twin


def fed(batch: torch.Tensor, model: nn.Module, device: torch.device) -> torch.Tensor:
    """Return a batch as a model eats it: on the device, in the model's precision.

    A copy where the model might otherwise work in place on what others still need.
    """
    floating = (p.dtype for p in model.parameters() if p.is_floating_point())
    dtype = next(floating, batch.dtype) if batch.is_floating_point() else batch.dtype
    return batch.to(device, dtype, copy=True)


def copied(student: nn.Module) -> nn.Module:
    """Return a copy of a student that shares nothing with it.

    Raises
    ------
    GapDoctorError
        When it cannot be copied.
    """
    try:
        return copy.deepcopy(student)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise GapDoctorError(
            f"student: cannot be copied for training: {str(error).splitlines()[0]}",
            "hand over a model whose tensors are parameters or buffers",
        ) from error
