"""What every source of data on disk is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gapdoctor.discovery import find_plugins
from gapdoctor.errors import DataError


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the data before a split is read."""

    keys: tuple[str, str] = ("input", "label")
    """Names of inputs and labels (`[data] input`, `label`), tried before the usual ones."""
    classes: tuple[str, ...] | None = None
    """`[data] classes`, in the order of the logits."""
    train_classes: tuple[str, ...] | None = None
    """The order that the train split's names gave; binding for the other splits."""


@dataclass(frozen=True, slots=True)
class SplitData:
    """One split, read or opened."""

    data: Any
    """A Dataset or (inputs, labels): raw samples, untouched."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of the indices, where labels are names."""
    columns: tuple[str, ...] | None = None
    """Feature columns of a table."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source(ABC):
    """A form of data on disk.

    A subclass sits alone in a file of this folder that bears its `name`; its docstring is its
    manual page.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    """What a user would call it, for messages."""

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Whether this source reads `path`, judged without opening it."""

    @abstractmethod
    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Read a split.

        Parameters
        ----------
        path : Path
            An existing file or folder.
        who : str
            Begins a message: key and name, such as `data.train: digits.npz`.
        known : Known
            Names and class order settled before.

        Raises
        ------
        DataError
            When it cannot be read, or is not of the form.
        """


def read_split(path: Path, who: str, known: Known) -> SplitData:
    """Read a split from disk with the source that accepts it.

    Raises
    ------
    DataError
        When no source does, or the one that does cannot read it.
    """
    sources = find_plugins("gapdoctor.loading.data", Source)
    for source in sources:
        if source.accepts(path):
            return source.read(path, who, known)
    forms = ", ".join(source.form for source in sources)
    raise DataError(f"{who}: not a form of data that is known", f"known: {forms}")
