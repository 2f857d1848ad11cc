"""matplotlib's SVG file -> an element that lives within a page of other such elements."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from gapdoctor.report.drawing.style import COLOURS, INK

_VARIABLES = {INK: "currentColor"} | {c: f"var(--{role})" for role, c in COLOURS.items()}
_NUMBERS = re.compile(r"(\s(?:d|x|y|width|height|points|transform)=\")([^\"]*)\"")
_DECIMALS = re.compile(r"(\.\d\d)\d+")


def inline(text: str, prefix: str, label: str) -> str:
    """Return the `<svg>` element of a matplotlib SVG file, fit to stand in an HTML page.

    Ids get a prefix, since two charts of matplotlib share theirs; the sentinel colours become the
    page's; fonts are the page's; coordinates are cut to a hundredth of a pixel; metadata and the
    style rule, which would hold for the whole page, are dropped.

    Parameters
    ----------
    text : str
        The file.
    prefix : str
        Put before each id.
    label : str
        What a screen reader says.
    """
    body = text[text.index("<svg") :]
    head, body = body.split(">", 1)
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"\s*<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[a-zA-Z][^>]*>", lambda tag: _tag(tag[0], prefix), body)
    body = re.sub(r"\n\s*", "\n", body)
    return f"{_opening(head, label)}{body.strip()}"


def _tag(tag: str, prefix: str) -> str:
    """Change one tag; text between tags, which may be a user's, stays as it is."""
    tag = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", tag)
    tag = re.sub(r"\bfont: (?:bold )?([\d.]+px)[^;\"]*", _font, tag)
    tag = _NUMBERS.sub(lambda m: m[1] + _DECIMALS.sub(r"\1", m[2]) + '"', tag)
    return re.sub(r"#[0-9a-f]{6}\b", lambda m: _VARIABLES.get(m[0], m[0]), tag)


def _font(found: re.Match[str]) -> str:
    weight = "; font-weight: 600" if "bold" in found[0] else ""
    return f"font-size: {found[1]}{weight}"


def _opening(head: str, label: str) -> str:
    found = re.search(r'viewBox="([^"]+)"', head)
    box = found[1] if found else "0 0 100 100"
    width, height = box.split()[2:]
    return (
        f'<svg role="img" aria-label={quoteattr(label)} viewBox="{box}" '
        f'width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
