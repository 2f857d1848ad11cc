"""The only place that unpickles. What a file names is never imported, unless the user says so."""

from __future__ import annotations

import warnings
from typing import Any, BinaryIO

from gapdoctor.loading.checkpoint._inert import stand_ins
from gapdoctor.loading.checkpoint._scan import Scan


def unpickle(stream: BinaryIO, scan: Scan | None) -> Any:
    """Read what torch.save wrote, to the CPU.

    Parameters
    ----------
    stream : binary file
        A whole file of torch's zip or older format.
    scan : Scan or None
        The dry run that found nothing amiss. None: the user's `--unsafe-load`, which imports and
        runs what the file names.
    """
    import torch

    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if scan is None:
            return torch.load(stream, map_location="cpu", weights_only=False, mmap=False)
        with torch.serialization.safe_globals(list(stand_ins(scan))):
            # said each time: an environment variable would turn the default off
            return torch.load(stream, map_location="cpu", weights_only=True, mmap=False)
