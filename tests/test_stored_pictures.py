"""Pictures of a stored run: only what the record names, and only PNG, is read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Table
from gapdoctor.storage import from_json, to_json, with_pictures

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def record() -> Diagnosis:
    text = (Path(__file__).parent / "report/expected/base.json").read_text(encoding="utf-8")
    return from_json(text)


def naming(record: Diagnosis, *names: object) -> Diagnosis:
    samples = Table(("picture", "row"), tuple((name, i) for i, name in enumerate(names)))
    return replace(record, tables={**record.tables, "samples": samples})


def put(folder: Path, name: str, content: bytes = PNG) -> None:
    path = folder / "charts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_pictures_that_the_record_names_are_read(record: Diagnosis, tmp_path: Path) -> None:
    for name in ("sample-01.png", "sample-02.png", "sample-03.png"):
        put(tmp_path, name, PNG + name.encode())
    found = with_pictures(naming(record, "sample-02.png", None, "sample-01.png"), tmp_path)

    assert found.pictures == {
        "sample-02.png": PNG + b"sample-02.png",
        "sample-01.png": PNG + b"sample-01.png",
    }


def test_a_record_without_samples_reads_none(record: Diagnosis, tmp_path: Path) -> None:
    put(tmp_path, "sample-01.png")

    assert with_pictures(record, tmp_path).pictures == {}


@pytest.mark.parametrize(
    "name",
    [
        "../sample-01.png",
        "../charts/sample-01.png",
        "sample-1.png",
        "sample-01.png\n",
        "sample-٠١.png",
        "waterfall.png",
        7,
        ["sample-01.png"],
    ],
)
def test_another_name_is_not_followed(record: Diagnosis, tmp_path: Path, name: object) -> None:
    put(tmp_path, "sample-01.png")
    put(tmp_path, "../sample-01.png")
    if isinstance(name, str):
        put(tmp_path, name)

    assert with_pictures(naming(record, name), tmp_path).pictures == {}


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg onload=alert(1)>", PNG * 100_000])
def test_what_is_no_small_png_is_left_out(record: Diagnosis, tmp_path, content: bytes) -> None:
    put(tmp_path, "sample-01.png", content)

    assert with_pictures(naming(record, "sample-01.png"), tmp_path).pictures == {}


def test_what_is_not_there_is_left_out(record: Diagnosis, tmp_path: Path) -> None:
    named = naming(record, "sample-01.png", "sample-02.png")
    assert with_pictures(named, tmp_path).pictures == {}

    (tmp_path / "charts" / "sample-01.png").mkdir(parents=True)
    assert with_pictures(named, tmp_path).pictures == {}


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_a_pipe_is_not_waited_for(record: Diagnosis, tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir()
    os.mkfifo(tmp_path / "charts/sample-01.png")

    assert with_pictures(naming(record, "sample-01.png"), tmp_path).pictures == {}


def test_pictures_are_files_and_not_in_the_record(record: Diagnosis) -> None:
    assert to_json(replace(record, pictures={"sample-01.png": PNG})) == to_json(record)
