"""Records to and from disk: `diagnosis.json`, `plan.json`, `fix.json`, and the folder of a run."""

from gapdoctor.storage.fix_folder import read_outcome, read_plan, write_outcome, write_plan
from gapdoctor.storage.folder import prepare_folder, write_run
from gapdoctor.storage.inputs import mark_fix, mark_inputs, stored_diagnosis, stored_fix
from gapdoctor.storage.pictures import with_pictures
from gapdoctor.storage.record import from_json, to_json
from gapdoctor.storage.trials import (
    outcome_from_json,
    outcome_to_json,
    plan_from_json,
    plan_to_json,
)

__all__ = [
    "from_json",
    "mark_fix",
    "mark_inputs",
    "outcome_from_json",
    "outcome_to_json",
    "plan_from_json",
    "plan_to_json",
    "prepare_folder",
    "read_outcome",
    "read_plan",
    "stored_diagnosis",
    "stored_fix",
    "to_json",
    "with_pictures",
    "write_outcome",
    "write_plan",
    "write_run",
]
