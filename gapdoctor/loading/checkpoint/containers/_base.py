"""What every container is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from gapdoctor.discovery import find_plugins
from gapdoctor.loading.checkpoint._open import Opened


@dataclass(frozen=True, slots=True)
class Contents:
    """The object inside a file."""

    tree: Any
    """Dicts, lists, numbers, tensors, and stand-ins for all else."""
    notes: tuple[str, ...] = ()


class Container(ABC):
    """A way to pack objects into a file.

    A subclass sits alone in a file of this folder that bears its `name`.
    """

    name: ClassVar[str]
    names_format: ClassVar[bool] = False
    """The checkpoint's format is the container's name, not the layout's."""

    @abstractmethod
    def holds(self, opened: Opened) -> bool:
        """Tell by the first bytes and the archive's names whether the file is of this kind."""

    @abstractmethod
    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Return what the file holds, running nothing of it unless `unsafe`."""


def find_container(opened: Opened) -> Container | None:
    """Return the container that holds this file, or None."""
    containers = find_plugins("gapdoctor.loading.checkpoint.containers", Container)
    return next((c for c in containers if c.holds(opened)), None)
