"""Misjudged samples and their pictures: chosen, written, read again, and absent unless asked for.

The rows are 8 × 8 pictures whose first pixel is their number; the models look their logits up.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gapdoctor import Case, Preprocess, TeacherLogits, pipeline, report
from gapdoctor.observe.misjudged import with_samples
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.storage import from_json, to_json, with_pictures

ROWS = 40
COLUMNS = (
    "picture", "row", "label", "student", "student_confidence", "teacher", "student_loss",
    "teacher_loss",
)  # fmt: skip
REPORTING = np.flatnonzero(~choosing_half(np.arange(ROWS), None)).tolist()
"""Rows of half B, a dozen at least."""


class LookUp(nn.Module):
    """Gives each row the logits (C,) that stand under its number."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits[x.flatten(1)[:, 0].long()]


LABELS = np.arange(ROWS) % 3


def logits(margins: dict[int, float], label: np.ndarray = LABELS) -> np.ndarray:
    """Return logits (n, 3) that name the label by 6, but on some rows by another margin."""
    found = np.zeros((ROWS, 3))
    for row in range(ROWS):
        found[row, label[row]] = margins.get(row, 6.0)
    return found


def drawn(rows: int = ROWS) -> np.ndarray:
    """Return pictures (n, 1, 8, 8): the row's number, and a bright pixel in its corner."""
    images = np.zeros((rows, 1, 8, 8), dtype=np.float32)
    images[:, 0, 0, 0] = np.arange(rows)
    images[:, 0, 7, 7] = 2 * ROWS
    return images


WRONG = {REPORTING[0]: -4.0, REPORTING[1]: -2.0, REPORTING[2]: -4.0, REPORTING[3]: 1.0}
"""By how much the student misses the label: three rows wrong, one right and unsure."""
TEACHER_WRONG = REPORTING[4]


def pair(**more: Any) -> Case:
    student = logits({**WRONG, TEACHER_WRONG: -6.0})
    teacher = logits({TEACHER_WRONG: -6.0})
    given: dict[str, Any] = {
        "student": LookUp(student),
        "teacher": LookUp(teacher),
        "train": (drawn(), LABELS),
        "heldout": (drawn(), LABELS),
        "classes": ("ant", "bee", "cat"),
    }
    return Case(**{**given, **more})


def diagnosed(case: Case, *, include_samples: bool = True) -> Any:
    return pipeline.diagnose(case, include_samples=include_samples, probes=(), device="cpu")


def slim(diagnosis: Any) -> Any:
    """Return the diagnosis with one chart, since drawing them takes seconds."""
    kept = {k: table for k, table in diagnosis.tables.items() if k == "samples"}
    return replace(diagnosis, tables=kept)


# -- which ---------------------------------------------------------------------------------------


def test_rows_the_teacher_gets_right_and_the_student_loses_on_come_in_order() -> None:
    table = diagnosed(pair()).tables["samples"]

    assert table.columns == COLUMNS
    # The first and the third lose alike, so the lower number comes first.
    first, second, third, fourth = REPORTING[:4]
    assert [row["row"] for row in table.records()] == [first, third, second, fourth]
    assert [row["label"] for row in table.records()] == [
        ("ant", "bee", "cat")[r % 3] for r in (first, third, second, fourth)
    ]
    assert [row["teacher"] == row["label"] for row in table.records()] == [True] * 4
    assert [row["student"] == row["label"] for row in table.records()] == [False] * 3 + [True]


def test_the_numbers_are_those_of_the_logits() -> None:
    record = diagnosed(pair()).tables["samples"].records()[0]

    # Logits (−4, 0, 0): the label's share is e⁻⁴ / (e⁻⁴ + 2), another's 1 / (e⁻⁴ + 2).
    assert record["student_loss"] == pytest.approx(np.log(np.exp(-4) + 2) + 4)
    assert record["student_confidence"] == pytest.approx(1 / (np.exp(-4) + 2))
    assert record["teacher_loss"] == pytest.approx(np.log(1 + 2 * np.exp(-6)))


def test_a_row_that_is_right_and_loses_less_than_the_limit_is_not_misjudged() -> None:
    case = pair(student=LookUp(logits({REPORTING[0]: 5.0})), teacher=LookUp(logits({})))
    found = diagnosed(case)

    assert found.tables["samples"].rows == ()
    assert found.pictures == {}
    assert "There are none" in report.render(found, "md")


def test_twenty_four_at_most() -> None:
    rows = 200
    labels = np.arange(rows) % 3
    wrong = np.zeros((rows, 3))
    wrong[np.arange(rows), (labels + 1) % 3] = 6.0
    right = np.zeros((rows, 3))
    right[np.arange(rows), labels] = 6.0
    split = (drawn(rows), labels)
    case = Case(LookUp(wrong), LookUp(right), split, split)
    found = diagnosed(case)
    half = np.flatnonzero(~choosing_half(np.arange(rows), None))

    assert [r["row"] for r in found.tables["samples"].records()] == half[:24].tolist()
    assert list(found.pictures) == [f"sample-{i:02d}.png" for i in range(1, 25)]


def test_with_a_test_set_its_rows_are_shown() -> None:
    chosen = {0: -3.0, 1: -1.0}  # whichever half they would fall into
    case = pair(student=LookUp(logits(chosen)), teacher=LookUp(logits({})), test=(drawn(), LABELS))
    found = diagnosed(case)

    assert [r["row"] for r in found.tables["samples"].records()] == [0, 1]
    assert "The 2 test rows with the largest difference of losses" in report.render(found, "md")
    assert [corner(png) for png in found.pictures.values()] == [0, 1]


