"""Help pages: grouped, and readable at 80 columns."""

from __future__ import annotations

import pytest

from gapdoctor.cli.app import PANELS

COMMANDS = [name for names in PANELS.values() for name in names]


def test_the_top_page_lists_every_command_by_panel(gapdoctor):
    shown = gapdoctor("--help").stdout
    lines = shown.splitlines()
    for panel, names in PANELS.items():
        below = lines[lines.index(f"{panel}:") :]
        listed = [line.split()[0] for line in below if line[:2] == "  " and line[2:3] != " "]
        assert tuple(listed[: len(names)]) == names
    assert "--version" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_80_columns_and_says_what_the_command_does(gapdoctor, name):
    done = gapdoctor(name, "--help")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: gapdoctor {name} [OPTIONS]")
    assert lines[2].strip()


def test_a_short_h_is_the_same(gapdoctor):
    assert gapdoctor("explain", "-h").stdout == gapdoctor("explain", "--help").stdout


def test_the_options_of_diagnose_are_grouped_and_complete(gapdoctor):
    shown = gapdoctor("diagnose", "--help").stdout
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        "Arguments:",
        "Pair and data (a flag beats the file):",
        "Measuring:",
        "Output:",
        "Gate:",
        "Options:",
    ]
    promised = (
        "-c, --config FILE",
        "-o, --out DIR",
        "--device auto|cpu|cuda|mps",
        "--seed N",
        "--max-samples N",
        "--batch-size N",
        "--budget TIME",
        "--format html|md|json|junit",
        "--json",
        "-q, --quiet",
        "-v, --verbose",
        "--fail-on never|low|medium|high",
        "--max-gap NATS",
        "--include-samples",
        "--unsafe-load",
        "--student WHERE:WHAT",
        "--teacher WHERE:WHAT",
        "--teacher-checkpoint FILE",
        "--train WHERE:WHAT",
        "--heldout WHERE:WHAT",
        "--set KEY=VALUE",
    )
    assert [option for option in promised if option not in shown] == []


def test_a_command_with_few_options_has_one_list_of_them(gapdoctor):
    shown = gapdoctor("demo", "--help").stdout
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Options:"]


def test_defaults_are_told(gapdoctor):
    shown = " ".join(gapdoctor("diagnose", "--help").stdout.split())
    for default in ("auto", "0", "10000", "256", "never"):
        assert f"[default: {default}]" in shown


def test_no_page_has_colour_in_a_pipe(gapdoctor):
    assert "\x1b" not in gapdoctor("diagnose", "--help", env={"FORCE_COLOR": "1"}).stdout
