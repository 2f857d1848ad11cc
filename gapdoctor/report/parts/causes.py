"""The ranked causes, and what would help next."""

from __future__ import annotations

import math

from gapdoctor.domain.causes import PAGES
from gapdoctor.domain.diagnosis import Diagnosis, RankedCause, Verdict
from gapdoctor.domain.findings import Evidence
from gapdoctor.report.blocks import Block, Card, Listing, Paragraph, Proof, Remark
from gapdoctor.report.quantities import count, interval, nats, number, signed, with_unit
from gapdoctor.report.wording import (
    BELIEVED,
    confidence_text,
    is_doubted,
    is_measured,
    main_causes,
    metrics_of,
    summary,
    title,
)

_ASKED = ("optimizer", "lr", "epochs", "weight_decay", "augment", "task_weight", "temperature")
"""Recipe fields that decide how much the probes can say."""


def ranking(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return a card a cause, in their order, and what none of them explains."""
    if not diagnosis.causes:
        return (Paragraph("No probe saw a cause. " + _unexplained(diagnosis)),)
    return (
        *(_card(c, diagnosis) for c in diagnosis.causes),
        Paragraph(_unexplained(diagnosis)),
    )


def next_steps(diagnosis: Diagnosis) -> Listing:
    """Return what would close the gap, or settle what is open."""
    steps = [
        f"First settle `{w.id}`: with it, the ranking does not count."
        for w in diagnosis.warnings
        if w.voids
    ]
    if not is_measured(diagnosis):
        steps.append(
            "First find the loss that is not finite: overflow or NaN, in input or weights."
        )
    steps += [_help(c) for c in _worth_treating(diagnosis)]
    few = diagnosis.verdict is Verdict.INCONCLUSIVE and not is_doubted(diagnosis)
    if is_measured(diagnosis) and few:
        steps.append(_more_rows(diagnosis))
    steps += _settings(diagnosis)
    if not steps:
        steps.append("Nothing has to be done.")
    return Listing(tuple(steps))


def _card(cause: RankedCause, diagnosis: Diagnosis) -> Card:
    return Card(
        rank=cause.rank,
        id=str(cause.id),
        title=title(cause.id),
        severity=cause.severity,
        nats=interval(cause.explained, unit="nats"),
        confidence=_share(cause.confidence),
        confidence_text=confidence_text(cause.confidence),
        summary=summary(cause),
        remarks=_remarks(cause),
        proofs=tuple(_proof(e) for e in _for_first(cause.evidence)),
        tell_apart=PAGES[cause.id].tell_apart,
    )


def _share(confidence: float) -> float:
    return min(max(confidence, 0.0), 1.0) if math.isfinite(confidence) else 0.0


def _for_first(evidence: tuple[Evidence, ...]) -> list[Evidence]:
    return sorted(evidence, key=lambda e: e.speaks != "for")


def _remarks(cause: RankedCause) -> tuple[Remark, ...]:
    remarks = []
    if cause.alternative_to is not None:
        other = title(cause.alternative_to).lower()
        told = f"carries the same nats as {other}, and is not added to them"
        remarks.append(Remark("Alternative", told))
    if math.isfinite(cause.shared.value) and cause.shared.value != 0:
        told = f"{interval(cause.shared, unit='nats')} return to the teacher too"
        remarks.append(Remark("Shared", told))
    if cause.correction is not None:
        remarks.append(Remark("Correction found", f"`{cause.correction}`"))
    if cause.fixes:
        remarks.append(Remark("Fixes that treat it", _named(list(cause.fixes))))
    return tuple(remarks)


def _proof(evidence: Evidence) -> Proof:
    judged = math.nan if evidence.limit is None else evidence.limit
    limit = number(judged, evidence.unit) if math.isfinite(judged) else ""
    value = with_unit(evidence.value, evidence.unit)
    return Proof(evidence.speaks, evidence.statement, value, limit, evidence.probe)


def _unexplained(diagnosis: Diagnosis) -> str:
    rest = interval(diagnosis.unexplained, signed, "nats")
    return f"Unexplained on the reporting half: {rest}, which no cause returns."


def _worth_treating(diagnosis: Diagnosis) -> list[RankedCause]:
    believed = [c for c in diagnosis.causes if c.confidence >= BELIEVED]
    if believed or diagnosis.verdict in (Verdict.HEALTHY, Verdict.INCONCLUSIVE):
        return believed
    return list(main_causes(diagnosis))


def _help(cause: RankedCause) -> str:
    found = f" Correction found: `{cause.correction}`." if cause.correction else ""
    return f"{title(cause.id)}: {PAGES[cause.id].what_helps}{found}"


def _more_rows(diagnosis: Diagnosis) -> str:
    """The width of a mean's interval falls with the square root of the rows."""
    gap = diagnosis.gap
    row = metrics_of(diagnosis, "student", "heldout")
    wanted = max(abs(gap.excess.value - gap.limit), gap.limit / 5)
    if row is None or not 0 < wanted < gap.noise_floor < 1000 * wanted:
        return "More held-out rows narrow the interval of the excess."
    rows = max(row.n, 1) * (gap.noise_floor / wanted) ** 2
    step = 10 ** max(math.floor(math.log10(rows)) - 1, 0)
    return (
        f"About {count(math.ceil(rows / step) * step)} held-out rows, instead of {count(row.n)}, "
        f"would tell the excess from the limit of {nats(gap.limit)} nats, if it stays where it is."
    )


def _named(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _settings(diagnosis: Diagnosis) -> list[str]:
    recipe = diagnosis.recipe.recipe
    unknown = [key for key in _ASKED if getattr(recipe, key) is None]
    steps = []
    if unknown:
        steps.append(
            f"Unknown of the recipe: {_named(unknown)}. Given under `[recipe]` in "
            "`gapdoctor.toml`, they let more probes speak."
        )
    if diagnosis.skipped:
        several = len(diagnosis.skipped) > 1
        told = f"{len(diagnosis.skipped)} probes" if several else "One probe"
        steps.append(f"{told} could not run; the reasons below say what would be needed.")
    return steps
