"""Writing a student back: its checkpoint as it was laid out, its head with what can be folded in,
its config with the changes."""

from gapdoctor.loading.writing.checkpoint import WrittenCheckpoint, write_checkpoint
from gapdoctor.loading.writing.config import WrittenConfig, write_config
from gapdoctor.loading.writing.fold import Folded, fold

__all__ = [
    "Folded",
    "WrittenCheckpoint",
    "WrittenConfig",
    "fold",
    "write_checkpoint",
    "write_config",
]
