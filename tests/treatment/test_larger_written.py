"""A larger student that was guessed: its arguments stand in the config that is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapdoctor.domain.trials import Change
from gapdoctor.loading.config import resolve_config
from gapdoctor.treatment._write import _of_size

CODE = "from torch import nn\n\n\ndef net(width=4):\n    return nn.Linear(2, width)\n"
REST = """
[teacher]
model = "run.py:net"
checkpoint = "student.pth"
[data]
train = "run.py:net"
heldout = "run.py:net"
"""


@pytest.mark.parametrize(
    ("student", "changes"),
    [
        ('model = "run.py:net"', [Change("student.args.width", None, 8)]),
        ('model = "run.py:net"\nargs = { width = 3 }', [Change("student.args.width", 3, 6)]),
        ('model = { call = "run.py:net", args = { width = 3 } }',
         [Change("student.model.args.width", 3, 6)]),
        ('model = "run.py:net"\nlarger = { width = 5 }',
         [Change("student.args.width", None, 5), Change("student.larger", {"width": 5}, None)]),
    ],
)  # fmt: skip
def test_the_arguments_of_a_larger_student_become_the_students(
    tmp_path: Path, student: str, changes: list[Change]
) -> None:
    (tmp_path / "run.py").write_text(CODE)
    (tmp_path / "student.pth").touch()
    (tmp_path / "gapdoctor.toml").write_text(
        f'[student]\n{student}\ncheckpoint = "student.pth"\n{REST}'
    )
    assert _of_size(resolve_config(tmp_path / "gapdoctor.toml").student) == changes
