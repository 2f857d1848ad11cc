"""Leakage: held-out rows that are copies of train rows, and data that merely repeat themselves."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from gapdoctor.domain.findings import Finding, Intervention, Skipped
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.leakage import Leakage

PROBE = Leakage()
SILENT = Finding("leakage")
Look = Callable[..., Observations]
Rows = tuple[torch.Tensor, torch.Tensor]


def leaked(planted: ModuleType, count: int, n: int = 600, noise: float = 0.0) -> dict[str, Rows]:
    """Two splits; the first `count` held-out rows are train rows."""
    train, (x, y) = planted.rows(1, n), planted.rows(2, n)
    inputs = torch.cat([train[0][:count] + noise, x[count:]])
    return {"train": train, "heldout": (inputs, torch.cat([train[1][:count], y[count:]]))}


def warned(seen: Observations) -> str:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    assert found.claims == ()  # it is no cause
    (warning,) = found.warnings
    assert (warning.id, warning.voids) == ("leakage", False)
    return warning.statement


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_copies_are_counted(planted: ModuleType, looked: Look, noise: float) -> None:
    told = warned(looked(planted.healthy(**leaked(planted, 120, noise=noise))))
    assert told.startswith("20.0% of the held-out rows (")
    assert "nearly equal a train row, against 0.0% of train rows another one" in told
    assert told.endswith("the gap is flattered.")


def test_rows_of_their_own_get_no_word(planted: ModuleType, looked: Look) -> None:
    assert PROBE.examine(looked(planted.healthy())) == SILENT


def test_a_few_copies_are_no_matter(planted: ModuleType, looked: Look) -> None:
    assert PROBE.examine(looked(planted.healthy(**leaked(planted, 6)))) == SILENT


def test_the_same_split_twice_is_told(planted: ModuleType, looked: Look) -> None:
    told = warned(looked(planted.healthy(**leaked(planted, 600))))
    assert told.startswith("100.0% of the held-out rows")


def test_data_that_repeat_themselves_have_duplicates_anyway(
    planted: ModuleType, looked: Look
) -> None:
    """Whole numbers: most held-out rows stand in train, as most train rows do a second time."""
    splits = {key: (x.round(), y) for key, (x, y) in leaked(planted, 0).items()}
    shared = {tuple(row) for row in splits["train"][0].tolist()}
    assert sum(tuple(row) in shared for row in splits["heldout"][0].tolist()) > 300
    assert PROBE.examine(looked(planted.healthy(**splits))) == SILENT


def test_units_of_the_columns_do_not_matter(planted: ModuleType, looked: Look) -> None:
    """A copy is one in every column; a row that is another in a small one is none."""
    splits = leaked(planted, 120)
    unit = torch.tensor([1e4, 1.0, 1.0, 1.0])
    scaled = {key: (x * unit, y) for key, (x, y) in splits.items()}
    told = warned(looked(planted.healthy(**scaled)))
    assert told == warned(looked(planted.healthy(**splits)))
    moved = scaled["heldout"][0] + torch.tensor([0.0, 1.0, 0.0, 0.0])
    apart = scaled | {"heldout": (moved, scaled["heldout"][1])}
    assert PROBE.examine(looked(planted.healthy(**apart))) == SILENT


def test_where_a_part_of_the_train_rows_is_looked_at_it_is_said(
    planted: ModuleType, looked: Look
) -> None:
    """Every held-out row stands in train; of 2,000 train rows, 500 are looked at."""
    x, y = planted.rows(1, 2_000)
    case = planted.healthy(train=(x, y), heldout=(x[:500], y[:500]))
    told = warned(looked(case, max_samples=500))
    assert "nearly equal a train row among the 500 of 2000 looked at" in told
    assert 0.2 < float(told.split("%")[0]) / 100 < 0.3


def test_the_limit_falls_with_the_part_that_is_looked_at(planted: ModuleType, looked: Look) -> None:
    """Of 48 copies among 500 rows, a quarter can be found: too few for the whole limit."""
    (x, y), (x_held, y_held) = planted.rows(1, 2_000), planted.rows(2, 500)
    heldout = (torch.cat([x[:48], x_held[48:]]), torch.cat([y[:48], y_held[48:]]))
    told = warned(looked(planted.healthy(train=(x, y), heldout=heldout), max_samples=500))
    low = float(told.split("(")[1].split("%")[0]) / 100
    assert low < PROBE.share_limit


def test_copies_are_found_behind_a_transform_that_was_undone(
    planted: ModuleType, looked: Look
) -> None:
    splits = leaked(planted, 120)
    x, y = splits["heldout"]
    seen = looked(planted.healthy(train=splits["train"], heldout=(3 * x + 1, y)))
    assert PROBE.examine(seen) == SILENT
    seen.offer("undo", transform=lambda batch: (batch - 1) / 3)
    seen.believe(Intervention("correction", "undo", touches_teacher=True))
    assert warned(seen).startswith("20.0%")


def test_copies_are_found_behind_another_pipeline(planted: ModuleType, looked: Look) -> None:
    raw = {key: planted.raw(rows) for key, rows in leaked(planted, 120).items()}
    assert warned(looked(planted.mismatched(**raw))).startswith("20.0%")


def test_a_constant_column_does_not_matter(planted: ModuleType, looked: Look) -> None:
    def flat(rows: Rows) -> Rows:
        return rows[0] * torch.tensor([1.0, 1.0, 1.0, 0.0]) + 7.3, rows[1]

    splits: Any = {key: flat(rows) for key, rows in leaked(planted, 120).items()}
    assert warned(looked(planted.healthy(**splits))).startswith("20.")


def test_one_and_the_same_row_over_and_over_crashes_nothing(
    planted: ModuleType, looked: Look
) -> None:
    same = {key: (torch.ones_like(x), y) for key, (x, y) in leaked(planted, 0).items()}
    assert PROBE.examine(looked(planted.healthy(**same))) == SILENT


def test_too_few_rows_are_skipped(planted: ModuleType, looked: Look) -> None:
    found = PROBE.examine(looked(planted.healthy(**leaked(planted, 99, n=99))))
    assert isinstance(found, Skipped)
    assert found.reason.startswith("99 rows of a split")
    assert warned(looked(planted.healthy(**leaked(planted, 100, n=100))))
