"""The readable page that `diagnose` prints."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Interval
from gapdoctor.report.bars import text_bars
from gapdoctor.report.blocks import (
    Block,
    Callout,
    Card,
    Figure,
    Gallery,
    Grid,
    Lead,
    Listing,
    Paragraph,
    Section,
)
from gapdoctor.report.figures import Spans, Waterfall
from gapdoctor.report.prose import unmarked
from gapdoctor.report.quantities import interval, signed
from gapdoctor.report.sections import sections

SHOWN = ("verdict", "warnings", "measured", "bridge", "causes", "next", "samples", "skipped")
"""Sections of the page, in its order; the rest stands in the reports."""

_LABEL = 13
"""Columns of the labels of intervals, at least."""

_GUTTER = 2
"""Columns between two columns of a table."""

_TONES = {"good": "green", "bad": "red", "doubt": "yellow"}
_SEVERITIES = {"high": "bold red", "medium": "yellow", "low": "dim"}


def page(diagnosis: Diagnosis, *, width: int = 80, color: bool = False) -> str:
    """Return the page as text (see `screen`)."""
    found = {section.id: section for section in sections(diagnosis)}
    return screen([found[name] for name in SHOWN if name in found], width=width, color=color)


def screen(parts: Iterable[Section], *, width: int = 80, color: bool = False) -> str:
    """Return sections as text.

    Parameters
    ----------
    parts : iterable of Section
        What is shown, in this order.
    width : int
        Columns; a longer word, such as a path, is never broken.
    color : bool
        Whether to colour it by ANSI sequences. Meaning never rests on colour alone.
    """
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in parts:
        _section(console, part.title, part.blocks)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _section(console: Console, title: str, blocks: tuple[Block, ...]) -> None:
    if not isinstance(blocks[0], Lead):
        _say(console, title, "bold")
    for i, block in enumerate(blocks):
        if i and isinstance(block, Grid) and isinstance(blocks[i - 1], Figure):
            console.print()
        _block(console, block)
    if not isinstance(blocks[-1], Grid):
        console.print()


def _block(console: Console, block: Block) -> None:
    match block:
        case Lead():
            _say(console, f"{block.symbol} {block.verdict}", f"bold {_TONES[block.tone]}")
            _say(console, block.subject, "dim")
            _say(console, block.sentence)
        case Paragraph(text):
            _say(console, text, indent=2)
        case Listing(items) | Gallery(lines=items):
            for item in items:
                _say(console, item, indent=2, mark="• ")
        case Callout():
            _callout(console, block)
        case Grid():
            _grid(console, block)
        case Figure():
            _figure(console, block)
        case Card():
            _card(console, block)


def _say(console: Console, text: str, style: str = "", *, indent: int = 0, mark: str = "") -> None:
    """Print `text` wrapped between words; a word longer than the line is left whole."""
    hang = indent + len(mark)
    for i, line in enumerate(_wrapped(unmarked(text), console.width - hang)):
        head = " " * indent + mark if i == 0 else " " * hang
        _line(console, Text.assemble(head, (line, style)))


def _wrapped(text: str, width: int) -> list[str]:
    """Unlike rich's own wrapping, leave a word that is longer than the line whole."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _line(console: Console, line: Text) -> None:
    console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _callout(console: Console, callout: Callout) -> None:
    mark, style = ("!! ", "bold red") if callout.voids else ("!  ", "yellow")
    voided = " The ranking does not count." if callout.voids else ""
    _say(console, f"{callout.id}: {callout.text}{voided}", style, indent=2, mark=mark)


def _grid(console: Console, grid: Grid) -> None:
    room = console.width - 2
    table: Table | None = _table(grid, grid.rows)
    if table is not None and console.measure(table).maximum > room:
        table = _narrow_table(grid, room)
    if table is None or any(column.kind == "code" for column in grid.columns):
        for row in grid.rows:
            _say(console, ": ".join(cell for cell in row if cell), indent=2, mark="• ")
        return
    console.print(Padding(table, (0, 0, 0, 2)))
    console.print()


