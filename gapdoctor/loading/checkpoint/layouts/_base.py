"""What every layout is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from gapdoctor.discovery import find_plugins
from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry


class Layout(ABC):
    """A habit of where in a file the weights lie.

    A subclass sits alone in a file of this folder that bears its `name`.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    """Layouts are asked in this order; the first that answers is the file's."""

    @abstractmethod
    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return the file's sets of weights, or none where the file is laid out otherwise.

        Parameters
        ----------
        tree : object
            What the file holds.
        found : tuple of Candidate
            All sets of weights in it.
        """


def all_layouts() -> list[Layout]:
    """Return every layout found in this folder, in the order of asking."""
    found = find_plugins("gapdoctor.loading.checkpoint.layouts", Layout)
    return sorted(found, key=lambda layout: (layout.order, layout.name))
