"""Every strategy, tried on one planted fault: what each did beside its control."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import gapdoctor
from gapdoctor.corrections._apply import with_corrections
from gapdoctor.fixes._base import Free, all_fixes, patient_of
from gapdoctor.fixes._gains import treated
from gapdoctor.observe.borrow import own_random_state
from tests.clinic.attempts import Attempt
from tests.clinic.entries import Entry
from tests.clinic.every_fix import every_fix
from tests.clinic.fixable import SETTINGS, fixable_of
from tests.clinic.healing_cases import HealingCase, name_of
from tests.clinic.store import key_of
from tests.clinic.versions import clinic_hash

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.observe.case import Case


@dataclass(frozen=True)
class Strategies:
    """What came of one case, as plain data."""

    name: str
    cluster: str
    """Cases of one student are one cluster."""
    key: str
    fixable: bool = False
    """Whether the student without the fault is verified better on half B."""
    damage: float = 0.0
    """L_faulty − L_reference on the third set, nats."""
    why_not: str = ""
    """What keeps the reference from being verified."""
    causes: tuple[str, ...] = ()
    """As diagnosed, most likely first, those of confidence 0.2 or more."""
    epochs: int = 0
    """Of the control, from scratch."""
    attempts: tuple[Attempt, ...] = ()
    treating: bool = False
    """Whether only fixes that treat a found cause were tried."""
    seconds: float = 0.0
    """CPU seconds of all of this."""
    error: str = ""
    code: str = ""

    @property
    def cell(self) -> str:
        """Data set and architecture."""
        return "/".join(self.name.split("/")[:2])


def strategies_key(entry: Entry) -> str:
    """Return what tells a case, as this code of the clinic makes it, from every other."""
    return key_of(entry, data=f"strategies {clinic_hash()}".encode())


def strategies_of(entry: Entry, treating: bool = False) -> Strategies:
    """Try every strategy on one case, from scratch and at full length; what raises is told of.

    Parameters
    ----------
    entry : Entry
        What was planted.
    treating : bool
        Only train fixes that treat a cause that was found.
    """
    cpu, torch_threads = time.process_time(), torch.get_num_threads()
    torch.set_num_threads(1)
    found = Strategies(
        name_of(entry), key_of(entry.spec), strategies_key(entry), treating=treating
    )  # fmt: skip
    try:
        case = HealingCase(entry)
        judged = fixable_of(case)
        found = replace(
            found, fixable=judged.fixable, damage=judged.damage, why_not=judged.why_not
        )  # fmt: skip
        if judged.fixable:
            found = _tried(case.given, found)
    except Exception as error:  # noqa: BLE001 - one case is no reason to lose the others
        found = replace(found, error=f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(torch_threads)
    return replace(found, seconds=round(time.process_time() - cpu, 1))


def _tried(given: Case, so_far: Strategies) -> Strategies:
    diagnosis = gapdoctor.diagnose(given, progress=False)
    so_far = replace(
        so_far, causes=tuple(str(c.id) for c in diagnosis.causes if c.confidence >= 0.2)
    )
    names = _treating(given, diagnosis) if so_far.treating else [f.name for f in all_fixes()]
    with tempfile.TemporaryDirectory(prefix="clinic-") as folder, own_random_state(0):
        every = every_fix(
            given, diagnosis, None, SETTINGS, Path(folder), only=names, mended=True
        )  # fmt: skip
        return replace(so_far, epochs=every.made.patient.epochs, attempts=every.attempts())


def _treating(given: Case, diagnosis: Diagnosis) -> list[str]:
    """Fixes that treat a found cause, and all free ones, which cost nothing."""
    patient = patient_of(with_corrections(given), diagnosis)
    return [
        fix.name
        for fix in all_fixes()
        if treated(fix, patient) or isinstance(fix.propose(patient), Free)
    ]
