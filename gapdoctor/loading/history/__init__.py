"""Learning curves from the files that trainers write; each format is ONE FILE."""

from gapdoctor.loading.history._columns import normalised
from gapdoctor.loading.history._read import read_history, recover_history

__all__ = ["normalised", "read_history", "recover_history"]
