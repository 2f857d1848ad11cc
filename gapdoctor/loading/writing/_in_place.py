"""New weights in the very bytes where the old ones lie, container by container.

So everything else of a file stays as it is, also what only its user's code can unpickle: a whole
model, arguments, a program. Nothing of it is run, and nothing is pickled again.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint._scan import Scan, scan_pickle
from gapdoctor.loading.writing._archive import patched
from gapdoctor.loading.writing._storages import (
    Held,
    NotInPlace,
    as_stream,
    plain_pickle,
    read_held,
)

Put = Callable[[Any], None]
"""Given the object inside the file, copies the new weights over the old ones in it."""

_LEGACY_HEADS = 3
"""Pickles before the object: magic number, protocol, system."""
_CODES = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 9: torch.complex32, 10: torch.complex64,
    11: torch.complex128, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
"""`ScalarType` of torch/_export/serde/schema.py."""
_EXPORTED = "data/weights/model_weights_config.json"


def rewritten(opened: Opened, container: str, put: Put) -> bytes:
    """Return the whole file with other weights in it.

    Parameters
    ----------
    opened : Opened
        The file that was read.
    container : str
        Its container's name.
    put : callable
        Changes the tensors of the object inside the file, each in place.

    Raises
    ------
    NotInPlace
        When that cannot be done; says why.
    """
    write = {
        "torch_zip": _archive,
        "torchscript": _archive,
        "torch_legacy": _legacy,
        "exported": _exported,
    }.get(container)
    if write is None:
        raise NotInPlace(f"a file of {container} is written anew")
    return write(opened, put)


def _archive(opened: Opened, put: Put) -> bytes:
    order = opened.member("byteorder")
    if order is not None and opened.read_member(order) != b"little":
        raise NotInPlace("its bytes are in big-endian order")
    pickled = opened.read_member(opened.member("data.pkl") or "")
    held = read_held(as_stream(pickled), scan_pickle(as_stream(pickled), opened.path, opened.size))
    names = {key: opened.member(f"data/{key}") or "" for key in held.storages}
    raw = {key: opened.read_member(name) for key, name in names.items()}
    return _patched(opened, _changed(held, raw, put), names)


def _patched(opened: Opened, changed: Mapping[str, bytes], names: Mapping[str, str]) -> bytes:
    try:
        return patched(_whole(opened), {names[key]: new for key, new in changed.items()})
    except ValueError as error:
        raise NotInPlace(str(error)) from error


def _changed(held: Held, raw: Mapping[str, bytes], put: Put) -> dict[str, bytes]:
    for key, content in raw.items():
        held.fill(key, content)
    put(held.tree)
    return {key: new for key in raw if (new := held.raw(key)) != raw[key]}


def _legacy(opened: Opened, put: Put) -> bytes:
    """Behind five pickles lies each storage: how many numbers, then their bytes."""
    whole = bytearray(_whole(opened))
    stream = io.BytesIO(whole)
    for _ in range(_LEGACY_HEADS):
        _scanned(stream, opened)
        plain_pickle(stream)
    held = read_held(stream, _scanned(stream, opened))
    _scanned(stream, opened)
    keys = plain_pickle(stream)
    places, at = {}, stream.tell()
    for key in keys:
        size = struct.unpack_from("<q", whole, at)[0] * held.widths[key]
        places[key] = slice(at + 8, at + 8 + size)
        at += 8 + size
    raw = {key: bytes(whole[place]) for key, place in places.items()}
    for key, new in _changed(held, raw, put).items():
        whole[places[key]] = new
    return bytes(whole)


def _scanned(stream: io.BytesIO, opened: Opened) -> Scan:
    """Dry-run the next pickle; the stream stands before it again afterwards."""
    start = stream.tell()
    scan = scan_pickle(stream, opened.path, opened.size)
    stream.seek(start)
    return scan


def _exported(opened: Opened, put: Put) -> bytes:
    """A member a tensor, each as torch.export describes it beside them."""
    config = opened.member(_EXPORTED)
    if config is None:
        raise NotInPlace("it is a program of another torch.export")
    told = json.loads(opened.read_member(config))["config"]
    folder = config.rpartition("/")[0]
    names = {key: f"{folder}/{entry['path_name']}" for key, entry in told.items()}
    raw = {name: bytearray(opened.read_member(name)) for name in names.values()}
    put({key: _exported_tensor(told[key], raw[name]) for key, name in names.items()})
    return _patched(opened, {name: bytes(new) for name, new in raw.items()}, {n: n for n in raw})


def _exported_tensor(entry: Mapping[str, Any], raw: bytearray) -> Tensor:
    meta = entry["tensor_meta"]
    if entry.get("use_pickle") or meta["dtype"] not in _CODES or not raw:
        raise NotInPlace("its program holds a tensor of another kind")
    flat = torch.frombuffer(raw, dtype=_CODES[meta["dtype"]])
    size, stride = ([n["as_int"] for n in meta[key]] for key in ("sizes", "strides"))
    return flat.as_strided(size, stride, meta["storage_offset"]["as_int"])


def _whole(opened: Opened) -> bytes:
    opened.stream.seek(0)
    return opened.stream.read()