def _table(grid: Grid, rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in grid.columns:
        table.add_column(column.title, justify="right" if column.kind == "number" else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _narrow_table(grid: Grid, room: int) -> Table | None:
    """Intervals below their values; texts break between words only. None where that is too wide."""
    heads = [column.title.replace(" (", "\n(") for column in grid.columns]
    rows = [[cell.replace(" (", "\n(") for cell in row] for row in grid.rows]
    columns = list(zip(heads, *rows, strict=True))
    whole = [max(_longest(cell.splitlines()) for cell in column) for column in columns]
    least = [
        whole[i] if grid.columns[i].kind == "number" else max(_longest(c.split()) for c in column)
        for i, column in enumerate(columns)
    ]
    room -= _GUTTER * (len(columns) - 1)
    if sum(least) > room:
        return None
    table = Table(box=None, padding=(0, _GUTTER, 0, 0), pad_edge=False, header_style="dim")
    widths = _shared(room, columns, least, whole)
    for head, column, width in zip(heads, grid.columns, widths, strict=True):
        side: Literal["left", "right"] = "right" if column.kind == "number" else "left"
        table.add_column(head, justify=side, width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _longest(parts: Iterable[str]) -> int:
    return max(map(cell_len, parts), default=0)


def _shared(
    room: int, columns: Sequence[Sequence[str]], least: Sequence[int], whole: Sequence[int]
) -> list[int]:
    """Widths from `least` to `whole`: what is left of the room goes where it saves most lines."""
    widths = list(least)
    while True:
        spare = room - sum(widths)
        now = _height(columns, widths)
        steps: list[tuple[float, int, int]] = []
        for i, width in enumerate(widths):
            for more in range(1, min(spare, whole[i] - width) + 1):
                then = _height(columns, [*widths[:i], width + more, *widths[i + 1 :]])
                steps.append(((now - then) / more, -more, i))
        if not steps:
            return widths
        _, more, i = max(steps)
        widths[i] -= more


def _height(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> float:
    """Lines of a table; those of single cells count a little, since two may have to give way."""
    lines = [
        [sum(len(_wrapped(line, width)) for line in cell.splitlines()) for cell in cells]
        for cells, width in zip(columns, widths, strict=True)
    ]
    rows: list[tuple[int, ...]] = list(zip(*lines, strict=True))
    return sum(map(max, rows)) + 0.1 * sum(map(sum, rows))


def _figure(console: Console, figure: Figure) -> None:
    match figure.chart:
        case Waterfall():
            _say(console, figure.title, "dim", indent=2)
            for line in text_bars(figure.chart, console.width - 2):
                _line(console, Text("  " + line))
        case Spans(spans):
            room = max(_LABEL, *(cell_len(span.label) for span in spans))
            for span in spans:
                ends = interval(Interval(span.value, span.low, span.high), signed)
                _line(console, Text(f"  {span.label:<{room}}  {ends}"))


def _card(console: Console, card: Card) -> None:
    title = Text.assemble(f"  {card.rank}  ", (card.title, "bold"))
    severity = (f"severity {card.severity}", _SEVERITIES[card.severity])
    whole = Text.assemble(title, f"  {card.nats}  ", severity)
    if whole.cell_len <= console.width:
        _line(console, whole)
    else:
        _line(console, title)
        _line(console, Text.assemble(f"     {card.nats}  ", severity))
    _say(console, f"confidence {card.confidence_text}", indent=5)
    _say(console, card.summary, indent=5)
    for remark in card.remarks:
        _say(console, f"{remark.label}: {remark.text}", indent=5)
    for proof in card.proofs:
        limit = f", limit {proof.limit}" if proof.limit else ""
        mark = "for      " if proof.speaks == "for" else "against  "
        text = f"{proof.statement} [{proof.value}{limit}; {proof.probe}]"
        _say(console, text, indent=5, mark=mark)
