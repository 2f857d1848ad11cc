"""Student and teacher in one file."""

from __future__ import annotations

from typing import Any, ClassVar

from gapdoctor.loading.checkpoint._candidates import Candidate
from gapdoctor.loading.checkpoint._record import Entry
from gapdoctor.loading.checkpoint._tree import unwrapped
from gapdoctor.loading.checkpoint.layouts._base import Layout
from gapdoctor.loading.checkpoint.layouts._roles import (
    BESIDE_A_TEACHER,
    TEACHERS,
    first_prefix,
    role_of,
)


class Pair(Layout):
    """Both models, under two keys or as two prefixes of one set of weights.

    A distiller module (mdistiller, Lightning) keeps its models as attributes, so that one
    state_dict holds `student.*` and `teacher.*`; other scripts save two under their own keys.
    """

    name: ClassVar[str] = "pair"
    order: ClassVar[int] = 20

    def entries(self, tree: Any, found: tuple[Candidate, ...]) -> tuple[Entry, ...]:
        """Return both models' weights where a teacher is among them, else nothing."""
        entries = [entry for candidate in found for entry in _split(candidate)]
        return tuple(entries) if any(e.role == "teacher" for e in entries) else ()


def _split(candidate: Candidate) -> list[Entry]:
    teacher = first_prefix(candidate.state, TEACHERS)
    if teacher is None:
        return [Entry(candidate.path, role_of(candidate.path), candidate.state)]
    student = first_prefix(candidate.state, BESIDE_A_TEACHER)
    entries = []
    if student is not None:
        entries.append(_part(candidate, student))
    elif rest := {k: v for k, v in candidate.state.items() if not k.startswith(f"{teacher}.")}:
        entries.append(Entry(candidate.path, "student", rest))
    teachers = _part(candidate, teacher)
    return [*(Entry(e.key, "student", e.state) for e in entries), teachers]


def _part(candidate: Candidate, prefix: str) -> Entry:
    dotted = f"{prefix}."
    state = {k.removeprefix(dotted): v for k, v in candidate.state.items() if k.startswith(dotted)}
    return Entry(f"{candidate.path}.{prefix}".strip("."), "teacher", unwrapped(state))
