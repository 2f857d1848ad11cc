"""Data sets saved by Hugging Face's `datasets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, Source, SplitData
from gapdoctor.loading.libraries import is_saved_dataset, saved_dataset


class SavedDataset(Source):
    """A folder written by `datasets.Dataset.save_to_disk`.

    Samples are dicts; `[data] input` and `label` say which entries count. Needs datasets:
    `pip install 'gapdoctor[hf]'`.
    """

    name: ClassVar[str] = "saved_dataset"
    form: ClassVar[str] = "a saved Hugging Face dataset"

    def accepts(self, path: Path) -> bool:
        """Whether it is a folder that `save_to_disk` wrote."""
        return path.is_dir() and is_saved_dataset(path)

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Open a split."""
        if (path / "dataset_dict.json").is_file():
            splits = ", ".join(sorted(p.name for p in path.iterdir() if p.is_dir()))
            raise DataError(f"{who}: holds several splits: {splits}", "name the folder of one")
        dataset = saved_dataset(path, who)
        return SplitData(dataset, _class_names(dataset, known.keys[1]))


def _class_names(dataset: Any, label: str) -> tuple[str, ...] | None:
    names = getattr(getattr(dataset, "features", {}).get(label), "names", None)
    return tuple(names) if names else None
