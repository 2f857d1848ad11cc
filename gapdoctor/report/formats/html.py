"""One page: no script, no network, readable by everybody."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Figure, Gallery, Lead, Picture, Section
from gapdoctor.report.clean import clean_text
from gapdoctor.report.formats._base import Format
from gapdoctor.report.prose import pieces
from gapdoctor.report.sections import sections

if TYPE_CHECKING:
    from jinja2 import Environment

LIMIT = 500_000
"""Bytes of a page: pictures that would lead beyond are left out."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Two drawings of one chart: for a wide screen and for a narrow one."""

    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture with its bytes as an address."""

    picture: Picture
    uri: str


class Html(Format):
    """A page to attach to a ticket: it asks nothing of the network and runs no script."""

    name: ClassVar[str] = "html"
    extension: ClassVar[str] = "html"

    def render(self, diagnosis: Diagnosis) -> str:
        """Return the page."""
        return page(sections(diagnosis), diagnosis.version)


def page(parts: tuple[Section, ...], version: str) -> str:
    """Return sections as a page. Autoescape holds for every text; only our drawings are exempt.

    Parameters
    ----------
    parts : tuple of Section
        One of them has a Lead, which becomes the head of the page.
    version : str
        Of gapdoctor.
    """
    lead = next(b for s in parts for b in s.blocks if isinstance(b, Lead))
    template = _templates().get_template("page.html")
    given = {
        "version": clean_text(version),
        "lead": lead,
        "sections": [s for s in parts if lead not in s.blocks],
        "drawings": _drawings(parts),
    }
    blank = [Tile(p, "") for p in _pictures(parts)]
    text = template.render(given, tiles=blank)
    if not blank:
        return text
    room = LIMIT - len(text.encode("utf-8")) - _NOTE
    return template.render(given, tiles=_fitting(blank, room))


_NOTE = 200
"""Bytes, at most, of the line that says how many pictures are left out."""


def _pictures(parts: tuple[Section, ...]) -> list[Picture]:
    galleries = (b for s in parts for b in s.blocks if isinstance(b, Gallery))
    return [picture for gallery in galleries for picture in gallery.pictures]


def _fitting(blank: list[Tile], room: int) -> list[Tile]:
    """Return the first tiles, those that together take no more than `room` bytes."""
    tiles: list[Tile] = []
    for tile in blank:
        uri = f"data:image/png;base64,{b64encode(tile.picture.png).decode('ascii')}"
        room -= len(uri)
        if room < 0:
            break
        tiles.append(Tile(tile.picture, uri))
    return tiles


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("gapdoctor.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["pieces"] = pieces
    return templates


def _drawings(parts: tuple[Section, ...]) -> dict[str, Drawn]:
    from markupsafe import Markup

    from gapdoctor.report.drawing import HALF, NARROW, WIDE, svg

    return {
        block.key: Drawn(
            Markup(svg(block, HALF if block.half else WIDE)),
            Markup(svg(block, NARROW, "-narrow")),
        )
        for section in parts
        for block in section.blocks
        if isinstance(block, Figure)
    }
