"""`diagnose`, `plan`, `fix`: the only place where the parts meet; reads as a list of steps."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path

import gapdoctor
from gapdoctor.corrections._apply import with_corrections
from gapdoctor.diagnosis.account import Ledger
from gapdoctor.diagnosis.weigh import Weighed, weigh
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import (
    Crashed,
    Finding,
    ProbeResult,
    Skipped,
)
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import fixes_for
from gapdoctor.fixing import fix, plan
from gapdoctor.loading.fingerprint import fingerprint
from gapdoctor.loading.history import normalised
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case, Model, Split
from gapdoctor.observe.checks import check_case
from gapdoctor.observe.measures import (
    accepted_train_rows,
    enough,
    measure_gap,
)
from gapdoctor.observe.misjudged import with_samples
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.splits import check_halves
from gapdoctor.probes._base import Probe, all_probes
from gapdoctor.recording import recorded

__all__ = ["default_folder", "diagnose", "fingerprint", "fix", "look", "plan", "write_diagnosis"]

_log = logging.getLogger(__name__)


def diagnose(
    case: Case,
    *,
    seed: int = 0,
    max_samples: int = 10_000,
    batch_size: int = 256,
    device: str = "auto",
    budget: float | None = None,
    include_samples: bool = False,
    train_probes: bool = False,
    progress: Progress | bool = True,
    command: str = "",
    probes: Sequence[Probe] | None = None,
) -> Diagnosis:
    """Measure the gap of a pair, ask every probe, rank the causes. Trains nothing unless asked.

    Parameters
    ----------
    case : Case
        The pair with its data, live or from `load_case`.
    seed : int
        Of sampling and intervals; written down in the result.
    max_samples : int
        Rows looked at a split, at most; fewer where the gap is known well enough before.
    batch_size : int
        Rows a forward pass.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    budget : float, optional
        Seconds after which no further probe is started; those are listed as skipped.
    include_samples : bool
        Also keep the held-out samples that the student misjudges, with pictures of them.
    train_probes : bool
        Also ask the probes that train copies of the student for a few steps.
    progress : Progress or bool
        False: nothing is shown. True: a library caller sees nothing either; the command line
        gives its own.
    command : str
        What was typed, for the report.
    probes : sequence of Probe, optional
        Instead of all that there are.

    Returns
    -------
    Diagnosis
        Modes, gradients, hooks, random state and device of what was handed over are as they were.

    Raises
    ------
    GapDoctorError
        When models or data cannot be used; its message says which and why.
    """
    clock = time.monotonic()
    shown = progress if isinstance(progress, Progress) else Progress()
    _check(seed, max_samples, batch_size)
    check_case(case)
    if case.history is not None:
        case = replace(case, history=normalised(case.history, "history"))
    with own_random_state(seed):
        try:
            settings = Settings(seed, max_samples, batch_size, device, train_probes)
            seen = look(case, settings, shown)
            asked = probes if probes is not None else all_probes()
            results = _ask(asked, seen, shown, None if budget is None else clock + budget)
            weighed = _weigh(seen, results)
            found = recorded(
                seen, results, weighed,
                command=command, version=gapdoctor.__version__, started=clock,
            )  # fmt: skip
            found = _with_fixes(found)
            return with_samples(found, seen) if include_samples else found
        finally:
            shown.close()


def look(case: Case, settings: Settings, progress: Progress) -> Observations:
    """Return observations of as many rows as the gap needs, and no more."""
    seen = Observations(with_corrections(case), settings, progress)
    sizes = seen.rounds()
    progress.stage("looking", seen.passes(sizes[-1]))
    for size in sizes:
        seen.extend(size)
        if size < sizes[-1] and enough(seen):
            break
    check_halves(seen.rows(Split.HELDOUT))
    return seen


def default_folder(checkpoint: Path) -> Path:
    """Return where the results on a checkpoint are written: `<stem>.gapdoctor/` beside it."""
    return checkpoint.parent / f"{checkpoint.stem}.gapdoctor"


def write_diagnosis(
    diagnosis: Diagnosis,
    folder: Path,
    *,
    formats: Sequence[str] = ("html", "md", "json"),
    inputs: Iterable[Path] = (),
    mark: str = "",
) -> dict[str, Path]:
    """Write the reports of a diagnosis; each file appears whole or not at all.

    Parameters
    ----------
    diagnosis : Diagnosis
        The record.
    folder : Path
        Made when missing; one that gapdoctor wrote is replaced, another non-empty one refused.
    formats : sequence of str
        Of `html`, `md`, `json`, `junit`. `diagnosis.json` is always written, last.
    inputs : iterable of Path
        Files of the user's that must not lie in the folder.
    mark : str
        `fingerprint` of what was diagnosed: by it `fix` knows whether this still holds.

    Returns
    -------
    dict of str to Path
        The file of each format.
    """
    from gapdoctor import report, storage

    storage.prepare_folder(folder, inputs)
    files: dict[str, bytes] = {}
    for fmt in formats:
        if fmt != "json":
            files[report.file_name(fmt)] = report.render(diagnosis, fmt).encode("utf-8")
    pictures = {**report.charts(diagnosis), **diagnosis.pictures}
    files |= {f"charts/{name}": png for name, png in pictures.items()}
    files["diagnosis.json"] = storage.to_json(diagnosis).encode("utf-8")
    storage.write_run(folder, files)
    if mark:
        storage.mark_inputs(folder, mark)
    return {f: folder / ("diagnosis.json" if f == "json" else report.file_name(f)) for f in formats}


# -- steps -------------------------------------------------------------------------------------


def _check(seed: int, max_samples: int, batch_size: int) -> None:
    for name, value, least in (
        ("seed", seed, 0),
        ("max-samples", max_samples, 1),
        ("batch-size", batch_size, 1),
    ):
        if not isinstance(value, Integral) or not least <= value < 2**63:
            raise GapDoctorError(
                f"--{name} {value}: must be a whole number from {least} on", f"leave --{name} out"
            )


def _ask(
    probes: Sequence[Probe], seen: Observations, progress: Progress, deadline: float | None
) -> list[ProbeResult]:
    """Ask each probe in its order; what it proves, later ones stand on."""
    progress.stage("asking", len(probes))
    results: list[ProbeResult] = []
    for probe in probes:
        late = deadline is not None and time.monotonic() > deadline
        result = Skipped(probe.name, "the budget was used up") if late else _examine(probe, seen)
        if isinstance(result, Finding):
            for claim in result.claims:
                if claim.intervention is not None:
                    seen.believe(claim.intervention)
        results.append(result)
        progress.advance()
    return results


def _examine(probe: Probe, seen: Observations) -> ProbeResult:
    reason = seen.missing(probe.needs)
    if reason is not None:
        return Skipped(probe.name, reason)
    try:
        return probe.examine(seen)
    except Exception as error:  # noqa: BLE001 - a crashing probe is reported and stops nothing
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        _log.info("probe %s crashed", probe.name, exc_info=True)
        return Crashed(probe.name, told, traceback.format_exc())


def _with_fixes(found: Diagnosis) -> Diagnosis:
    """Tell beside each cause which fixes treat it."""
    causes = tuple(replace(cause, fixes=fixes_for(cause.id)) for cause in found.causes)
    return replace(found, causes=causes)


def _weigh(seen: Observations, results: Sequence[ProbeResult]) -> Weighed:
    held = seen.rows(Split.HELDOUT)
    b = held.reporting
    train = (
        seen.current(Model.STUDENT, Split.TRAIN).loss
        - seen.current(Model.TEACHER, Split.TRAIN).loss
    )
    ledger = Ledger(
        seen.outputs(Model.STUDENT, Split.HELDOUT).loss[b],
        seen.outputs(Model.TEACHER, Split.HELDOUT).loss[b],
        train[accepted_train_rows(seen)],
        None if held.groups is None else held.groups[b],
    )
    findings = [r for r in results if isinstance(r, Finding)]
    return weigh(findings, measure_gap(seen), ledger, seen.settings.seed)
