"""`diagnose --train-probes`: asked only then, and told so otherwise."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from gapdoctor import Recipe, diagnose
from gapdoctor.cli import diagnose as command
from gapdoctor.domain.recipe import Optimizer

TRAINING = {"continuation", "fit_test"}
RECIPE = Recipe(
    epochs=10, batch_size=32, optimizer=Optimizer.SGD, lr=0.01, task_weight=0.5, temperature=2.0,
    augment=(),
)  # fmt: skip


def test_without_it_the_probes_that_train_are_skipped(planted: ModuleType) -> None:
    found = diagnose(planted.healthy(200, recipe=RECIPE))
    reasons = {s.probe: s.reason for s in found.skipped}
    assert {reasons[name] for name in TRAINING} == {"only with --train-probes"}
    assert "continuations" not in found.tables


def test_with_it_they_are_asked(planted: ModuleType) -> None:
    case = planted.healthy(200, recipe=RECIPE, student_factory=planted.bayes)
    found = diagnose(case, train_probes=True)
    reasons = {s.probe: s.reason for s in found.skipped}
    assert "continuation" not in reasons
    assert "[student] larger" in reasons["fit_test"]
    arms = [row["arm"] for row in found.tables["continuations"].records()]
    assert arms[:2] == ["as given", "control"]


@pytest.mark.parametrize("asked", [False, True])
def test_the_option_is_handed_on(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer
    from typer.testing import CliRunner

    heard: dict[str, Any] = {}

    class Heard(Exception):
        pass

    def listen(session: Any, pair: Any, measure: command.Measure, output: Any) -> Any:
        heard.update(measure.given())
        raise Heard

    monkeypatch.setattr(command, "run_diagnosis", listen)
    app = typer.Typer()
    app.command()(command.diagnose)
    done = CliRunner().invoke(app, ["x.pth", *(["--train-probes"] if asked else [])])
    assert isinstance(done.exception, Heard)
    assert heard.get("train_probes", False) == asked
