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
    assert pages.stale_pages(DOCS, built) == [], "run make docs"
    assert pages.leftover_pages(DOCS, built) == [], "run make docs"


def test_there_is_a_page_a_kind(built):
    assert set(built) >= {"cli.md", "probes.md", "causes.md", "fixes/README.md"}


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
    (tmp_path / "docs/fixes/stop_early.md").write_text("old")
    capsys.readouterr()
    with pytest.raises(typer.Exit) as stop:
        pages.command_line(tmp_path / "docs", check=True)
    assert stop.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'docs/cli.md'}: stale",
        f"{tmp_path / 'docs/probes.md'}: stale",
        f"{tmp_path / 'docs/fixes/stop_early.md'}: stale",
        "try: make docs",
    ]
    assert (tmp_path / "docs/cli.md").read_text() == "old"


def test_the_page_of_a_fix_that_is_gone_fails_the_check_and_is_removed(
    tmp_path, built, monkeypatch, capsys
):
    docs = tmp_path / "docs"
    monkeypatch.setattr(pages, "build_pages", lambda: built)
    pages.command_line(docs)
    (docs / "fixes/gone.md").write_text(built["fixes/stop_early.md"])
    (docs / "fixes.md").write_text(built["fixes/README.md"])  # where all fixes stood once
    (docs / "fixes/mine.md").write_text("# Written by hand\n")
    capsys.readouterr()
    with pytest.raises(typer.Exit) as stop:
        pages.command_line(docs, check=True)
    assert stop.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{docs / 'fixes.md'}: left over",
        f"{docs / 'fixes/gone.md'}: left over",
        "try: make docs",
    ]
    pages.command_line(docs)
    pages.command_line(docs, check=True)
    assert not (docs / "fixes/gone.md").exists()
    assert (docs / "fixes/mine.md").exists()


def test_the_module_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "gapdoctor.cli.pages", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"},
    )
    assert "--check" in done.stdout
