"""The clinic: pairs with a known fault are built, diagnosed and scored.

python -m tests.clinic build --part tuning     train what is missing; goes on where it stopped
python -m tests.clinic run --part tuning       diagnose each pair, print failures and scores
python -m tests.clinic heal --part tuning      fix each fixable fault, measure on a third set
python -m tests.clinic page                    write docs/accuracy.md from the committed results
python -m tests.clinic commit                  copy the few pairs that the test suite diagnoses
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path


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
        from tests.clinic.running import Choice

        which = Choice(
            chosen.part, chosen.kind, chosen.only, chosen.name, chosen.limit, chosen.every
        )
        heal_part(which, chosen.jobs or cores(), chosen.resume, chosen.random)
    elif chosen.command == "commit":
        from tests.clinic.committing import commit

        commit()
    else:
        from tests.clinic.page import write_page

        write_page(chosen.out)
    return 0


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
    page = commands.add_parser("page", help="write the Markdown page")
    commands.add_parser("commit", help="copy the pairs of the test suite from the cache")
    for command in (build, run, heal):
        command.add_argument("--part", choices=("tuning", "reporting"), default="tuning")
        command.add_argument("--kind", help="grey, colour, table, sound, a data set or a cell")
        command.add_argument("--only", help="one fault, or healthy")
        command.add_argument("--limit", type=int, help="at most so many (cells; cases)")
    for command in (run, heal):
        command.add_argument("--name", help="only cases whose name holds this text")
        command.add_argument("--jobs", type=int, help="processes, one thread each; default: cores")
        command.add_argument("--resume", action="store_true",
                             help="keep what the same code has said of the same pairs")  # fmt: skip
    heal.add_argument("--every", type=int, default=1, help="one case in so many, evenly spread")
    heal.add_argument("--random", type=int, help="faults, evenly spread, in which random fixes "
                      "are trained too; default: 48")  # fmt: skip
    run.add_argument("--json", type=Path, help="a file of one's own for the results; those of "
                     "the page stay as they are")  # fmt: skip
    page.add_argument("--out", type=Path, help="default: stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
