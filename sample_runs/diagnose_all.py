"""Run each folder's `command.txt` in it, and write what was said into its README.

`python sample_runs/diagnose_all.py [NAME …]`; `make samples` does all of them.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SAID = "## What gapdoctor said"
AFTER = "## Where it was wrong"


def main(names: list[str]) -> None:
    folders = sorted(p.parent for p in HERE.glob("*/command.txt"))
    for folder in folders:
        if not names or folder.name in names:
            diagnose(folder)


def diagnose(folder: Path) -> None:
    typed = shlex.split((folder / "command.txt").read_text())
    program = Path(sys.executable).parent / typed[0]
    subprocess.run([str(program), *typed[1:], "-q"], cwd=folder, check=True)
    record = json.loads((folder / "checkpoint.gapdoctor" / "diagnosis.json").read_text())
    readme = folder / "README.md"
    before, rest = readme.read_text().split(SAID)
    readme.write_text(f"{before}{SAID}\n\n{said(record)}\n{AFTER}{rest.split(AFTER)[1]}")


def said(record: dict) -> str:
    """The verdict and the ranked causes of a diagnosis, as Markdown."""
    excess = record["gap"]["excess"]
    lines = [
        f"`{record['verdict']}`: the excess is {span(excess)} nats "
        f"({record['data']['heldout']['used']} held-out rows used).",
        "",
    ]
    if record["causes"]:
        lines += ["| | cause | explains, nats | confidence | correction |", "|---|---|---|---|---|"]
    for cause in record["causes"]:
        other = cause["alternative_to"]
        correction = f"`{cause['correction']}`" if cause["correction"] else ""
        lines.append(
            f"| {cause['rank']} | `{cause['id']}`"
            f"{f' (instead of `{other}`)' if other else ''} | {span(cause['explained'])} | "
            f"{cause['confidence']:.2f} | {correction} |"
        )
    if not record["causes"]:
        lines.append("No cause was named.")
    if record["warnings"]:
        lines.append("")
    lines += [f"- Warning `{w['id']}`: {w['statement']}" for w in record["warnings"]]
    lines += ["", "The whole of it: [report.md](checkpoint.gapdoctor/report.md), "]
    lines[-1] += "[report.html](checkpoint.gapdoctor/report.html), "
    lines[-1] += "[diagnosis.json](checkpoint.gapdoctor/diagnosis.json).\n"
    return "\n".join(lines)


def span(quantity: dict) -> str:
    return f"{quantity['value']:.3f} ({quantity['low']:.3f} to {quantity['high']:.3f})"


if __name__ == "__main__":
    main(sys.argv[1:])
