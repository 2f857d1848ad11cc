"""Makes text inert in GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from gapdoctor.report.prose import pieces

_LINKED = re.compile(r"\S*(?:[@#]\w|\bGH-\d|://|www\.|javascript:|mailto:)\S*", re.IGNORECASE)
"""What GitHub turns into a link by itself (mentions, issues, addresses), even when escaped."""

_SPECIAL = re.compile(
    r"[\\`*\[\]<>|~$]"
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # an underscore within a word is text
    r"|&(?=#?\w+;)"
)
_LEADING = re.compile(r"^(\s*(?:\d{1,9})?)([-+#=.)])")
"""What makes a heading, a rule or a list of a line that starts with it."""

_STARTS_BLOCK = re.compile(
    r"\s*(?:[-+](?:\s|$)|#{1,6}(?:\s|$)|\d{1,9}[.)](?:\s|$)|[-=]+\s*$|(?:-\s*){3,}$)"
)


def prose(text: str, *, in_cell: bool = False) -> str:
    """Return `text` such that Markdown shows it as it is.

    What stands in backticks is code, and so becomes what GitHub would link.
    """
    shown = [
        code(part, in_cell=in_cell) if is_name else _running(part, in_cell)
        for part, is_name in pieces(text)
    ]
    line = "".join(shown).strip()  # four leading spaces would make a code block
    return _LEADING.sub(r"\1\\\2", line) if _STARTS_BLOCK.match(line) else line


def _running(text: str, in_cell: bool) -> str:
    parts: list[str] = []
    at = 0
    for found in _LINKED.finditer(text):
        parts += [_escaped(text[at : found.start()]), code(found[0], in_cell=in_cell)]
        at = found.end()
    return "".join([*parts, _escaped(text[at:])])


def code(text: str, *, in_cell: bool = False) -> str:
    """Return `text` as a code span, whatever backticks it holds.

    In a cell of a table a bar ends the cell even within code, unless it is escaped there.
    """
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    span = f"{fence}{pad}{text}{pad}{fence}"
    return span.replace("|", r"\|") if in_cell else span


def fenced(text: str, language: str = "") -> str:
    """Return a code block, whatever backticks it holds."""
    fence = "`" * max(_longest_run(text) + 1, 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
