"""The archive that torch.save has written since 1.6."""

from __future__ import annotations

import io
import zipfile
from typing import ClassVar

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint._scan import RESAVE, scan_pickle
from gapdoctor.loading.checkpoint._unpickle import unpickle
from gapdoctor.loading.checkpoint.containers._base import Container, Contents
from gapdoctor.loading.checkpoint.containers._told import kept_inert


class TorchZip(Container):
    """A zip archive with `data.pkl` and one member a storage, uncompressed."""

    name: ClassVar[str] = "torch_zip"

    def holds(self, opened: Opened) -> bool:
        """Tell by `data.pkl`; with `constants.pkl` it would be a TorchScript program."""
        return opened.member("data.pkl") is not None and opened.member("constants.pkl") is None

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Dry-run the pickle, then let torch rebuild the tensors."""
        if unsafe:
            return Contents(unpickle(opened.stream, None))
        _check_layout(opened)
        pickled = opened.read_member(opened.member("data.pkl") or "")
        scan = scan_pickle(io.BytesIO(pickled), opened.path, opened.size)
        return Contents(unpickle(opened.stream, scan), kept_inert(scan))


def _check_layout(opened: Opened) -> None:
    """Torch reads the folder of the first member; another one would be read by nobody."""
    folders = {name.partition("/")[0] for name in opened.members}
    with zipfile.ZipFile(opened.stream) as archive:
        packed = any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist())
    if len(folders) > 1 or packed:
        what = "compressed" if packed else "of several folders"
        raise CheckpointError(f"{opened.path}: an archive {what}, not one of torch.save", RESAVE)
