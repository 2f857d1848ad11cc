"""A diagnosis shows itself in a notebook, and is a diagnosis in all else."""

from __future__ import annotations

import copy
import pickle
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import gapdoctor
from gapdoctor import report
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.notebook import Shown
from gapdoctor.storage import from_json, to_json

EXPECTED = Path(__file__).parent / "report" / "expected"


def stored(name: str = "base") -> Diagnosis:
    return from_json((EXPECTED / f"{name}.json").read_text(encoding="utf-8"))


def shown(diagnosis: Diagnosis) -> Shown:
    return Shown(**{f.name: getattr(diagnosis, f.name) for f in fields(diagnosis)})


class Frames(HTMLParser):
    """All tags of a text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", ["base", "hostile"])
def test_it_is_the_report_in_a_frame(name: str) -> None:
    diagnosis = stored(name)
    tags = Frames(shown(diagnosis)._repr_html_()).tags

    assert [tag for tag, _ in tags] == ["iframe"]
    attributes = tags[0][1]
    assert attributes["title"] == "gapdoctor report"
    assert attributes["sandbox"] == ""
    base = '\n<base href="about:srcdoc">'
    page = attributes["srcdoc"]
    assert page is not None
    assert page.count(base) == 1
    assert page.replace(base, "") == report.render(diagnosis, "html")


def test_what_diagnose_returns_shows_itself(planted: ModuleType) -> None:
    found = gapdoctor.diagnose(planted.healthy(120), probes=(), device="cpu")

    assert isinstance(found, gapdoctor.Diagnosis)
    assert found._repr_html_().startswith("<iframe ")


def test_it_equals_a_diagnosis_of_the_same_fields() -> None:
    plain = stored()
    other = replace(plain, seed=plain.seed + 1)

    assert shown(plain) == plain
    assert plain == shown(plain)
    assert shown(plain) == shown(plain)
    assert shown(plain) != other
    assert other != shown(plain)
    assert shown(plain) != shown(other)
    assert shown(plain) != "a diagnosis"


def test_it_is_replaced_copied_and_pickled_as_what_it_is() -> None:
    diagnosis = shown(stored())
    changed = replace(diagnosis, seed=7)

    assert type(changed) is Shown
    assert changed.seed == 7
    assert replace(changed, seed=diagnosis.seed) == diagnosis
    for twin in (
        copy.copy(diagnosis),
        copy.deepcopy(diagnosis),
        pickle.loads(pickle.dumps(diagnosis)),
    ):
        assert type(twin) is Shown
        assert twin == diagnosis


def test_it_is_frozen_and_written_as_any_other() -> None:
    diagnosis = shown(stored())

    with pytest.raises(AttributeError):
        diagnosis.seed = 3  # type: ignore[misc]
    assert to_json(diagnosis) == to_json(stored())
    assert diagnosis.to_frame().equals(stored().to_frame())


def test_pictures_are_not_spelled_out() -> None:
    assert "PNG" not in repr(replace(shown(stored()), pictures={"sample-01.png": b"\x89PNG"}))
