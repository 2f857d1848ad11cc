"""A whole run of `fix` on files, from the diagnosis to that of what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapdoctor import pipeline, storage
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import CONTROL, Outcome, Plan
from gapdoctor.engines._base import Watcher
from gapdoctor.engines.local import warm_up
from gapdoctor.errors import IncompleteRun
from gapdoctor.fixing import TRIALS, Place, engine_of, forget, run
from gapdoctor.loading.config import Config
from gapdoctor.loading.load import case_of, load_case
from gapdoctor.observe.case import Case
from gapdoctor.observe.progress import Progress
from gapdoctor.storage.fix_folder import FIXED_CONFIG
from gapdoctor.treatment.prepare import Asked


@dataclass(frozen=True)
class FixRun:
    """A run in a folder that is prepared and locked already."""

    config: Config
    folder: Path
    asked: Asked
    measure: Mapping[str, Any] = field(default_factory=dict)
    """How is diagnosed: arguments of `diagnose`."""
    inputs: Sequence[Path] = ()
    """Files of the user's, which must not lie in the folder."""
    unsafe_load: bool = False
    anew: bool = False
    """Diagnose even where a stored diagnosis still holds."""
    progress: Progress = field(default_factory=Progress)

    def load(self) -> Case:
        """Load the pair."""
        return case_of(self.config, unsafe_load=self.unsafe_load)

    def diagnosis(self, case: Case) -> tuple[Diagnosis, bool]:
        """Return the diagnosis, and whether it is the stored one, which still holds."""
        inputs = pipeline.fingerprint(case, self.config)
        stored = None if self.anew else storage.stored_diagnosis(self.folder, inputs)
        if stored is not None:
            return stored, True
        found = pipeline.diagnose(case, progress=self.progress, **self.measure)
        self.progress.stage("writing", 0)
        pipeline.write_diagnosis(found, self.folder, inputs=self.inputs, mark=inputs)
        return found, False

    def plan(self, case: Case, diagnosis: Diagnosis) -> Plan:
        """Return the plan, written into the folder."""
        asked = self.asked
        self.progress.stage("planning", 0)
        made = pipeline.plan(
            case, diagnosis, budget=asked.budget, only=asked.only, skip=asked.skip,
            seeds=asked.seeds, start=asked.start, seed=asked.seed, device=asked.device,
            batch_size=asked.batch_size, folder=self.folder,
        )  # fmt: skip
        storage.write_plan(self.folder, made)
        return made

    def apply(
        self,
        case: Case,
        diagnosis: Diagnosis,
        *,
        engine: str,
        fresh: bool,
        watcher: Watcher,
        command: str,
    ) -> Outcome:
        """Train, verify, choose, write."""
        if fresh:
            forget(self.folder)
        self.progress.stage("free corrections", 0)
        place = Place(self.folder / TRIALS, self.folder)
        return run(case, diagnosis, self.asked, engine_of(engine, case), place, watcher, command)

    def after(self, outcome: Outcome) -> Diagnosis | None:
        """Diagnose what was written; None where nothing was."""
        if outcome.written.config is None:
            return None
        fixed = load_case(self.folder / FIXED_CONFIG, unsafe_load=self.unsafe_load)
        command = f"gapdoctor diagnose -c {self.folder / FIXED_CONFIG}"
        kept = {k: v for k, v in self.measure.items() if k != "command"}
        return pipeline.diagnose(fixed, progress=self.progress, command=command, **kept)


def check_whole(outcome: Outcome) -> None:
    """Raise IncompleteRun where trainings were planned and none can be compared."""
    tried = [t for t in outcome.trials if t.fix == CONTROL]
    if tried and all(t.status != "done" for t in tried):
        raise IncompleteRun(
            f"no control was trained to its end: {tried[0].note or tried[0].status}",
            "run the same command again to go on; another --budget makes a new plan",
        )


__all__ = ["FixRun", "check_whole", "warm_up"]
