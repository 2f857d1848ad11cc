"""The format of Hugging Face: a JSON header and raw tensors, nothing that could run."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint.containers._base import Container, Contents

_HEADER_LIMIT = 100_000_000
"""The cap of the safetensors library itself."""


class SafeTensors(Container):
    """A length, a JSON header of that length, raw tensors; it has no checksum."""

    name: ClassVar[str] = "safetensors"
    names_format: ClassVar[bool] = True

    def holds(self, opened: Opened) -> bool:
        """Tell by a plausible header length and the brace that follows."""
        length = int.from_bytes(opened.head[:8], "little")
        room = min(opened.size - 8, _HEADER_LIMIT)
        return 1 < length <= room and opened.head[8:9] == b"{"

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Let the safetensors library read it."""
        import safetensors.torch

        opened.stream.seek(0)
        content = opened.stream.read()
        try:
            tensors = safetensors.torch.load(content)
        except Exception as error:
            # the library and torch raise kinds of their own
            raise CheckpointError(
                f"{opened.path}: a damaged safetensors file", "copy or save it again"
            ) from error
        return Contents({"": tensors, "metadata": _metadata(content)})


def _metadata(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return dict(header.get("__metadata__") or {})
