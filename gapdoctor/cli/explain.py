"""`gapdoctor explain`: the manual pages."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gapdoctor.cli.console import say

if TYPE_CHECKING:
    from gapdoctor.cli.manual import ManualPage

_HEADINGS = {"cause": "Causes", "probe": "Probes", "correction": "Corrections", "fix": "Fixes"}


def explain(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A cause, probe, correction or fix; else the list."),
    ] = None,
) -> None:
    """Show the manual page of a cause, probe, correction or fix; without a name, the list."""
    from gapdoctor.cli import manual

    width = min(max(shutil.get_terminal_size().columns, 50), 100)
    if name is not None:
        say(manual.to_text(manual.find_page(name), width).rstrip("\n"))
        return
    say(_listing(manual.all_pages(), width))


def _listing(pages: Sequence[ManualPage], width: int) -> str:
    column = max(len(page.name) for page in pages) + 4
    blocks = []
    for kind, heading in _HEADINGS.items():
        rows = [_row(page, column, width) for page in pages if page.kind == kind]
        if rows:
            blocks.append("\n".join([heading, *rows]))
    return "\n\n".join([*blocks, "gapdoctor explain NAME shows the whole page."])


def _row(page: ManualPage, column: int, width: int) -> str:
    name = f"  {page.name}".ljust(column)
    return textwrap.fill(
        page.gist,
        width,
        initial_indent=name,
        subsequent_indent=" " * column,
        break_on_hyphens=False,
    )
