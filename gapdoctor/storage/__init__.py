"""Records to and from disk: `diagnosis.json`, and the folder of a run."""

from gapdoctor.storage.folder import prepare_folder, write_run
from gapdoctor.storage.pictures import with_pictures
from gapdoctor.storage.record import from_json, to_json

__all__ = ["from_json", "prepare_folder", "to_json", "with_pictures", "write_run"]
