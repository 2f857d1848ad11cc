"""Whose weights they are, as far as names tell."""

from __future__ import annotations

from collections.abc import Iterable

from gapdoctor.loading.checkpoint._record import Role

TEACHERS = ("teacher", "teacher_model", "teacher_net", "model_t", "net_t")
STUDENTS = ("student", "student_model", "student_net", "model_s", "net_s")
BESIDE_A_TEACHER = (*STUDENTS, "architecture", "model", "net", "network")
"""Prefixes that mean the student where a teacher's stand beside them."""
_ENDINGS = ("_state_dict", "_weights", "_sd")


def role_of(path: str) -> Role | None:
    """Return the role that the last part of a dotted path names, if any."""
    name = path.rpartition(".")[2].lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    if name in TEACHERS:
        return "teacher"
    return "student" if name in STUDENTS else None


def first_prefix(names: Iterable[str], prefixes: tuple[str, ...]) -> str | None:
    """Return the first of `prefixes` that the first dotted part of some name equals."""
    parts = {name.partition(".")[0] for name in names}
    return next((prefix for prefix in prefixes if prefix in parts), None)
