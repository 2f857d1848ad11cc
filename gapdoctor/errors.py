"""What can go wrong in an expected way: one line that says what, one that says what to try.

A library raises; only the command line exits (`gapdoctor.cli.app`).
"""

from __future__ import annotations


class GapDoctorError(Exception):
    """An expected failure: bad usage, a config error, an unreadable input. Exit code 2.

    Parameters
    ----------
    message : str
        One line: what is wrong, with the file (and line) and the key.
    hint : str
        One line: what to try.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())


class ConfigError(GapDoctorError):
    """A key of `gapdoctor.toml` (or a flag) is unknown, of the wrong type, or missing."""


class UserCodeError(GapDoctorError):
    """Code that the config names (a factory, a pipeline, a data set) raised or misbehaved."""


class CheckpointError(GapDoctorError):
    """A checkpoint is damaged, hostile, of an unknown layout, or does not fit its model."""


class DataError(GapDoctorError):
    """A data set is empty, unreadable, or does not fit the models."""


class OutputError(GapDoctorError):
    """The output folder cannot be used, or the disk is full."""


class IncompleteRun(GapDoctorError):
    """The run ended before all of it was done; what was finished is kept. Exit code 3."""

    exit_code = 3
