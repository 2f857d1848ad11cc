"""What a report is made of, whatever its format: sections of neutral blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gapdoctor.report.figures import Chart

Tone = Literal["good", "bad", "doubt"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the first screen."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Lead:
    """The verdict: badge, headline, one sentence, and a few numbers."""

    kind: ClassVar[str] = "lead"
    subject: str
    """Which pair this is about."""
    verdict: str
    tone: Tone
    symbol: str
    headline: str
    sentence: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of sentences."""

    kind: ClassVar[str] = "listing"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Callout:
    """A warning."""

    kind: ClassVar[str] = "callout"
    id: str
    text: str
    voids: bool
    """True: the ranking does not count."""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a table's column; `code` holds names, paths and hashes as they are."""

    title: str
    kind: Literal["text", "number", "code"] = "text"


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; every cell is text, ready to be shown."""

    kind: ClassVar[str] = "grid"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with the numbers it draws."""

    kind: ClassVar[str] = "figure"
    key: str
    """Names the PNG and prefixes the ids of the SVG."""
    title: str
    alt: str
    """What the chart shows, for somebody who does not see it."""
    chart: Chart
    table: Grid
    note: str = ""
    half: bool = False
    """True: two such charts stand side by side where there is room."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample to look at."""

    alt: str
    """What is known of it, for somebody who does not see it."""
    label: str
    student: str
    """What the student says, and how sure it is."""
    note: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Gallery:
    """Samples: pictures of those that have one, and a table of all."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]
    lines: tuple[str, ...]
    """A sentence a sample, for a format that has neither pictures nor room for a table."""
    table: Grid
    named: int
    """Pictures that the record speaks of; they may not be at hand."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One piece of evidence."""

    speaks: Literal["for", "against"]
    statement: str
    value: str
    limit: str
    """Empty where no limit judged it."""
    probe: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A named detail of a cause."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """One ranked cause."""

    kind: ClassVar[str] = "card"
    rank: int
    id: str
    title: str
    severity: str
    nats: str
    confidence: float
    confidence_text: str
    summary: str
    remarks: tuple[Remark, ...]
    """Alternative, shared nats, correction, fixes."""
    proofs: tuple[Proof, ...]
    tell_apart: str


@dataclass(frozen=True, slots=True)
class Code:
    """Something to copy as it is."""

    kind: ClassVar[str] = "code"
    text: str


Block = Lead | Paragraph | Listing | Callout | Grid | Figure | Gallery | Card | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    volatile: bool = False
    """True: the only part that may differ between two runs of one command."""
