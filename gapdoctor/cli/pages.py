"""The pages of `docs/` that are made from the code, so that they cannot drift from it.

`python -m gapdoctor.cli.pages docs` writes them; with `--check` it only tells which are stale.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.cli.app import PANELS
from gapdoctor.cli.console import note, say
from gapdoctor.cli.fix_pages import fix_pages
from gapdoctor.cli.manual import PLUGIN_KINDS, ManualPage, all_pages, to_markdown
from gapdoctor.files import write_text

_NOTICE = "<!-- Made from the code by `make docs`; what is changed here by hand is lost. -->\n\n"

_INTROS = {
    "cause": (
        "Causes",
        "The closed list of reasons for a gap. A cause is believed because switching it off "
        "brings the loss back, and is told in nats of held-out loss.",
    ),
    "probe": (
        "Probes",
        "Each probe asks the pair one question. Its limits stand beside the values that they "
        "judged, in every report.",
    ),
    "correction": (
        "Corrections",
        "Transforms that may have gone wrong, and how each is undone.",
    ),
}

_CLI = """# The command line

Results go to stdout, progress and log to stderr. `NO_COLOR` is honoured. A failure that can be
expected is told in two lines: what is wrong, and what to try.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a threshold that the user set (`--fail-on`, `--max-gap`) is crossed |
| 2 | usage, config or unreadable input |
| 3 | an internal error (the line names the log file), or an incomplete run |
| 130 | interrupted; what was finished is kept |
"""


def build_pages() -> dict[str, str]:
    """Return the text of each page by its path in the folder of the docs."""
    pages = all_pages()
    built = {"cli.md": _cli_page()}
    for kind, folder in {"cause": "causes", **PLUGIN_KINDS}.items():
        members = [page for page in pages if page.kind == kind]
        if kind == "fix":
            built |= {f"{folder}/{name}": text for name, text in fix_pages(members, pages).items()}
        elif members:
            built[f"{folder}.md"] = _kind_page(kind, members)
    return {name: _NOTICE + text for name, text in built.items()}


def stale_pages(folder: Path, built: Mapping[str, str]) -> list[str]:
    """Return the names of the pages in `folder` that are missing or differ from what was built."""
    return [
        name
        for name, text in built.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def leftover_pages(folder: Path, built: Mapping[str, str]) -> list[str]:
    """Return the names of pages that were once made from the code and are made no more."""
    there = [*folder.glob("*.md"), *(folder / PLUGIN_KINDS["fix"]).glob("*.md")]
    made = [file for file in there if file.read_text(encoding="utf-8").startswith(_NOTICE)]
    return sorted({file.relative_to(folder).as_posix() for file in made} - {*built})


def command_line(
    folder: Annotated[Path, typer.Argument(help="Where the pages lie.")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if stale.")] = False,
) -> None:
    """Write the pages of the docs that are made from the code, or check them."""
    built = build_pages()
    leftover = leftover_pages(folder, built)
    if not check:
        for name, text in built.items():
            write_text(folder / name, text)
            say(str(folder / name))
        for name in leftover:
            (folder / name).unlink()
            say(f"{folder / name}: removed")
        return
    stale = stale_pages(folder, built)
    for name in stale:
        note(f"{folder / name}: stale")
    for name in leftover:
        note(f"{folder / name}: left over")
    if stale or leftover:
        note("try: make docs")
        raise typer.Exit(1)


def _kind_page(kind: str, members: list[ManualPage]) -> str:
    title, intro = _INTROS[kind]
    index = "\n".join(f"- [`{page.name}`](#{page.name})" for page in members)
    return "\n".join([f"# {title}\n\n{intro}\n\n{index}\n", *map(to_markdown, members)])


def _cli_page() -> str:
    names = [name for panel in PANELS.values() for name in panel]
    parts = [_CLI, _help_block([])]
    parts += [f"## gapdoctor {name}\n\n{_help_block([name])}" for name in names]
    return "\n".join(parts)


def _help_block(command: list[str]) -> str:
    """Return a help page as everybody sees it at 80 columns."""
    plain = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    shown = subprocess.run(
        [sys.executable, "-m", "gapdoctor", *command, "--help"],
        env=plain,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return f"```text\n{shown.stdout.rstrip()}\n```\n"


if __name__ == "__main__":
    typer.run(command_line)
