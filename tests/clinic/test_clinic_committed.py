"""Real trained pairs with a planted fault, committed with their weights, and their diagnosis."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clinic.committing import CHOSEN, FOLDER, Committed, committed
from tests.clinic.outcomes import SOUND
from tests.clinic.parallel import diagnosed

PAIRS = committed()


@pytest.fixture(autouse=True)
def committed_networks(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are read from the committed folder."""
    monkeypatch.setenv("GAPDOCTOR_CLINIC_CACHE", str(FOLDER))


def test_what_was_chosen_is_committed_and_nothing_else() -> None:
    assert [one.planted.name for one in PAIRS] == list(CHOSEN)
    assert [one.verdict for one in PAIRS] == list(CHOSEN.values())
    files = {file.name for file in (FOLDER / "networks").iterdir()}
    assert files == {name for one in PAIRS for name in one.networks}


def test_the_committed_part_is_small() -> None:
    sizes = [file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(sizes) <= 600_000


@pytest.mark.parametrize("one", PAIRS, ids=lambda one: one.planted.name.replace("/", "-"))
def test_a_committed_pair_is_diagnosed(one: Committed) -> None:
    for name in one.networks:  # else it would be trained, and be another network
        assert (FOLDER / "networks" / name).exists(), f"no {name}: python -m tests.clinic commit"
    said = diagnosed(one.planted)
    assert said.error is None
    assert not said.crashed
    assert said.verdict == one.verdict, said.told
    if said.is_healthy:
        assert said.verdict in SOUND
        assert not said.named
        return
    assert said.top1, said.told
    assert said.top2, said.told
    assert all(cause.cause in said.right for cause in said.named), said.told
    assert said.correction_named or not said.corrections, said.told
