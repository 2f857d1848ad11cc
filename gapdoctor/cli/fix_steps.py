"""The steps of `gapdoctor fix`: load, diagnose or reuse, plan, treat, show."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdoctor.cli.console import (
    is_terminal,
    note,
    progress_for,
    say,
    stdout_for_results,
    wants_color,
)
from gapdoctor.cli.diagnose import Measure, Output, Pair, resolve, usable_folder
from gapdoctor.cli.failures import Session
from gapdoctor.engines.names import check_engine

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.domain.trials import Outcome, Plan
    from gapdoctor.fix_run import FixRun
    from gapdoctor.observe.progress import Progress

_REPORTS = ("html", "md", "junit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `fix` does, beside what `diagnose` does."""

    apply: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    seeds: int = 3
    start: str | None = None
    engine: str = "local"
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    diagnosis: Diagnosis
    outcome: Outcome | None = None
    """None: the plan alone."""
    after: Diagnosis | None = None
    """Of what was written."""


def run_fix(session: Session, pair: Pair, measure: Measure, output: Output, wanted: Wanted) -> Done:
    """Load the pair, plan, and where wanted train, verify, write and show.

    Raises
    ------
    GapDoctorError
        For bad usage, config or input; before anything heavy is imported where possible.
    IncompleteRun
        When trainings were planned and none can be compared.
    """
    check_engine(wanted.engine)
    config, checkpoint, inputs = resolve(pair)
    _check_names(wanted)
    progress = progress_for(output.quiet, output.verbose)
    plan: Plan | None = None
    written: Mapping[str, Path] = {}
    try:
        with stdout_for_results():
            progress.stage("loading", 0)
            from gapdoctor import filing, fix_run, pipeline

            folder = output.folder or pipeline.default_folder(checkpoint)
            whole = _run(config, folder, measure, wanted, pair, progress, inputs)
            with usable_folder(folder, inputs):
                if wanted.apply:
                    fix_run.warm_up(measure.device)
                case = whole.load()
                diagnosis, stored = whole.diagnosis(case)
                session.kept = f"what was finished is kept in {folder}; run it again to go on"
                if stored and not output.quiet:
                    progress.note(f"The diagnosis in {folder} still holds.")
                if wanted.apply:
                    done = _apply(whole, case, diagnosis, wanted, output, measure.command, progress)
                    written = filing.write_reports(
                        folder, diagnosis, _outcome(done), done.after, output.formats
                    )
                else:
                    plan = whole.plan(case, diagnosis)
                    done = Done(diagnosis)
                session.kept = f"all was written to {folder}"
    finally:
        progress.close()
    if plan is not None:
        _show_plan(diagnosis, plan, folder, output)
    else:
        _show(done, written, output)
        fix_run.check_whole(_outcome(done))
    return done


def _run(
    config: Any, folder: Path, measure: Measure, wanted: Wanted, pair: Pair, progress: Progress,
    inputs: Sequence[Path],
) -> FixRun:  # fmt: skip
    from gapdoctor import fix_run
    from gapdoctor.treatment.prepare import Asked

    asked = Asked(
        measure.budget, wanted.only, wanted.skip, wanted.seeds, wanted.start,  # type: ignore[arg-type]
        measure.seed, measure.device, measure.batch_size,
    )  # fmt: skip
    again = measure.train_probes or measure.include_samples
    diagnosing = replace(measure, budget=None).given()
    return fix_run.FixRun(
        config, folder, asked, diagnosing, inputs, pair.unsafe_load, again, progress
    )


def _apply(
    whole: FixRun, case: Any, diagnosis: Diagnosis, wanted: Wanted, output: Output,
    command: str, progress: Progress,
) -> Done:  # fmt: skip
    from gapdoctor.cli.trials import watcher_for

    watcher = watcher_for(output.quiet, output.verbose, progress)
    try:
        outcome = whole.apply(
            case, diagnosis, engine=wanted.engine, fresh=wanted.fresh, watcher=watcher,
            command=command,
        )  # fmt: skip
    finally:
        watcher.close()
    after = whole.after(outcome)
    progress.stage("writing", 0)
    return Done(diagnosis, outcome, after)


def _outcome(done: Done) -> Outcome:
    assert done.outcome is not None
    return done.outcome


def _check_names(wanted: Wanted) -> None:
    """Before the pair is diagnosed."""
    from gapdoctor.discovery import plugin_names
    from gapdoctor.fixes._names import check_names

    check_names(wanted.only, wanted.skip, plugin_names("gapdoctor.fixes"))


def _show_plan(diagnosis: Diagnosis, plan: Plan, folder: Path, output: Output) -> None:
    if output.as_json:
        from gapdoctor.storage import plan_to_json

        say(plan_to_json(plan).rstrip("\n"))
        return
    path = str(folder / "plan.json")
    if output.quiet:
        say(path)
        return
    from gapdoctor.report import plan_page

    say(plan_page(diagnosis, plan, width=_width(), color=wants_color("stdout")).rstrip("\n"))
    if any(f.status == "planned" for f in plan.fixes):
        say("\nTo do it, type the same command with --apply.")
    say(f"\n{path}")


def _show(done: Done, written: Mapping[str, Path], output: Output) -> None:
    paths = [str(written[f]) for f in reversed(_REPORTS) if f in written]
    outcome = _outcome(done)
    if output.as_json:
        from gapdoctor.storage import outcome_to_json

        say(outcome_to_json(outcome).rstrip("\n"))
        if not output.quiet:
            note("\n".join(paths))
        return
    if output.quiet:
        say(paths[-1] if paths else str(written["json"]))
        return
    from gapdoctor.report.fix_sections import fix_page

    text = fix_page(done.diagnosis, outcome, done.after, width=_width(),
                    color=wants_color("stdout"))  # fmt: skip
    say(text.rstrip("\n"))
    folder = written["json"].parent
    files = (outcome.written.checkpoint, outcome.written.config, outcome.written.diff)
    say("\n" + "\n".join([*(str(folder / name) for name in files if name), *paths]))


def _width() -> int:
    return min(80, shutil.get_terminal_size().columns if is_terminal("stdout") else 80)
