"""The format that torch.save wrote before 1.6."""

from __future__ import annotations

import io
from typing import BinaryIO, ClassVar, cast

from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint._scan import Scan, scan_pickle
from gapdoctor.loading.checkpoint._unpickle import unpickle
from gapdoctor.loading.checkpoint.containers._base import Container, Contents
from gapdoctor.loading.checkpoint.containers._told import kept_inert

_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_PICKLES = 5
"""Magic number, protocol, system, the object, the storages' keys; raw storages follow."""


class TorchLegacy(Container):
    """Five pickles in a row, then the storages' bytes, without any checksum."""

    name: ClassVar[str] = "torch_legacy"

    def holds(self, opened: Opened) -> bool:
        """Tell by torch's magic number."""
        return opened.head.startswith(_MAGIC)

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Dry-run each pickle, then let torch rebuild the tensors."""
        if unsafe:
            return Contents(unpickle(opened.stream, None))
        opened.stream.seek(0)
        bounded = cast("BinaryIO", _Bounded(opened.stream, opened.size))
        merged = Scan()
        for _ in range(_PICKLES):
            scan = scan_pickle(bounded, opened.path, opened.size)
            merged.unknown |= scan.unknown
            merged.dict_like |= scan.dict_like
            merged.list_like |= scan.list_like
        note = "An old format without checksums: damage inside the weights cannot be seen."
        return Contents(unpickle(opened.stream, merged), (note, *kept_inert(merged)))


class _Bounded(io.RawIOBase):
    """A file that is never asked for more than it has: asking alone would allocate it."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def read(self, size: int = -1, /) -> bytes:
        left = self._size - self._stream.tell()
        return self._stream.read(left if size < 0 else min(size, left))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._stream.readline()

    def tell(self) -> int:
        return self._stream.tell()
