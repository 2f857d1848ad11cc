"""Diagnose every planted pair of a part, write all results, print failures and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import gapdoctor
from gapdoctor.errors import GapDoctorError
from tests.clinic.building import planted
from tests.clinic.cases import Planted, planted_of
from tests.clinic.outcomes import Outcome, outcome_of
from tests.clinic.page import summary
from tests.clinic.results import note_evaluation, results_file, write_results
from tests.clinic.score import is_failure, score


def run_part(
    part: str,
    kind: str | None = None,
    only: str | None = None,
    name: str | None = None,
    limit: int | None = None,
    out: Path | None = None,
) -> None:
    """Diagnose and score; results are written as they come."""
    chosen = [
        p
        for p in planted_of(planted(part, kind)[0])
        if only in (None, p.fault) and (name is None or name in p.name)
    ][:limit]
    path = out or results_file(part)
    clock = time.monotonic()
    outcomes: list[Outcome] = []
    for number, one in enumerate(chosen, start=1):
        outcome = diagnosed(one)
        outcomes.append(outcome)
        mark = "FAIL" if is_failure(outcome) else "ok  "
        print(f"{number}/{len(chosen)} {mark} {one.name}  {outcome.told}", flush=True)
        if number % 20 == 0 or number == len(chosen):
            write_results(path, part, outcomes)
    if not outcomes:
        print(f"nothing is planted in {part}: python -m tests.clinic build --part {part}")
        return
    print(f"\n{time.monotonic() - clock:.0f} s, written to {path}\n")
    print(failures(outcomes))
    scores = score(outcomes)
    print(summary(scores))
    if part == "reporting" and kind is None and only is None and name is None and limit is None:
        note_evaluation(scores)


def diagnosed(one: Planted) -> Outcome:
    """Return what is said of one pair; a diagnosis that raises is an outcome too."""
    clock = time.monotonic()
    try:
        diagnosis = gapdoctor.diagnose(one.case, progress=False)
    except GapDoctorError as error:
        return outcome_of(one, None, f"{error.message} ({time.monotonic() - clock:.1f} s)")
    except Exception as error:  # noqa: BLE001 - a crash is counted as a failure, not hidden
        return outcome_of(one, None, f"{type(error).__name__}: {error}")
    return outcome_of(one, diagnosis)


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return what was planted and what was said, a line each where they differ."""
    wrong = [o for o in outcomes if is_failure(o)]
    lines = [f"{len(wrong)} of {len(outcomes)} not as planted"]
    for o in wrong:
        wanted = "|".join(o.truth) or "healthy"
        wanted += f" + {'|'.join(o.second)}" if o.second else ""
        lines.append(
            f"- {o.name} ({o.damage:+.2f} nats, excess {o.excess:+.2f}): wanted {wanted}"
            + (f" by {'|'.join(o.corrections)}" if o.corrections else "")
            + f"; said {o.told}"
        )
    crashed = {c for o in outcomes for c in o.crashed}
    lines += [f"- crashed: {c}" for c in sorted(crashed)]
    return "\n".join(lines) + "\n"
