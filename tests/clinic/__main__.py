"""The clinic: pairs with a known fault are built, diagnosed and scored.

python -m tests.clinic build --part tuning     train what is missing; goes on where it stopped
python -m tests.clinic run --part tuning       diagnose each pair, print failures and scores
python -m tests.clinic heal --part tuning      fix each fixable fault, measure on a third set
python -m tests.clinic strategies --part tuning  try every fix, beside a control, on each of them
python -m tests.clinic record                  write gapdoctor/fixes/_clinic.json from the results
python -m tests.clinic page                    write docs/accuracy.md from the committed results
python -m tests.clinic commit                  copy the few pairs that the test suite diagnoses
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.clinic.running import Choice


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands."""
    chosen = _parser().parse_args(arguments)

    # Ends as Ctrl-C does: what was said so far is written down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    import torch

    torch.set_num_threads(1)
    if chosen.command == "build":
        from tests.clinic.building import build_part

        build_part(chosen.part, chosen.kind, chosen.only, chosen.limit)
    elif chosen.command == "run":
        from tests.clinic.parallel import cores
        from tests.clinic.running import Choice, run_part

        which = Choice(chosen.part, chosen.kind, chosen.only, chosen.name, chosen.limit)
        run_part(which, chosen.json, chosen.jobs or cores(), chosen.resume)
    elif chosen.command == "heal":
        from tests.clinic.healing_run import heal_part
        from tests.clinic.parallel import cores

        heal_part(_spread(chosen), chosen.jobs or cores(), chosen.resume, chosen.random)
    elif chosen.command == "strategies":
        from tests.clinic.parallel import cores
        from tests.clinic.strategies_run import try_part

        try_part(
            _spread(chosen), chosen.jobs or cores(), chosen.resume,
            trained_only=chosen.trained_only, treating=chosen.treating,
        )  # fmt: skip
    elif chosen.command == "record":
        from tests.clinic.record import write_record

        write_record()
    elif chosen.command == "commit":
        from tests.clinic.committing import commit

        commit()
    else:
        from tests.clinic.page import write_page

        write_page(chosen.out)
    return 0


def _spread(chosen: argparse.Namespace) -> Choice:
    from tests.clinic.running import Choice

    return Choice(
        chosen.part, chosen.kind, chosen.only, chosen.name, chosen.limit, chosen.every
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.clinic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="train what is missing")
    run = commands.add_parser("run", help="diagnose and score")
    heal = commands.add_parser("heal", help="fix, and measure what was written on a third set")
    strategies = commands.add_parser("strategies", help="try every fix on each fixable fault")
    commands.add_parser("record", help="write what the plan knows of every fix")
    page = commands.add_parser("page", help="write the Markdown page")
    commands.add_parser("commit", help="copy the pairs of the test suite from the cache")
    for command in (build, run, heal, strategies):
        command.add_argument("--part", choices=("tuning", "reporting"), default="tuning")
        command.add_argument("--kind", help="grey, colour, table, sound, a data set or a cell")
        command.add_argument("--only", help="one fault, or healthy")
        command.add_argument("--limit", type=int, help="at most so many (cells; cases)")
    for command in (run, heal, strategies):
        command.add_argument("--name", help="only cases whose name holds this text")
        command.add_argument("--jobs", type=int, help="processes, one thread each; default: cores")
        command.add_argument("--resume", action="store_true",
                             help="keep what the same code has said of the same pairs")  # fmt: skip
    for command in (heal, strategies):
        command.add_argument("--every", type=int, default=1,
                             help="one case in so many, evenly spread")  # fmt: skip
    strategies.add_argument("--trained-only", action="store_true",
                            help="only faults of training: others are mended free")  # fmt: skip
    strategies.add_argument("--treating", action="store_true",
                            help="train only what treats a found cause")  # fmt: skip
    heal.add_argument("--random", type=int, help="faults, evenly spread, in which random fixes "
                      "are trained too; default: 48")  # fmt: skip
    run.add_argument("--json", type=Path, help="a file of one's own for the results; those of "
                     "the page stay as they are")  # fmt: skip
    page.add_argument("--out", type=Path, help="default: stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
