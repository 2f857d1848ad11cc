"""Sentences with names in them: what stands in backticks is a name to copy."""

from __future__ import annotations

import re

_NAMED = re.compile(r"(?<![\w`])`([^`\s](?:[^`]*[^`\s])?)`(?![\w`])")


def pieces(text: str) -> list[tuple[str, bool]]:
    """Return the parts of `text` in order, each with whether it stood in backticks.

    A backtick without a partner, or within a word, is text.
    """
    found = _NAMED.split(text)
    return [(part, i % 2 == 1) for i, part in enumerate(found) if part]


def unmarked(text: str) -> str:
    """Return `text` for a format that has no code: names without their backticks."""
    return "".join(part for part, _ in pieces(text))
