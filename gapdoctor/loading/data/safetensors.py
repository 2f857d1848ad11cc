"""Safetensors files that hold data."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.data._arrays import pick, split_of
from gapdoctor.loading.data._base import Known, Source, SplitData


class Safetensors(Source):
    """A safetensors file with a tensor of inputs and one of labels, one entry a row.

    They are called as in a `.npz` file. A raw sample is one row of the tensor, untouched.
    """

    name: ClassVar[str] = "safetensors"
    form: ClassVar[str] = "a .safetensors file"

    def accepts(self, path: Path) -> bool:
        """Whether it is a `.safetensors` file."""
        return path.suffix.lower() == ".safetensors" and path.is_file()

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Read a split."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                names = pick(file.keys(), who, known)
                tensors = {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{who}: cannot be read: {error}", "write it with safetensors.torch.save_file"
            ) from error
        return split_of(tensors, who, known)
