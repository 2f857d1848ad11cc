"""Checkpoints: read without running what they hold, then loaded strictly.

`containers/` holds how a file packs its objects, `layouts/` where among them the weights lie;
each is ONE FILE EACH, found by scanning. Importing this imports no torch.
"""

from gapdoctor.loading.checkpoint._fit import fits, load_weights
from gapdoctor.loading.checkpoint._read import build_from, read_checkpoint
from gapdoctor.loading.checkpoint._record import Checkpoint, Entry, Role

__all__ = [
    "Checkpoint",
    "Entry",
    "Role",
    "build_from",
    "fits",
    "load_weights",
    "read_checkpoint",
]
