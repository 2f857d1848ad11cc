from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.loading.toml_lines import error_line, key_lines

TEXT = '''\
# a comment with key = 1
[student]
model = "run.py:student"   # a comment
args = { width = 16, deep = { er = 1 } }
checkpoint = """
[data]
train = "no key"
"""

[data]
classes = [
  "a",
  "b = 1",
]
heldout.call = "run.py:x"
[data.heldout.args]
"year" = 2026
[[odd]]
key = 1
'''


def test_every_key_has_the_line_of_its_statement():
    lines = key_lines(TEXT)
    assert lines["student"] == 2
    assert lines["student.model"] == 3
    assert lines["student.args"] == lines["student.args.deep.er"] == 4
    assert lines["student.checkpoint"] == 5
    assert lines["data"] == 10
    assert lines["data.classes"] == 11
    assert lines["data.heldout.call"] == 15
    assert lines["data.heldout"] == 15
    assert lines["data.heldout.args.year"] == 17
    assert lines["odd.key"] == 19
    assert "data.train" not in lines


def test_windows_line_ends_count_once():
    assert key_lines("[a]\r\nb = 1\r\n\r\nc = 2\r\n") == {"a": 1, "a.b": 2, "a.c": 4}


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = = 2\nc = 3\n", 2), ("a = 1\n\nb = [1,\n2\n", 4), ("a = 1\na = 2", 2)],
)
def test_a_syntax_error_has_its_line(text, line):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert error_line(caught.value, text) == line


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_lines_are_right_however_long_the_values_between(gaps):
    text, expected = "", {}
    for number, gap in enumerate(gaps):
        expected[f"k{number}"] = text.count("\n") + 1
        text += f"k{number} = [" + "\n'x'," * gap + "]\n" + "\n" * gap
    assert key_lines(text) == expected
