"""The first screen: the verdict, a few numbers, the warnings."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis, Metrics, Verdict
from gapdoctor.report.blocks import Callout, Fact, Lead, Tone
from gapdoctor.report.quantities import interval, nats, percent, signed
from gapdoctor.report.wording import TITLES, headline, metrics_of, subject, verdict_sentence

_LOOKS: dict[Verdict, tuple[Tone, str]] = {
    Verdict.HEALTHY: ("good", "✓"),
    Verdict.GENERALIZATION_GAP: ("bad", "▲"),
    Verdict.FIT_SHORTFALL: ("bad", "▼"),
    Verdict.SHARED_GAP: ("doubt", "◆"),
    Verdict.INCONCLUSIVE: ("doubt", "?"),
}


def lead(diagnosis: Diagnosis) -> Lead:
    """Return the verdict."""
    tone, symbol = _LOOKS[diagnosis.verdict]
    return Lead(
        subject(diagnosis),
        TITLES[diagnosis.verdict],
        tone,
        symbol,
        headline(diagnosis),
        verdict_sentence(diagnosis),
        _facts(diagnosis),
    )


def warnings(diagnosis: Diagnosis) -> tuple[Callout, ...]:
    """Return the warnings, those that void the ranking first."""
    ordered = sorted(diagnosis.warnings, key=lambda w: not w.voids)
    return tuple(Callout(w.id, w.statement, w.voids) for w in ordered)


def _facts(diagnosis: Diagnosis) -> tuple[Fact, ...]:
    gap = diagnosis.gap
    teacher = metrics_of(diagnosis, "teacher", "heldout")
    student = metrics_of(diagnosis, "student", "heldout")
    ends = interval(gap.excess, signed).partition(" (")[2].rstrip(")")
    return (
        *((_loss("Teacher, held-out loss", teacher),) if teacher else ()),
        *((_loss("Student, held-out loss", student),) if student else ()),
        Fact("Excess, in nats", signed(gap.excess.value), f"95 %: {ends}" if ends else ""),
        Fact("Worth treating from", nats(gap.limit), "nats of excess: the limit h"),
    )


def _loss(label: str, row: Metrics) -> Fact:
    return Fact(label, nats(row.loss.value), f"accuracy {percent(row.accuracy.value)}")
