"""A plan, and what it is made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import Plan, Start
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Patient, patient_of
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._planning import make_plan
from gapdoctor.loading.config import Config, resolve_config
from gapdoctor.loading.fingerprint import fingerprint
from gapdoctor.observe.case import Case
from gapdoctor.observe.device import choose_device
from gapdoctor.observe.observations import Settings
from gapdoctor.storage import from_json, read_plan, to_json
from gapdoctor.treatment._pace import measure_pace

_VOLATILE = {"created", "cost", "environment", "command", "schema", "version"}
"""Of a diagnosis: what a plan does not hang on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a plan and its trials."""

    budget: float | None = None
    """Seconds."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    seeds: int = 3
    start: Start | None = None
    seed: int = 0
    device: str = "auto"
    batch_size: int = 256
    max_samples: int = 10_000

    @property
    def settings(self) -> Settings:
        """How models run."""
        return Settings(self.seed, self.max_samples, self.batch_size, self.device)


@dataclass(frozen=True)
class Made:
    """A plan, and all that it was made from."""

    case: Case
    patient: Patient
    asked: Asked
    options: PlanOptions
    plan: Plan
    config: Config | None
    limit: float
    """h, nats."""


def prepare(case: Case, diagnosis: Diagnosis, asked: Asked, folder: Path | None) -> Made:
    """Return the plan; the one that the folder holds, where it is of the same inputs."""
    config = config_of(case)
    diagnosis = from_json(to_json(diagnosis))  # as a stored one reads: a resumed plan is the same
    patient = patient_of(case, diagnosis)
    options = PlanOptions(
        _hash(case, config, diagnosis, asked), asked.seed, asked.budget, asked.only, asked.skip,
        asked.seeds, asked.start,
    )  # fmt: skip
    stored = None if folder is None else _stored(folder, options.hash)
    if stored is not None:
        pace = Pace(*stored.pace)
    elif trials := make_plan(patient, options).trials:
        pace = measure_pace(
            case,
            patient.recipe,
            asked.settings,
            patient.steps,
            larger=any(t.larger for t in trials),
        )
    else:
        pace = Pace()
    options = replace(options, pace=pace)
    limit = diagnosis.gap.limit
    return Made(case, patient, asked, options, make_plan(patient, options), config, limit)


def config_of(case: Case) -> Config | None:
    """Return the config that a case was loaded from; None for live objects."""
    source = case.source
    if source is None or not case.is_as_loaded:
        return None
    with contextlib.chdir(source.folder):
        return resolve_config(source.config, source.checkpoint, source.settings)


def _hash(case: Case, config: Config | None, diagnosis: Diagnosis, asked: Asked) -> str:
    said = json.loads(to_json(diagnosis))
    told = {
        "inputs": fingerprint(case, config),
        "diagnosis": {key: value for key, value in said.items() if key not in _VOLATILE},
        "asked": {**asdict(asked), "device": str(choose_device(asked.device, case.student))},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _stored(folder: Path, hash: str) -> Plan | None:
    """The plan of an earlier run, where it is of the same inputs; a damaged one is made anew."""
    try:
        found = read_plan(folder)
    except GapDoctorError:
        return None
    return found if found is not None and found.hash == hash else None
