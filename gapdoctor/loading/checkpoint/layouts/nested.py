"""Weights under a key of a larger dict."""

from __future__ import annotations

from typing import Any, ClassVar

from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry
from gapdoctor.loading.checkpoint.layouts._base import Layout
from gapdoctor.loading.checkpoint.layouts._roles import role_of


class Nested(Layout):
    """`{"model": …, "optimizer": …, "epoch": …}` and its many relatives."""

    name: ClassVar[str] = "nested"
    order: ClassVar[int] = 50

    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return every set of weights, the usual keys first."""
        return tuple(Entry(c.path, role_of(c.path), c.state) for c in found)
