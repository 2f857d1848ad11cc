"""The bundle that `gapdoctor.save_bundle` writes."""

from __future__ import annotations

from typing import Any, ClassVar

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry
from gapdoctor.loading.checkpoint.layouts._base import Layout
from gapdoctor.loading.checkpoint.layouts._roles import role_of

MARK = "gapdoctor_bundle"
VERSION = 1


class Bundle(Layout):
    """Weights of student and teacher, recipe and history under fixed keys."""

    name: ClassVar[str] = "bundle"
    order: ClassVar[int] = 10

    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return the student's weights and, where they are in it, the teacher's."""
        if not isinstance(tree, dict) or MARK not in tree:
            return ()
        if tree[MARK] != VERSION:
            raise CheckpointError(
                f"a gapdoctor bundle of version {tree[MARK]!r}; this gapdoctor reads {VERSION}",
                "upgrade gapdoctor",
            )
        models = [c for c in found if c.path in ("student", "teacher")]
        return tuple(Entry(c.path, role_of(c.path), c.state) for c in models)
