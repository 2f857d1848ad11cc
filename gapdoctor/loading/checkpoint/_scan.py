"""A dry run of a pickle: which names it uses, what it calls, how much it claims. Runs nothing.

torch.load(weights_only=True) is safe against calls but not against claims: it allocates what a
file of a few bytes asks for, and rebuilds sparse and quantised tensors unchecked.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._machine import RESAVE, Machine
from gapdoctor.loading.checkpoint._placeholders import Scan

__all__ = ["RESAVE", "Scan", "scan_pickle"]


def scan_pickle(stream: BinaryIO, path: Path, size: int) -> Scan:
    """Go through one pickle, up to and with its last operation.

    Parameters
    ----------
    stream : binary file
        Stands at the pickle's first byte; stands behind its last one afterwards.
    path : Path
        For messages.
    size : int
        Bytes of the whole file: no storage may claim more.

    Raises
    ------
    CheckpointError
        When it names something that acts, claims more than the file holds, or uses operations
        that `torch.save` does not write.
    """
    machine = Machine(path, size)
    for opcode, argument, _ in _operations(stream, path):
        machine.step(opcode.name, argument)
    machine.settle()
    return machine.scan


def _operations(
    stream: BinaryIO, path: Path
) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    try:
        yield from pickletools.genops(stream)
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged, or not a checkpoint", RESAVE) from error