def test_a_row_without_an_answer_names_no_class() -> None:
    broken = logits({})
    broken[REPORTING[5]] = np.nan
    record = diagnosed(pair(student=LookUp(broken))).tables["samples"].records()[0]

    assert (record["row"], record["student"]) == (REPORTING[5], None)
    assert record["student_confidence"] == pytest.approx(1 / 3)


def test_stored_logits_of_a_teacher_will_do() -> None:
    stored = logits({TEACHER_WRONG: -6.0})
    found = diagnosed(pair(teacher=TeacherLogits(stored, stored)))

    assert found.tables["samples"] == diagnosed(pair()).tables["samples"]


# -- pictures ------------------------------------------------------------------------------------


def corner(png: bytes) -> int:
    """Return the number of the row that a picture shows."""
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return round(float(shown[0, 0]) * 2 * ROWS / 255)


def test_each_picture_is_that_of_its_row() -> None:
    found = diagnosed(pair())

    for record in found.tables["samples"].records():
        assert corner(found.pictures[record["picture"]]) == record["row"]


class Photographs(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """PIL images whose colour is their number; once `failing` is set, none can be read."""

    failing = False

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        if self.failing:
            raise OSError("the disk is gone")
        return Image.new("RGB", (96, 96), (row, 0, 200)), int(LABELS[row])


def number(image: Image.Image) -> torch.Tensor:
    """Make a model-ready tensor (1,), no picture any more, of an image."""
    return torch.tensor([float(np.asarray(image)[0, 0, 0])])


def test_a_raw_image_is_shown_whatever_the_model_eats() -> None:
    split = Photographs()
    case = pair(train=split, heldout=split, preprocess=Preprocess(number, number))
    found = diagnosed(case)

    for record in found.tables["samples"].records():
        shown = Image.open(io.BytesIO(found.pictures[record["picture"]])).convert("RGB")
        assert shown.getpixel((0, 0)) == (record["row"], 0, 200)


def test_rows_that_are_no_pictures_stand_in_the_table_alone() -> None:
    columns = (drawn()[:, 0, 0], LABELS)
    found = slim(diagnosed(pair(train=columns, heldout=columns)))
    html = report.render(found, "html")

    assert len(found.tables["samples"].rows) == 4
    assert {r["picture"] for r in found.tables["samples"].records()} == {None}
    assert found.pictures == {}
    assert "Samples on which the student loses most" in html
    assert "<img" not in html
    assert "pictures do" not in html


def test_rows_that_cannot_be_read_again_cost_the_pictures_only() -> None:
    split = Photographs()
    case = pair(train=split, heldout=split, preprocess=Preprocess(number, number))
    found = diagnosed(case, include_samples=False)
    seen = pipeline.look(case, Settings(device="cpu"), Progress())

    split.failing = True
    shown = with_samples(found, seen)

    assert len(shown.tables["samples"].rows) == 4
    assert shown.pictures == {}
    assert shown.notes[:-1] == found.notes
    assert shown.notes[-1].startswith("no pictures of samples: data.heldout: row ")
    assert shown.notes[-1].endswith("the disk is gone")


# -- only where asked for ------------------------------------------------------------------------


def test_without_the_option_there_is_nothing_of_them(tmp_path: Path) -> None:
    found = diagnosed(pair(), include_samples=False)
    pipeline.write_diagnosis(found, tmp_path, formats=report.format_names())

    assert "samples" not in found.tables
    assert found.pictures == {}
    assert not list(tmp_path.glob("charts/sample*"))
    for file in tmp_path.iterdir():
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert "isjudged" not in text
            assert "data:image" not in text
            assert "sample-01" not in text


def test_the_option_changes_nothing_else() -> None:
    with_, without = (
        replace(diagnosed(pair(), include_samples=asked), created="", cost=None, environment={})
        for asked in (True, False)
    )
    kept = {name: table for name, table in with_.tables.items() if name != "samples"}

    assert list(with_.tables) == sorted([*without.tables, "samples"])
    assert replace(with_, tables=kept, pictures={}) == without


def test_what_is_written_renders_again_as_the_same_page(tmp_path: Path) -> None:
    found = slim(diagnosed(pair()))
    pipeline.write_diagnosis(found, tmp_path)
    text = (tmp_path / "diagnosis.json").read_text(encoding="utf-8")
    again = with_pictures(from_json(text), tmp_path)

    assert again.pictures == found.pictures
    assert sorted(p.name for p in tmp_path.glob("charts/sample*")) == sorted(found.pictures)
    for format_ in ("html", "md"):
        stored = (tmp_path / report.file_name(format_)).read_text(encoding="utf-8")
        assert report.render(again, format_) == stored
    assert to_json(again) == text
    assert list(json.loads(text)["tables"]["samples"][0]) == list(COLUMNS)


def test_a_run_without_the_option_removes_the_pictures_of_an_earlier_one(tmp_path: Path) -> None:
    pipeline.write_diagnosis(slim(diagnosed(pair())), tmp_path, formats=())
    assert list(tmp_path.glob("charts/sample*"))

    without = slim(diagnosed(pair(), include_samples=False))
    pipeline.write_diagnosis(without, tmp_path, formats=())

    assert not list(tmp_path.glob("charts/sample*"))
    assert list(tmp_path.glob("charts/*.png"))
