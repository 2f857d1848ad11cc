"""What `fix` found, in front of the diagnosis that it rests on."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import Outcome
from gapdoctor.errors import GapDoctorError
from gapdoctor.report.blocks import Block, Callout, Figure, Grid, Lead, Listing, Paragraph, Section
from gapdoctor.report.clean import cleaned
from gapdoctor.report.comparison import compare
from gapdoctor.report.parts import arms, comparison, fix_lead, fixes, needed, rounds, trials
from gapdoctor.report.sections import sections
from gapdoctor.report.wording import TITLES, verdict_sentence

FORMATS = ("html", "md")
_NOT_AGAIN = ("verdict", "next", "run")
"""Sections of the diagnosis that what `fix` found takes the place of."""
_SHOWN = (
    "fix", "fixes", "rounds", "changes", "needed", "arms", "untried", "healed", "written",
    "fix-notes",
)  # fmt: skip


def fix_sections(
    diagnosis: Diagnosis, outcome: Outcome, after: Diagnosis | None = None
) -> tuple[Section, ...]:
    """Return the sections of a fix run, then those of the diagnosis; empty ones are left out.

    Parameters
    ----------
    diagnosis : Diagnosis
        The one that the plan was made from.
    outcome : Outcome
        What the trials found.
    after : Diagnosis, optional
        Of the student that was written: the two are laid side by side.
    """
    return (*_found(diagnosis, outcome, after), *_diagnosed(diagnosis))


def fix_figures(
    diagnosis: Diagnosis, outcome: Outcome, after: Diagnosis | None = None
) -> tuple[Figure, ...]:
    """Return every chart of the report of a fix run, in its order."""
    parts = fix_sections(diagnosis, outcome, after)
    return tuple(b for section in parts for b in section.blocks if isinstance(b, Figure))


def render_fix(
    diagnosis: Diagnosis, outcome: Outcome, format: str, after: Diagnosis | None = None
) -> str:
    """Return the whole report of a fix run.

    Parameters
    ----------
    diagnosis, outcome, after
        See `fix_sections`.
    format : str
        `html` or `md`; for programs there is `fix.json`.

    Raises
    ------
    GapDoctorError
        When there is no such format, or `after` is of other data.
    """
    parts = fix_sections(diagnosis, outcome, after)
    if format == "html":
        from gapdoctor.report.formats.html import page

        return page(parts, outcome.version)
    if format == "md":
        from gapdoctor.report.formats.md import ticket

        return ticket(parts)
    raise GapDoctorError(f"--format {format!r} is not known", f"one of {', '.join(FORMATS)}")


def fix_page(
    diagnosis: Diagnosis,
    outcome: Outcome,
    after: Diagnosis | None = None,
    *,
    width: int = 80,
    color: bool = False,
) -> str:
    """Return the readable page that `fix --apply` prints (see `gapdoctor.report.terminal`)."""
    from gapdoctor.report.terminal import screen

    found = {section.id: section for section in _found(diagnosis, outcome, after)}
    parts = [_short(found[name]) for name in _SHOWN if name in found]
    return screen(parts, width=width, color=color)


def _short(section: Section) -> Section:
    """Of the longer sections what a screen has room for: the reports hold the rest."""
    grids = [b for b in section.blocks if isinstance(b, Grid)]
    shown: list[Block]
    if section.id == "fixes":
        told = [b for b in section.blocks if isinstance(b, Paragraph)]
        shown = [*grids[:1], *told]
    elif section.id == "rounds":
        shown = [Listing(tuple(map(_in_words, grids[0].rows)))]
    elif section.id == "healed":
        shown = [b for b in section.blocks if b is not grids[0]]
    else:
        return section
    return replace(section, blocks=tuple(shown))


def _in_words(row: tuple[str, ...]) -> str:
    """A round: its names and its reason are too long for columns of a screen."""
    place, trained, why = row
    return f"{place}. {trained}: {why}"


def _found(diagnosis: Diagnosis, outcome: Outcome, after: Diagnosis | None) -> tuple[Section, ...]:
    d, o = cleaned(diagnosis), cleaned(outcome)
    parts: tuple[tuple[str, str, tuple[Block, ...]], ...] = (
        ("fix", "What closes the gap", (fix_lead.lead(d, o),)),
        ("fixes", "Fixes, ranked", fixes.ranking(o)),
        ("rounds", "What was tried, in which order, and why", rounds.rounds(o)),
        ("changes", "What each fix changes", fixes.changes(o)),
        ("needed", "What it would take to tell", needed.needed(d, o)),
        ("healed", "Before and after", _healed(d, None if after is None else cleaned(after))),
        ("arms", "Given and controls", arms.arms(o)),
        ("curves", "Learning curves, each fix beside its control", trials.curves(o)),
        ("untried", "Not tried or not verified", fixes.untried(o)),
        ("trials", "Trials", trials.trials(o)),
        ("written", "What was written", arms.written(o)),
        ("fix-notes", "Notes on the fixes", (Listing(o.notes),) if o.notes else ()),
    )
    kept = tuple(Section(id_, title, blocks) for id_, title, blocks in parts if blocks)
    return (*kept, Section("fix-run", "This run", arms.this_run(o), volatile=True))


def _healed(before: Diagnosis, after: Diagnosis | None) -> tuple[Block, ...]:
    if after is None:
        return ()
    found = compare(before, after, names=("the diagnosis", "the diagnosis of what was written"))
    told = comparison.lead(found)
    said = tuple(Callout("caution", text, voids=False) for text in found.cautions)
    return (Paragraph(told.sentence), *said, *comparison.gap(found), *comparison.causes(found))


def _diagnosed(diagnosis: Diagnosis) -> tuple[Section, ...]:
    """The diagnosis, its head as a section among the others."""
    d = cleaned(diagnosis)
    said = Paragraph(f"{TITLES[d.verdict]}. {verdict_sentence(d)}")
    kept = [s for s in sections(diagnosis) if s.id not in _NOT_AGAIN]
    assert not any(isinstance(b, Lead) for s in kept for b in s.blocks)
    return (Section("verdict", "What was wrong", (said,)), *kept)
