"""Using what belongs to somebody else and giving it back as it was, also after an error."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.observe.device import is_out_of_memory, model_device


@contextmanager
def borrowed(model: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """Lend `model` in eval mode on `device`, without gradients; give it back as it was.

    Modes of every submodule, `requires_grad`, gradients, buffers, device and hooks are as before
    afterwards. A model spread over several devices stays where it is.

    Raises
    ------
    GapDoctorError
        When the model cannot be moved to the device.
    """
    modes = [(module, module.training) for module in model.modules()]
    wants = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = _buffers(model)
    devices = {t.device for t in (*model.parameters(), *model.buffers())}
    home = model_device(model)
    moves = len(devices) == 1 and home != device
    try:
        # an exported program has one mode only, and says so
        with contextlib.suppress(NotImplementedError):
            model.eval()
        if moves:
            _move(model, device)
        with torch.no_grad():
            yield model
    finally:
        for module, training in modes:
            if module.training != training:  # setting an attribute of a module is slow
                module.training = training
        for parameter, wanted in wants:
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)
        if moves:
            model.to(home)
        _restore(buffers)


_Buffers = list[tuple[nn.Module, str, torch.Tensor | None, torch.Tensor | None]]


def _buffers(model: nn.Module) -> _Buffers:
    """Every buffer, and a copy of its values: some models count or average in forward."""
    return [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]


def _restore(buffers: _Buffers) -> None:
    for module, name, buffer, values in buffers:
        if module._buffers[name] is not buffer:
            module._buffers[name] = buffer
        if buffer is not None and values is not None and not torch.equal(buffer, values):
            with torch.no_grad():
                buffer.copy_(values)


def _move(model: nn.Module, device: torch.device) -> None:
    try:
        model.to(device)
    except (RuntimeError, NotImplementedError) as error:
        if is_out_of_memory(error):
            raise IncompleteRun(
                f"memory of {device} ran out when the model was moved there", "use --device cpu"
            ) from error
        reason = str(error).splitlines()[0]
        raise GapDoctorError(
            f"a model cannot be moved to {device}: {reason}", "hand it over on that device"
        ) from error


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators; restore them afterwards."""
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - a user's pipeline may use it
        _seed_torch(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _seed_torch(seed: int) -> None:
    """As `torch.manual_seed`, which takes a millisecond where CUDA was never used: it keeps a stack
    trace for each kind of device that is not there.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
