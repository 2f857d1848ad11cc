"""What every probe is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.discovery import find_plugins
from gapdoctor.domain.findings import Finding, Skipped
from gapdoctor.observe.observations import Need, Observations


@dataclass(frozen=True)
class Probe(ABC):
    """A question about the pair.

    A subclass sits alone in a file of this folder that bears its `name`; its docstring is its
    manual page; its limits are dataclass fields with a default and a docstring line naming unit
    and source.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    """When it is asked: interventions are measured one on top of the other, in this order."""
    needs: ClassVar[frozenset[Need]] = frozenset()
    """What must be there; else the probe is skipped, with the reason that the Need gives."""

    @abstractmethod
    def examine(self, seen: Observations) -> Finding | Skipped:
        """Ask the question of what was observed."""


def all_probes() -> list[Probe]:
    """Return every probe found in this folder, in the order of asking."""
    return sorted(find_plugins("gapdoctor.probes", Probe), key=lambda p: (p.order, p.name))
