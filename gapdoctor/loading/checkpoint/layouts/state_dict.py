"""The file is a state_dict."""

from __future__ import annotations

from typing import Any, ClassVar

from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry
from gapdoctor.loading.checkpoint.layouts._base import Layout


class StateDict(Layout):
    """`torch.save(model.state_dict(), path)`: names and tensors, nothing else."""

    name: ClassVar[str] = "state_dict"
    order: ClassVar[int] = 30

    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return the whole file."""
        if not isinstance(tree, dict):
            return ()
        return tuple(Entry("", None, c.state) for c in found if not c.path)
