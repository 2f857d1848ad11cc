"""How `diagnose` asks its probes: in order, within a budget, whatever they do."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from gapdoctor import Recipe, diagnose
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Finding, Skipped, Warning_
from gapdoctor.errors import DataError
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.probes.history import History
from gapdoctor.probes.memorisation import Memorisation
from gapdoctor.probes.mirror import Mirror

THREE = (Mirror(), Memorisation(), History())


@dataclass(frozen=True)
class Witness(Probe):
    """Says what it was told to say."""

    name: ClassVar[str] = "witness"
    order: ClassVar[int] = 5
    says: Any = None

    def examine(self, seen: Observations) -> Finding | Skipped:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says or Finding(self.name)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ZeroDivisionError("division by zero\nat row 3"),
            "crashed: ZeroDivisionError: division by zero",
        ),
        (DataError("data.train: is gone"), "crashed: DataError: data.train: is gone"),
        (AssertionError(), "crashed: AssertionError: "),
    ],
)
def test_a_probe_that_crashes_is_told_and_stops_nothing(
    planted: ModuleType, error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="gapdoctor"):
        found = planted.asked(planted.mismatched(), probes=(Witness(says=error), *THREE))
    assert caplog.messages == ["probe witness crashed"]
    assert caplog.records[0].exc_info is not None
    assert Skipped("witness", told) in found.skipped
    assert planted.named(found) == [Cause.PREPROCESSING_MISMATCH]


@pytest.mark.parametrize(("pair", "proven"), [("mismatched", True), ("healthy", False)])
def test_later_probes_stand_on_what_was_proven(
    planted: ModuleType, pair: str, proven: bool
) -> None:
    heard = []

    class After(Witness):
        def examine(self, seen: Observations) -> Finding | Skipped:
            now = seen.current(Model.STUDENT, Split.HELDOUT).loss.mean()
            heard.append(now < seen.outputs(Model.STUDENT, Split.HELDOUT).loss.mean() - 0.1)
            return Finding(self.name)

    planted.asked(getattr(planted, pair)(), probes=(After(), *THREE, After()))
    assert heard == [False, proven]


def test_an_interruption_is_not_a_crash(planted: ModuleType) -> None:
    class Stopped(Witness):
        def examine(self, seen: Observations) -> Finding | Skipped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        planted.asked(planted.healthy(100), probes=(Stopped(),))


def test_a_probe_may_skip_itself_and_warn(planted: ModuleType) -> None:
    warning = Warning_("odd", "Something is odd.")
    probes = (
        Witness(says=Skipped("witness", "nothing to see")),
        Witness(says=Finding("witness", warnings=(warning, warning))),
    )
    found = planted.asked(planted.healthy(200), probes=probes)
    assert found.skipped == (Skipped("witness", "nothing to see"),)
    assert found.warnings == (warning,)


def test_with_the_budget_used_up_probes_are_told_as_not_asked(planted: ModuleType) -> None:
    found = planted.asked(planted.mismatched(), budget=0.0)
    assert {s.reason for s in found.skipped} == {"the budget was used up"}
    assert len(found.skipped) == 3
    assert found.causes == ()
    assert found.gap.excess.value > 0.1


@pytest.mark.parametrize("training", [False, True])
def test_every_row_that_goes_through_a_model_is_counted(
    planted: ModuleType, training: bool
) -> None:
    """Against a count of all that linear layers are fed: each model here is one."""
    case = planted.short_of_fit(
        recipe=Recipe(task_weight=0.3, temperature=4.0, augment=(), epochs=2, batch_size=60),
        student_factory=lambda: nn.Linear(4, 3),
        larger_factory=lambda: nn.Sequential(nn.Linear(4, 3)),
    )
    fed: list[int] = []
    hook = register_module_forward_pre_hook(
        lambda module, args: fed.append(len(args[0])) if isinstance(module, nn.Linear) else None
    )
    try:
        found = diagnose(case, train_probes=training)
    finally:
        hook.remove()
    asked = {s.probe for s in found.skipped if s.reason == "only with --train-probes"}
    assert asked == (set() if training else {"continuation", "fit_test"})
    looking_for_heads = 2 * 20  # two rows a model or a changed copy of it
    assert 0 <= sum(fed) - found.cost.forward_samples <= looking_for_heads
