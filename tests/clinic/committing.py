"""The few planted pairs that are committed with their weights, for the test suite to diagnose.

Their data are scikit-learn's digits, so that only weights and what was planted are kept here.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.clinic.cases import Planted, Slot, variants_of
from tests.clinic.entries import Entry
from tests.clinic.models import cell_of, student_key, teacher_key
from tests.clinic.running import Choice
from tests.clinic.store import folder

FOLDER = Path(__file__).with_name("committed")
"""Laid out as the cache is, so that `$GAPDOCTOR_CLINIC_CACHE` may point here."""
CHOSEN: dict[str, str] = {
    "digits/plain_cnn/healthy/usual/full": "healthy",
    "digits/plain_mlp/healthy/usual/ready": "healthy",
    "digits/plain_cnn/normalize/mild/pipelines": "generalization_gap",
    "digits/plain_cnn/rotate/severe/pipelines": "generalization_gap",
    "digits/plain_cnn/flip/severe/ready": "shared_gap",
    "digits/plain_cnn/covariate_shift/mild/pipelines": "generalization_gap",
    "digits/plain_cnn/stale_batchnorm/mild/pipelines": "generalization_gap",
    "digits/plain_cnn/few_rows/mild/full 0": "generalization_gap",
    "digits/plain_mlp/narrow/severe/full 2": "fit_shortfall",
    "digits/plain_cnn/too_few_epochs/severe/full 3": "fit_shortfall",
    "digits/plain_cnn/missing_t2/severe/recipe only 2": "generalization_gap",
    "digits/plain_cnn/few_rows+normalize/double/pipelines": "generalization_gap",
}
"""Pair -> the verdict that it deserves: what an intervention gets back is taken off the gap before
it is called a fit shortfall (`gapdoctor.diagnosis.verdict`), so that stale statistics are none."""


@dataclass(frozen=True)
class Committed:
    """One committed pair."""

    planted: Planted
    verdict: str

    @property
    def networks(self) -> tuple[str, str]:
        """Return the file names of student and teacher."""
        assert self.planted.slot is not None
        spec = self.planted.slot.entry.spec
        keys = student_key(spec), teacher_key(cell_of(spec.cell).source, spec.teacher)
        return f"{keys[0]}.pt", f"{keys[1]}.pt"


def commit() -> None:
    """Copy what was chosen from the cache; what was committed before is removed."""
    built = {one.name: one for one in reversed(Choice("tuning", "digits").pairs())}
    missing = sorted(set(CHOSEN) - set(built))
    if missing:
        raise SystemExit(f"not in the cache: {', '.join(missing)}")
    chosen = [Committed(built[name], verdict) for name, verdict in CHOSEN.items()]
    networks = FOLDER / "networks"
    shutil.rmtree(FOLDER, ignore_errors=True)
    networks.mkdir(parents=True)
    for name in {name for one in chosen for name in one.networks}:
        shutil.copyfile(folder() / "networks" / name, networks / name)
    told = ",\n".join(json.dumps(_told(one)) for one in chosen)
    (FOLDER / "pairs.json").write_text(f"[\n{told}\n]\n")
    size = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    print(f"{len(chosen)} pairs, {size / 1000:.0f} kB in {FOLDER.name}/")


def committed() -> list[Committed]:
    """Return the committed pairs; nothing is trained or read before a case is asked for."""
    return [_read(one) for one in json.loads((FOLDER / "pairs.json").read_text())]


def _told(one: Committed) -> dict[str, object]:
    slot = one.planted.slot
    assert slot is not None
    return {
        "verdict": one.verdict, "variant": one.planted.variant, "number": slot.number,
        "before": slot.before, "entry": slot.entry.to_json(),
    }  # fmt: skip


def _read(found: dict[str, object]) -> Committed:
    entry = Entry.from_json(found["entry"])  # type: ignore[arg-type]
    slot = Slot(entry, int(str(found["number"])), int(str(found["before"])))
    planted = next(p for p in variants_of(slot) if p.variant == found["variant"])
    return Committed(planted, str(found["verdict"]))
