"""The sentences of a report."""

from __future__ import annotations

import math

from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.domain.diagnosis import Diagnosis, Metrics, RankedCause, Verdict
from gapdoctor.domain.findings import Interval
from gapdoctor.report.quantities import count, interval, nats

BELIEVED = 0.5
"""Confidence from which a cause is named as the main one."""

TITLES: dict[Verdict, str] = {
    Verdict.HEALTHY: "Healthy",
    Verdict.GENERALIZATION_GAP: "Generalization gap",
    Verdict.FIT_SHORTFALL: "Fit shortfall",
    Verdict.SHARED_GAP: "Shared gap",
    Verdict.INCONCLUSIVE: "Inconclusive",
}

MODELS = {"teacher": "Teacher", "student": "Student"}
SPLITS = {"train": "train", "heldout": "held-out"}


def headline(diagnosis: Diagnosis) -> str:
    """Return what the verdict comes down to, in a few words."""
    if not is_measured(diagnosis):
        return "A loss is not finite"
    match diagnosis.verdict:
        case Verdict.HEALTHY:
            return "No gap worth treating"
        case Verdict.FIT_SHORTFALL:
            return "The train loss is not really low"
        case Verdict.SHARED_GAP:
            return "The teacher suffers it too"
        case Verdict.INCONCLUSIVE:
            return "The pair cannot be judged" if is_doubted(diagnosis) else "Too few rows to tell"
        case Verdict.GENERALIZATION_GAP:
            return _gap_headline(diagnosis)


def subject(diagnosis: Diagnosis) -> str:
    """Return which pair this is about."""
    student, teacher = diagnosis.student.file, diagnosis.teacher.file
    taught = f"`{teacher}`" if teacher else "a live teacher"
    return f"`{student}` against {taught}" if student else f"A live student against {taught}"


def verdict_sentence(diagnosis: Diagnosis) -> str:
    """Return the verdict as one sentence to paste: the gap, its main cause, and how sure.

    It stands alone: each number has its unit, each interval its level.
    """
    return f"{excess_clause(diagnosis)}{_reading(diagnosis)}{_cause_clause(diagnosis)}."


def excess_clause(diagnosis: Diagnosis) -> str:
    """Return how far the student's held-out loss is from its teacher's, with the interval."""
    excess = diagnosis.gap.excess
    if not is_measured(diagnosis):
        return "The student's held-out loss cannot be compared with its teacher's: it is not finite"
    side = "above" if excess.value >= 0 else "below"
    turned = excess if excess.value >= 0 else Interval(-excess.value, -excess.high, -excess.low)
    value, _, ends = interval(turned).partition(" (")
    level = f" (95 % interval {ends}" if ends else ""
    return f"The student's held-out loss is {value} nats {side} its teacher's{level}"


def is_measured(diagnosis: Diagnosis) -> bool:
    """Return whether the excess is a number at all."""
    return math.isfinite(diagnosis.gap.excess.value)


def confidence_word(confidence: float) -> str:
    """Return a probability in words."""
    for least, word in ((0.95, "almost certain"), (0.8, "very likely"), (0.5, "likely")):
        if confidence >= least:
            return word
    return "possible" if confidence >= 0.2 else "unlikely"


def confidence_text(confidence: float) -> str:
    """Return a probability as number and word."""
    return f"{confidence:.2f}, {confidence_word(confidence)}"


def title(cause: Cause) -> str:
    """Return a cause's name for a reader."""
    return PAGES[cause].title


def title_of(label: str) -> str:
    """Return the title of the cause whose id is `label`; any other label as it is."""
    return title(Cause(label)) if label in PAGES else label


def summary(cause: RankedCause) -> str:
    """Return what is wrong: the diagnosis's own sentence, else the cause's manual page."""
    return cause.summary or PAGES[cause.id].meaning


def main_causes(diagnosis: Diagnosis) -> tuple[RankedCause, ...]:
    """Return the first cause and those that carry the same nats; none where nothing is named."""
    if not diagnosis.causes:
        return ()
    first = diagnosis.causes[0]
    same = (c for c in diagnosis.causes[1:] if c.alternative_to == first.id)
    return (first, *same)


def split_sentence(diagnosis: Diagnosis) -> str:
    """Return the exact split of the excess in words."""
    gap = diagnosis.gap
    if not is_measured(diagnosis):
        return "The excess cannot be split: a loss is not finite."
    sizes = [abs(x.value) for x in (gap.excess, gap.fit_deficit, gap.excess_gap)]
    like = max((s for s in sizes if math.isfinite(s)), default=0.0)
    whole, fit, rest = (
        nats(x.value, like=like) for x in (gap.excess, gap.fit_deficit, gap.excess_gap)
    )
    return (
        f"Of the {whole} nats, {fit} are there on the train rows already (fit deficit D) and "
        f"{rest} appear on held-out rows only (excess gap E); excess = D + E, exactly."
    )


