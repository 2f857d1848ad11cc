"""The file is a whole pickled model."""

from __future__ import annotations

from typing import Any, ClassVar

from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry
from gapdoctor.loading.checkpoint.layouts._base import Layout


class Module(Layout):
    """`torch.save(model, path)`: its weights are taken, its class is never imported."""

    name: ClassVar[str] = "module"
    order: ClassVar[int] = 40

    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return the model's weights."""
        if isinstance(tree, dict):
            return ()
        return tuple(Entry("", None, c.state) for c in found if not c.path)
