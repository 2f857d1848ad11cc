"""The pages of the docs that are made from the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gapdoctor.cli import pages
from gapdoctor.cli.app import PANELS
from gapdoctor.domain.causes import PAGES, Cause

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    return pages.build_pages()


def test_the_pages_in_the_repository_are_current(built):
    stale = [name for name, text in built.items() if (DOCS / name).read_text("utf-8") != text]
    assert stale == [], "run make docs"


def test_there_is_a_page_a_kind(built):
    assert set(built) >= {"cli.md", "probes.md", "causes.md"}


def test_the_page_of_commands_holds_every_help_page(built, gapdoctor):
    for name in [name for names in PANELS.values() for name in names]:
        assert f"## gapdoctor {name}\n" in built["cli.md"]
    assert gapdoctor("diagnose", "--help").stdout.rstrip() in built["cli.md"]


def test_the_page_of_causes_says_what_the_records_say(built):
    for cause in Cause:
        assert f"## `{cause}`\n" in built["causes.md"]
        assert PAGES[cause].tell_apart in built["causes.md"]


def test_a_stale_or_missing_page_fails_the_check_and_names_the_command(
    tmp_path, built, monkeypatch, capsys
):
    monkeypatch.setattr(pages, "build_pages", lambda: built)
    pages.command_line(tmp_path / "docs")
    pages.command_line(tmp_path / "docs", check=True)
    (tmp_path / "docs/cli.md").write_text("old")
    (tmp_path / "docs/probes.md").unlink()
    capsys.readouterr()
    with pytest.raises(typer.Exit) as stop:
        pages.command_line(tmp_path / "docs", check=True)
    assert stop.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'docs/cli.md'}: stale",
        f"{tmp_path / 'docs/probes.md'}: stale",
        "try: make docs",
    ]
    assert (tmp_path / "docs/cli.md").read_text() == "old"


def test_the_module_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "gapdoctor.cli.pages", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"},
    )
    assert "--check" in done.stdout
