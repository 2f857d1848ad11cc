"""The clinic: pairs with a known fault are built, diagnosed and scored.

python -m tests.clinic build --part tuning     train what is missing; goes on where it stopped
python -m tests.clinic run --part tuning       diagnose each pair, print failures and scores
python -m tests.clinic page                    write docs/accuracy.md from the results
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.clinic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="train what is missing")
    run = commands.add_parser("run", help="diagnose and score")
    page = commands.add_parser("page", help="write the Markdown page")
    for command in (build, run):
        command.add_argument("--part", choices=("tuning", "reporting"), default="tuning")
        command.add_argument("--kind", help="grey, colour, table, sound, a data set or a cell")
        command.add_argument("--only", help="one fault, or healthy")
        command.add_argument("--limit", type=int, help="at most so many (cells; cases)")
    run.add_argument("--json", type=Path, help="where all results are written")
    run.add_argument("--name", help="only cases whose name holds this text")
    page.add_argument("--out", type=Path, help="default: stdout")
    chosen = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(1)
    if chosen.command == "build":
        from tests.clinic.building import build_part

        build_part(chosen.part, chosen.kind, chosen.only, chosen.limit)
    elif chosen.command == "run":
        from tests.clinic.running import run_part

        run_part(chosen.part, chosen.kind, chosen.only, chosen.name, chosen.limit, chosen.json)
    else:
        from tests.clinic.page import write_page

        write_page(chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
