"""A TorchScript program: its weights are read, its code is not."""

from __future__ import annotations

import io
import zipfile
from typing import ClassVar

from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint._scan import scan_pickle
from gapdoctor.loading.checkpoint._unpickle import unpickle
from gapdoctor.loading.checkpoint.containers._base import Container, Contents
from gapdoctor.loading.checkpoint.containers._told import kept_inert

_WEIGHTS = ("data.pkl", "version", "byteorder")


class TorchScript(Container):
    """What `torch.jit.save` writes: `data.pkl` beside `constants.pkl` and `code/`."""

    name: ClassVar[str] = "torchscript"
    names_format: ClassVar[bool] = True

    def holds(self, opened: Opened) -> bool:
        """Tell by `constants.pkl`, as torch does."""
        return opened.member("constants.pkl") is not None

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Read the weights from a copy of the archive that lacks the program."""
        pickled = opened.read_member(opened.member("data.pkl") or "")
        scan = scan_pickle(io.BytesIO(pickled), opened.path, opened.size)
        note = 'A program: it is run only where the config says model = "torchscript".'
        return Contents(unpickle(_without_code(opened), scan), (note, *kept_inert(scan)))


def _without_code(opened: Opened) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(opened.stream) as archive, zipfile.ZipFile(copy, "w") as weights:
        for name in opened.members:
            inside = name.partition("/")[2]
            if inside in _WEIGHTS or inside.startswith("data/"):
                weights.writestr(name, archive.read(name))
    return copy
