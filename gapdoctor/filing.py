"""What a run of `fix` leaves in its folder beside plan and trials: its diagnosis, its reports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gapdoctor import report, storage
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import Outcome
from gapdoctor.files import write_text
from gapdoctor.storage.fix_folder import FIXED_RECORD, OUTCOME
from gapdoctor.storage.folder import RECORD


def keep_diagnosis(folder: Path, diagnosis: Diagnosis, inputs: str) -> None:
    """Write the diagnosis that a run rests on; one that the folder holds already is left alone.

    Parameters
    ----------
    folder : Path
        Prepared and locked.
    diagnosis : Diagnosis
        That the plan is made from.
    inputs : str
        `fingerprint` of what was diagnosed: by it a later run knows whether this still holds.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    """
    text = storage.to_json(diagnosis)
    stored = storage.stored_diagnosis(folder, inputs)
    if stored is not None and storage.to_json(stored) == text:
        return
    files = {f"charts/{name}": png for name, png in diagnosis.pictures.items()}
    storage.write_run(folder, {**files, RECORD: text.encode("utf-8")})
    storage.mark_inputs(folder, inputs)


def write_reports(
    folder: Path,
    diagnosis: Diagnosis,
    outcome: Outcome,
    after: Diagnosis | None = None,
    formats: Iterable[str] = ("html", "md"),
) -> dict[str, Path]:
    """Write the reports of a run in place of those of its diagnosis.

    Parameters
    ----------
    folder : Path
        With diagnosis and `fix.json` in it.
    diagnosis : Diagnosis
        That the run rests on.
    outcome : Outcome
        What it found.
    after : Diagnosis, optional
        Of what was written: kept beside the reports, for `report` and `compare`.
    formats : iterable of str
        Of `html`, `md`, `json`, `junit`; `json` is `fix.json`, which is there already.

    Returns
    -------
    dict of str to Path
        The file of each format, and `fix.json`.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    """
    formats = tuple(formats)
    files: dict[str, bytes] = {}
    for fmt in formats:
        if fmt == "junit":  # what is left is what a gate looks at
            files[report.file_name(fmt)] = report.render(after or diagnosis, fmt).encode()
        elif fmt != "json":
            text = report.render_fix(diagnosis, outcome, fmt, after)
            files[report.file_name(fmt)] = text.encode("utf-8")
    stored = storage.with_pictures(diagnosis, folder)
    pictures = {**report.charts(diagnosis, outcome, after), **stored.pictures}
    files |= {f"charts/{name}": png for name, png in pictures.items()}
    storage.write_run(folder, files)
    if after is not None:
        write_text(folder / FIXED_RECORD, storage.to_json(after))
    storage.mark_fix(folder)
    named = {f: report.file_name(f) for f in formats if f != "json"}
    return {f: folder / name for f, name in {**named, "json": OUTCOME}.items()}
