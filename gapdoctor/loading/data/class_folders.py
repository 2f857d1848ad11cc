"""Folders of class folders with images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, Source, SplitData
from gapdoctor.loading.data._classes import class_order
from gapdoctor.loading.libraries import is_saved_dataset


class ClassFolders(Source):
    """A folder with one folder of images a class, as torchvision's `ImageFolder` reads it.

    Classes are numbered in the order of their sorted names (of the train split's, for every
    split). A raw sample is a PIL image in RGB; nothing is resized.
    """

    name: ClassVar[str] = "class_folders"
    form: ClassVar[str] = "a folder of class folders"

    def accepts(self, path: Path) -> bool:
        """Whether it is a folder."""
        return path.is_dir() and not is_saved_dataset(path)

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Open a split; images are read one by one, later."""
        from torchvision.datasets import ImageFolder

        hint = "put the images of a class in a folder of its name"
        try:
            images = ImageFolder(str(path), allow_empty=True)
        except OSError as error:
            raise DataError(f"{who}: holds no class folders", hint) from error
        if not images.samples:
            raise DataError(f"{who}: its class folders hold no images", hint)
        order = class_order(images.classes, who, known)
        place = {name: i for i, name in enumerate(order)}
        images.samples = [(file, place[images.classes[i]]) for file, i in images.samples]
        images.imgs, images.targets = images.samples, [i for _, i in images.samples]
        images.classes, images.class_to_idx = list(order), place
        return SplitData(images, order)
