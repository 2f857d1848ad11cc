"""Where tensors go."""

from __future__ import annotations

import torch
from torch import nn

from gapdoctor.errors import GapDoctorError


def choose_device(wanted: str, model: nn.Module | None = None) -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    wanted : str
        `auto`, `cpu`, `cuda`, `cuda:1` or `mps`. `auto` is the model's own device where that is
        an accelerator, else the first accelerator there is, else the CPU.
    model : nn.Module, optional
        The model that will run.

    Raises
    ------
    GapDoctorError
        When the device is not there.
    """
    if wanted != "auto":
        return _checked(wanted)
    own = model_device(model) if model is not None else torch.device("cpu")
    if own.type != "cpu":
        return own
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _checked(wanted: str) -> torch.device:
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise GapDoctorError(
            f"--device {wanted}: no such device", "use auto, cpu, cuda or mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available()
        and (device.index or 0) < max(torch.cuda.device_count(), 1),
        "mps": torch.backends.mps.is_available(),
    }.get(device.type, False)
    if not there:
        raise GapDoctorError(f"--device {wanted}: not on this machine", "use --device auto or cpu")
    return device


def model_device(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU where it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on whichever device."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "alloc_failed" in text
    )
