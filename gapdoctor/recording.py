"""From what was observed, asked and weighed to the record of a diagnosis."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from gapdoctor.diagnosis.weigh import Weighed
from gapdoctor.domain.diagnosis import Cost, Diagnosis, Verdict
from gapdoctor.domain.findings import (
    Crashed,
    Finding,
    Interval,
    ProbeResult,
    Skipped,
    Table,
    Warning_,
)
from gapdoctor.notebook import Shown
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.described import data_record, environment, halves_record, model_record
from gapdoctor.observe.measures import measure_fidelity, measure_metrics, report_tables
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.sanity import sanity_warnings


def recorded(
    seen: Observations,
    results: Sequence[ProbeResult],
    weighed: Weighed,
    *,
    command: str,
    version: str,
    started: float,
) -> Diagnosis:
    """Return the record of a diagnosis.

    Parameters
    ----------
    seen : Observations
        The pair.
    results : sequence of ProbeResult
        What the probes said.
    weighed : Weighed
        What that comes to.
    command : str
        What was typed.
    version : str
        Of gapdoctor.
    started : float
        When all this began, by `time.monotonic`.
    """
    findings = [r for r in results if isinstance(r, Finding)]
    warnings = (*sanity_warnings(seen), *(w for f in findings for w in f.warnings))
    return Shown(
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seen.settings.seed,
        command=command,
        environment=environment(seen),
        student=model_record(seen, Model.STUDENT),
        teacher=model_record(seen, Model.TEACHER),
        data=data_record(seen),
        recipe=seen.recipe,
        halves=halves_record(seen),
        metrics=measure_metrics(seen),
        fidelity_train=measure_fidelity(seen, Split.TRAIN),
        fidelity_heldout=measure_fidelity(seen, Split.HELDOUT),
        gap=weighed.gap,
        verdict=_trusted(weighed.verdict, warnings),
        causes=weighed.causes,
        unexplained=weighed.account.unexplained,
        warnings=_ordered(warnings),
        skipped=_skipped(results),
        tables=_tables(seen, findings, weighed),
        notes=seen.notes,
        cost=Cost(  # last, so that its seconds are those of the whole
            time.monotonic() - started,
            seen.scorer.samples(),
            seen.bare.seconds,
            seen.preparing_seconds(),
        ),
    )


def _trusted(verdict: Verdict, warnings: Iterable[Warning_]) -> Verdict:
    """No gap is a clean bill only where the control and the losses can be trusted.

    Two models at chance do not differ; a student is not well because its teacher is broken. A gap
    that is there stays one: its warning says that the ranking does not count.
    """
    void = any(w.voids for w in warnings)
    return Verdict.INCONCLUSIVE if void and verdict is Verdict.HEALTHY else verdict


def _ordered(warnings: Iterable[Warning_]) -> tuple[Warning_, ...]:
    return tuple(sorted(dict.fromkeys(warnings), key=lambda w: (not w.voids, w.id, w.statement)))


def _skipped(results: Sequence[ProbeResult]) -> tuple[Skipped, ...]:
    skipped = [r for r in results if isinstance(r, Skipped)]
    skipped += [Skipped(r.probe, f"crashed: {r.reason}") for r in results if isinstance(r, Crashed)]
    return tuple(sorted(skipped, key=lambda s: s.probe))


def _tables(seen: Observations, findings: Sequence[Finding], weighed: Weighed) -> dict[str, Table]:
    b = seen.rows(Split.HELDOUT).reporting
    ends = [
        float(seen.outputs(model, Split.HELDOUT).loss[b].mean())
        for model in (Model.TEACHER, Model.STUDENT)
    ]
    tables = report_tables(seen)
    tables |= dict(pair for finding in findings for pair in finding.tables)
    tables["waterfall"] = _waterfall(ends[0], weighed.bars, ends[1])
    return dict(sorted(tables.items()))


def _waterfall(teacher: float, bars: Sequence[tuple[str, str, Interval]], student: float) -> Table:
    """From the teacher's held-out loss to the student's, on half B."""
    rows: list[tuple[Any, ...]] = [("teacher", "teacher", teacher, teacher, teacher)]
    rows += [(label, kind, bar.value, bar.low, bar.high) for label, kind, bar in bars]
    rows.append(("student", "student", student, student, student))
    return Table(("label", "kind", "value", "low", "high"), tuple(rows))
