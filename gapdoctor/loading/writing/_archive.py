"""Other bytes for members of a zip archive, all else of the file as it is."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

_LOCAL, _CENTRAL, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_LOCAL_SIZE, _CENTRAL_SIZE = 30, 46
_CRC_IN_LOCAL, _CRC_IN_CENTRAL = 14, 16
_HAS_DESCRIPTOR = 0x08
"""Bit of the flags: the checksum stands behind the data (PKWARE's APPNOTE.TXT, 4.4.4)."""


def patched(content: bytes, members: Mapping[str, bytes]) -> bytes:
    """Return the archive with new bytes for some members; offsets and alignment stay.

    Parameters
    ----------
    content : bytes
        A whole zip archive.
    members : mapping of str to bytes
        New content by whole name, each as long as the old one.

    Raises
    ------
    ValueError
        When a member is compressed, missing, or of another length: it cannot be done in place.
    """
    whole = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        central = _central_entries(content, archive.start_dir, len(infos))
    for name, new in members.items():
        info = infos.get(name)
        if info is None or info.compress_type != zipfile.ZIP_STORED or info.file_size != len(new):
            raise ValueError(f"{name} cannot be replaced in place")
        _patch(whole, info, central[name], new)
    return bytes(whole)


def _patch(whole: bytearray, info: zipfile.ZipInfo, central: int, new: bytes) -> None:
    at = info.header_offset
    if whole[at : at + 4] != _LOCAL:
        raise ValueError(f"{info.filename} has no header of its own")
    name_size, extra_size = struct.unpack_from("<HH", whole, at + 26)
    start = at + _LOCAL_SIZE + name_size + extra_size
    end = start + len(new)
    whole[start:end] = new
    checksum = zlib.crc32(new)
    struct.pack_into("<I", whole, central + _CRC_IN_CENTRAL, checksum)
    if info.flag_bits & _HAS_DESCRIPTOR:
        marked = whole[end : end + 4] == _DESCRIPTOR
        struct.pack_into("<I", whole, end + 4 if marked else end, checksum)
    else:
        struct.pack_into("<I", whole, at + _CRC_IN_LOCAL, checksum)


def _central_entries(content: bytes, start: int, count: int) -> dict[str, int]:
    """Return where each member's entry in the central directory begins."""
    found: dict[str, int] = {}
    at = start
    for _ in range(count):
        if content[at : at + 4] != _CENTRAL:
            raise ValueError("the archive's directory is not where it is said to be")
        flags = struct.unpack_from("<H", content, at + 8)[0]
        sizes = struct.unpack_from("<HHH", content, at + 28)
        raw = content[at + _CENTRAL_SIZE : at + _CENTRAL_SIZE + sizes[0]]
        found[raw.decode("utf-8" if flags & 0x800 else "cp437")] = at
        at += _CENTRAL_SIZE + sum(sizes)
    return found
