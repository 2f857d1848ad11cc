"""A program of torch.export: its weights are read, its code is not."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint.containers._base import Container, Contents
from gapdoctor.loading.checkpoint.containers.torch_zip import TorchZip

if TYPE_CHECKING:
    from torch import Tensor

_RUN = 'A program: it is run only where the config says model = "exported".'
_CONFIG = "data/weights/model_weights_config.json"
"""Names, shapes and files of the weights, beside their plain bytes."""
_SAVED = ("data/weights/model.pt", "serialized_state_dict.pt")
"""In older programs: the weights as torch.save writes them, an archive within the archive."""
_SCALAR_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16",
}  # fmt: skip
"""`ScalarType` of torch/_export/serde/schema.py."""
_AGAIN = "save the program again, or save model.state_dict() with torch.save"


class Exported(Container):
    """What `torch.export.save` writes: an archive with `models/` and `archive_format`."""

    name: ClassVar[str] = "exported"
    names_format: ClassVar[bool] = True

    def holds(self, opened: Opened) -> bool:
        """Tell by `archive_format`, or by the older `serialized_exported_program.json`."""
        marks = ("archive_format", "serialized_exported_program.json")
        inside = {name.rpartition("/")[2] for name in opened.members}
        return any(mark in inside for mark in marks)

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Read the weights that lie beside the program: plain bytes, or an archive of torch.save.

        Nothing is unpickled unguarded, `unsafe` or not: weights need no class of the user's.
        """
        config = opened.member(_CONFIG)
        if config is not None:
            return _plain(opened, config)
        for name in opened.members:
            if name.endswith(_SAVED):
                nested = TorchZip().read(_within(opened, name), unsafe=False)
                return replace(nested, notes=(_RUN, *nested.notes))
        return Contents({}, (_RUN, "Its weights lie where this version does not look for them."))


def _within(opened: Opened, name: str) -> Opened:
    """The archive that is a member of this one."""
    content = opened.read_member(name)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream) as archive:
        members = tuple(archive.namelist())
    return replace(opened, stream=stream, size=len(content), head=content[:512], members=members)


def _plain(opened: Opened, config: str) -> Contents:
    order = opened.member("byteorder")
    if order is not None and opened.read_member(order).strip() != b"little":
        raise CheckpointError(f"{opened.path}: weights in big-endian order", _AGAIN)
    folder = config.rpartition("/")[0]
    try:
        told = json.loads(opened.read_member(config))["config"]
        plain = {key: entry for key, entry in told.items() if not entry.get("use_pickle")}
        weights = {
            key: _tensor(entry["tensor_meta"], opened.read_member(f"{folder}/{entry['path_name']}"))
            for key, entry in plain.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{opened.path}: {config} does not describe the weights beside it", _AGAIN
        ) from error
    left = sorted(set(told) - set(plain))
    pickled = (f"Not read, since only unpickling would tell them: {', '.join(left)}.",)
    return Contents(weights, (_RUN, *(pickled if left else ())))


def _tensor(meta: Mapping[str, Any], content: bytes) -> Tensor:
    """The tensor that plain bytes are, as torch.export describes it.

    Raises
    ------
    ValueError
        When it would reach beyond the bytes, or is larger than they are.
    """
    import torch

    dtype = getattr(torch, _SCALAR_TYPES[meta["dtype"]])
    sizes, strides = ([int(n["as_int"]) for n in meta[key]] for key in ("sizes", "strides"))
    offset = int(meta["storage_offset"]["as_int"])
    count = math.prod(sizes)
    if len(sizes) != len(strides) or min([offset, *sizes, *strides]) < 0:
        raise ValueError("no shape")
    if count == 0:
        return torch.empty(sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(content), dtype=dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if last >= len(flat) or count > len(flat):
        raise ValueError("beyond the bytes")
    return flat.as_strided(sizes, strides, offset)
