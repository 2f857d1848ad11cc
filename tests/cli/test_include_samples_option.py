"""`--include-samples`: by the installed command on the bundled pair, and where it is not given."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gapdoctor.cli import app
from gapdoctor.demo import prepare


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the installed command wrote, and the page that it printed."""
    command = Path(sys.executable).parent / "gapdoctor"
    checkpoint = prepare(tmp_path_factory.mktemp("digits"))
    done = subprocess.run(
        [command, "diagnose", checkpoint, "--include-samples", "--budget", "1s"],
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return checkpoint.with_suffix(".gapdoctor"), done.stdout


def samples(folder: Path) -> Any:
    record = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))
    return record["tables"].get("samples")


def test_pictures_stand_on_the_page_and_lines_on_the_terminal(ran) -> None:
    folder, printed = ran
    html = (folder / "report.html").read_text(encoding="utf-8")
    rows = samples(folder)
    told = (
        f"row {rows[0]['row']}: label {rows[0]['label']}, student says {rows[0]['student']} "
        f"({rows[0]['student_confidence']:.2f}), teacher {rows[0]['teacher']}"
    )

    assert len(rows) == 24
    assert html.count('<img src="data:image/png;base64,') == 24
    assert f'alt="{told}"' in html
    assert f"• {told}, +" in printed
    assert len(html.encode("utf-8")) < 500_000


def test_a_picture_is_the_digit_of_its_row(ran) -> None:
    from sklearn.datasets import load_digits

    folder, _ = ran
    digits = load_digits()
    heldout = np.random.default_rng(0).permutation(len(digits.images))[:697]
    for row in samples(folder):
        image = digits.images[heldout[row["row"]]]
        png = (folder / "charts" / row["picture"]).read_bytes()
        shown = np.asarray(Image.open(io.BytesIO(png)), dtype=float)
        scaled = (image - image.min()) / (image.max() - image.min()) * 255
        assert np.abs(shown[6::12, 6::12] - scaled).max() <= 1
        assert str(digits.target[heldout[row["row"]]]) == row["label"] == row["teacher"]


def test_report_shows_the_same_page_again(ran, capsys) -> None:
    folder, _ = ran
    html = (folder / "report.html").read_text(encoding="utf-8")

    for run in (folder, folder / "diagnosis.json"):
        assert app.run(["report", str(run), "--format", "html"]) == 0
        assert capsys.readouterr().out.rstrip("\n") == html.rstrip("\n")


def test_columns_stand_in_the_table_and_only_where_asked_for(write_pair, tmp_path, capsys) -> None:
    config = str(write_pair(tmp_path) / "gapdoctor.toml")
    folder = tmp_path / "student.gapdoctor"
    pages = []
    for more in (["--include-samples"], []):
        assert app.run(["diagnose", "-c", config, "--budget", "1s", "--format", "md", *more]) == 0
        pages.append(capsys.readouterr().out + (folder / "report.md").read_text(encoding="utf-8"))
        if more:
            assert len(samples(folder)) == 24
            assert {row["picture"] for row in samples(folder)} == {None}

    assert samples(folder) is None
    assert ["isjudged" in page for page in pages] == [True, False]
