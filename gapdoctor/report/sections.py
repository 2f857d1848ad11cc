"""Record to neutral sections: what every format shows, and in which order."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Block, Figure, Section
from gapdoctor.report.clean import cleaned
from gapdoctor.report.parts import (
    bridge,
    calibration,
    causes,
    classes,
    history,
    measured,
    samples,
    setup,
    verdict,
)


def sections(diagnosis: Diagnosis) -> tuple[Section, ...]:
    """Return the report's sections; those without content are left out.

    Every text is one line and inert (`gapdoctor.report.clean`); what is left to a format is its
    own escaping.
    """
    d = cleaned(diagnosis)
    parts: tuple[tuple[str, str, tuple[Block, ...]], ...] = (
        ("verdict", "Verdict", (verdict.lead(d),)),
        ("warnings", "Warnings", verdict.warnings(d)),
        ("bridge", "Where the loss comes from", bridge.bridge(d)),
        ("causes", "Ranked causes", causes.ranking(d)),
        ("next", "What would help next", (causes.next_steps(d),)),
        ("measured", "What was measured", measured.measured(d)),
        ("history", "Learning curves", history.history(d)),
        ("classes", "Class by class", classes.classes(d)),
        ("samples", "Misjudged samples", samples.samples(d)),
        ("calibration", "Calibration and spread", calibration.calibration(d)),
        ("skipped", "Skipped probes", setup.skipped(d)),
        ("recipe", "Recipe", setup.recipe(d)),
        ("reproduce", "How to reproduce", setup.reproduce(d)),
        ("notes", "Notes", setup.notes(d)),
    )
    kept = tuple(Section(id_, title, blocks) for id_, title, blocks in parts if blocks)
    return (*kept, Section("run", "This run", setup.this_run(d), volatile=True))


def figures(diagnosis: Diagnosis) -> tuple[Figure, ...]:
    """Return every chart of the report, in its order."""
    blocks = (block for section in sections(diagnosis) for block in section.blocks)
    return tuple(block for block in blocks if isinstance(block, Figure))
