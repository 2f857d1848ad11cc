"""Markdown for a ticket: GitHub's kind, short enough for its body."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, assert_never

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.bars import text_bars
from gapdoctor.report.blocks import (
    Block,
    Callout,
    Card,
    Code,
    Column,
    Figure,
    Gallery,
    Grid,
    Lead,
    Listing,
    Paragraph,
    Remark,
    Section,
)
from gapdoctor.report.figures import Waterfall
from gapdoctor.report.formats._base import Format
from gapdoctor.report.formats._escape import code, fenced, prose
from gapdoctor.report.sections import sections

LIMIT = 60_000
"""Characters: GitHub takes 65,536 in a body; the rest is for what is written around it."""

_DROPPED_FIRST = (
    "notes",
    "trials",
    "curves",
    "samples",
    "calibration",
    "classes",
    "history",
    "recipe",
    "skipped",
    "reproduce",
)
"""Sections that give way when leaving out evidence is not enough."""


class Markdown(Format):
    """A text to paste into a ticket: the verdict in its first three lines, no images."""

    name: ClassVar[str] = "md"
    extension: ClassVar[str] = "md"

    def render(self, diagnosis: Diagnosis) -> str:
        """Return the text, at most 60,000 characters: the lowest-ranked evidence gives way."""
        return ticket(sections(diagnosis))


def ticket(parts: tuple[Section, ...]) -> str:
    """Return sections as Markdown, at most 60,000 characters; one of them has a Lead."""
    proofs = sum(len(b.proofs) for s in parts for b in s.blocks if isinstance(b, Card))
    for kept in _fewer(proofs):
        text = _text(_with_evidence(parts, kept), _omitted(proofs - kept, []))
        if len(text) <= LIMIT:
            return text
    return _shortest(_with_evidence(parts, 0), proofs)


def _fewer(proofs: int) -> list[int]:
    """Return how many pieces of evidence to try: all, then ever fewer, by a tenth each."""
    return sorted({proofs * i // 10 for i in range(11)}, reverse=True)


def _shortest(parts: tuple[Section, ...], proofs: int) -> str:
    dropped: list[str] = []
    for name in _DROPPED_FIRST:
        gone = [s.title for s in parts if s.id == name]
        parts = tuple(s for s in parts if s.id != name)
        dropped += gone
        text = _text(parts, _omitted(proofs, dropped))
        if len(text) <= LIMIT:
            return text
    note = "\n\n**Cut off here; report.html holds the rest.**\n"
    return text[: LIMIT - len(note)].rpartition("\n")[0] + note


def _omitted(proofs: int, titles: list[str]) -> str:
    left_out = []
    if proofs:
        left_out.append(f"the {proofs} lowest-ranked pieces of evidence")
    if titles:
        left_out.append(f"the sections {', '.join(titles)}")
    if not left_out:
        return ""
    return f"Left out to stay within {LIMIT:,} characters: {' and '.join(left_out)}."


def _with_evidence(parts: tuple[Section, ...], kept: int) -> tuple[Section, ...]:
    """Keep the first `kept` pieces of evidence, in the order of the ranking."""
    result = []
    for section in parts:
        blocks: list[Block] = []
        for block in section.blocks:
            if isinstance(block, Card):
                chosen = block.proofs[:kept]
                kept -= len(chosen)
                block = replace(block, proofs=chosen)
            blocks.append(block)
        result.append(replace(section, blocks=tuple(blocks)))
    return tuple(result)


def _text(parts: tuple[Section, ...], omitted: str) -> str:
    pieces = [piece for section in parts for piece in _section(section)]
    return "\n\n".join([*pieces, *([omitted] if omitted else [])]) + "\n"


def _section(section: Section) -> list[str]:
    blocks = [_block(block) for block in section.blocks]
    if isinstance(section.blocks[0], Lead):
        return blocks
    mark = ["Only this part differs between two runs of the command."] if section.volatile else []
    return [f"## {section.title}", *mark, *blocks]


def _block(block: Block) -> str:
    match block:
        case Lead():
            return _lead(block)
        case Paragraph(text):
            return prose(text)
        case Listing(items):
            return "\n".join(f"- {prose(item)}" for item in items)
        case Callout():
            return _callout(block)
        case Grid():
            return _grid(block)
        case Figure():
            return _figure(block)
        case Gallery():
            return _grid(block.table)
        case Card():
            return _card(block)
        case Code(text):
            return fenced(text, "sh")
        case _:
            assert_never(block)


def _lead(lead: Lead) -> str:
    return (
        f"# gapdoctor: {lead.symbol} {lead.verdict}\n\n"
        f"**{prose(lead.sentence)}**\n\n{prose(lead.subject)}"
    )


def _callout(callout: Callout) -> str:
    kind, mark = ("CAUTION", " The ranking does not count.") if callout.voids else ("WARNING", "")
    return f"> [!{kind}]\n> **{prose(callout.id)}**: {prose(callout.text)}{mark}"


def _grid(grid: Grid) -> str:
    heads = [prose(c.title, in_cell=True) for c in grid.columns]
    rules = ["---:" if c.kind == "number" else "---" for c in grid.columns]
    rows = [
        [_cell(text, c) for text, c in zip(row, grid.columns, strict=True)] for row in grid.rows
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in [heads, rules, *rows])
    return f"{table}\n\n{prose(grid.note)}" if grid.note else table


def _cell(text: str, column: Column) -> str:
    show = code if column.kind == "code" else prose
    return show(text, in_cell=True)


def _figure(figure: Figure) -> str:
    parts = [f"**{prose(figure.title)}**"]
    if isinstance(figure.chart, Waterfall):
        parts.append(fenced("\n".join(text_bars(figure.chart, 78)), "text"))
    else:
        parts.append(prose(figure.alt))
    if figure.note:
        parts.append(prose(figure.note))
    parts.append(_details("Numbers", _grid(figure.table)))
    return "\n\n".join(parts)


def _card(card: Card) -> str:
    parts = [
        f"### {card.rank}. {card.title}: {card.nats}",
        f"Severity **{card.severity}**, confidence **{card.confidence_text}**",
        prose(card.summary),
    ]
    remarks = [*card.remarks, Remark("What looks alike", card.tell_apart)]
    parts.append("\n".join(f"- {r.label}: {prose(r.text)}" for r in remarks))
    if card.proofs:
        parts.append(_details(f"Evidence: {len(card.proofs)}", _proofs(card)))
    return "\n\n".join(parts)


def _proofs(card: Card) -> str:
    columns = (
        Column("Speaks"),
        Column("Evidence"),
        Column("Value", "number"),
        Column("Limit", "number"),
        Column("Probe", "code"),
    )
    rows = tuple((p.speaks, p.statement, p.value, p.limit or "none", p.probe) for p in card.proofs)
    return _grid(Grid("Evidence", columns, rows))


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"