def metrics_of(diagnosis: Diagnosis, model: str, split: str) -> Metrics | None:
    """Return one of the four rows of metrics."""
    found = (m for m in diagnosis.metrics if m.model == model and m.split == split)
    return next(found, None)


def _gap_headline(diagnosis: Diagnosis) -> str:
    excess = diagnosis.gap.excess.value
    named = main_causes(diagnosis)
    if any(w.voids for w in diagnosis.warnings):
        return f"A gap of {nats(excess)} nats; the ranking does not count"
    if not named or named[0].confidence < BELIEVED:
        return f"A gap of {nats(excess)} nats without a likely cause"
    first = named[0]
    return f"{title(first.id)} explains {_part(first, excess)} gap of {nats(excess)} nats"


def _part(cause: RankedCause, excess: float) -> str:
    share = cause.explained.value / excess if excess > 0 else 0.0
    for least, words in ((0.9, "the"), (0.6, "most of the"), (0.4, "about half of the")):
        if share >= least:
            return words
    return "part of the"


def _reading(diagnosis: Diagnosis) -> str:
    gap = diagnosis.gap
    if not is_measured(diagnosis):
        return ""
    match diagnosis.verdict:
        case Verdict.HEALTHY:
            return f", below the {nats(gap.limit)} nats from which a gap is worth treating"
        case Verdict.INCONCLUSIVE:
            return f"; {_doubt(diagnosis) if is_doubted(diagnosis) else _too_few(diagnosis)}"
        case Verdict.FIT_SHORTFALL:
            fit = interval(gap.fit_deficit, unit="nats")
            return f"; on the train rows it is higher by {fit} already: a fit shortfall"
        case Verdict.SHARED_GAP:
            return f", and {_shared(diagnosis)}"
        case Verdict.GENERALIZATION_GAP:
            return ""


def is_doubted(diagnosis: Diagnosis) -> bool:
    """Tell whether there is no gap, but a warning that makes this say nothing."""
    return (
        diagnosis.verdict is Verdict.INCONCLUSIVE
        and diagnosis.gap.excess.high < diagnosis.gap.limit
        and any(w.voids for w in diagnosis.warnings)
    )


def _doubt(diagnosis: Diagnosis) -> str:
    return f"that says nothing about the student because of {_voiding(diagnosis)}"


def _too_few(diagnosis: Diagnosis) -> str:
    gap = diagnosis.gap
    row = metrics_of(diagnosis, "student", "heldout")
    rows = f"{count(row.n)} held-out rows" if row else "the held-out rows"
    return (
        f"{rows} can show no gap below {nats(gap.noise_floor)} nats, so whether this one is above "
        f"the limit of {nats(gap.limit)} nats stays open"
    )


def _shared(diagnosis: Diagnosis) -> str:
    returning = max(diagnosis.causes, key=lambda c: (_known(c.shared.value), -c.rank), default=None)
    if returning is None or not returning.shared.value > 0:
        return "the teacher suffers the same fault"
    return (
        f"the teacher itself gets {interval(returning.shared, unit='nats')} back once "
        f"{title(returning.id).lower()} is undone"
    )


def _known(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _cause_clause(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict in (Verdict.HEALTHY, Verdict.INCONCLUSIVE) and not any(
        c.confidence >= BELIEVED for c in diagnosis.causes
    ):
        return ""
    named = main_causes(diagnosis)
    if not named:
        return "; no probe could name a cause"
    first = named[0]
    names = ", or with the same nats ".join(title(c.id).lower() for c in named)
    lead = "main cause" if first.confidence >= BELIEVED else "no cause is likely, first suspect"
    told = f", which explains {interval(first.explained, unit='nats')}"
    explained = told if math.isfinite(first.explained.value) else ""
    sure = f"confidence {first.confidence:.2f} ({confidence_word(first.confidence)})"
    return f"; {lead}: {names}{explained}, {sure}{_voided(diagnosis)}"


def _voided(diagnosis: Diagnosis) -> str:
    voiding = _voiding(diagnosis)
    return f", but the ranking does not count because of {voiding}" if voiding else ""


def _voiding(diagnosis: Diagnosis) -> str:
    return ", ".join(f"`{w.id}`" for w in diagnosis.warnings if w.voids)
