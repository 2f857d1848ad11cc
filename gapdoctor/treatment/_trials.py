"""Trials of a treatment: run by an engine, read back as arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gapdoctor.domain.trials import Round, Start, TrialSpec
from gapdoctor.engines._base import Conditions, Engine, Watcher
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.heldout import read_outputs
from gapdoctor.treatment._arms import Trained
from gapdoctor.verify import Arm, HeldoutRows

_TOLD = ("fix", "seed")


@dataclass
class Trials:
    """All that were run so far."""

    engine: Engine
    conditions: Conditions
    watcher: Watcher
    rows: HeldoutRows
    """On which all are scored."""
    scaled: bool
    """Whether each has a temperature of its own."""
    trained: Trained = field(default_factory=lambda: Trained((), ()))
    rounds: list[Round] = field(default_factory=list)
    """What was run in which order, and why."""
    _scored: dict[tuple[str, ...], Arm] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where each has a folder of its own."""
        return self.conditions.folder

    @property
    def seconds(self) -> float:
        """What they took, all together."""
        return sum(record.seconds for record in self.trained.records)

    def run(self, specs: Sequence[TrialSpec], reason: str) -> None:
        """Run some, for a reason; one that is done is not run again."""
        new = [spec for spec in specs if spec not in self.trained.specs]
        if new:
            fixes, seeds = (dict.fromkeys(getattr(s, name) for s in new) for name in _TOLD)
            self.rounds.append(Round(tuple(fixes), tuple(seeds), reason))
        if specs:
            records = self.engine.run(specs, self.conditions, self.watcher)
            self.trained = self.trained.and_(specs, records)

    def arms(self) -> dict[tuple[str, Start], Arm]:
        """Return the arm of each fix and start, with the seeds that ended well; no folds."""
        seeds: dict[tuple[str, Start], list[TrialSpec]] = {}
        for spec in (spec for spec in self.trained.done() if spec.fold is None):
            seeds.setdefault((spec.fix, spec.start), []).append(spec)
        return {key: self._arm(*key, specs) for key, specs in seeds.items()}

    def arm(self, fix: str, start: Start) -> Arm | None:
        """Return one of them, where a trial of it ended well."""
        return self.arms().get((fix, start))

    def _arm(self, fix: str, start: Start, specs: Sequence[TrialSpec]) -> Arm:
        """Read and score each set of seeds once."""
        names = tuple(spec.name for spec in specs)
        if names not in self._scored:
            logits = {
                spec.seed: read_outputs(TrialFolder(self.folder / spec.name).outputs).logits
                for spec in specs
            }
            self._scored[names] = Arm.of(
                fix, start, logits, self.rows, with_temperature=self.scaled
            )
        return self._scored[names]
