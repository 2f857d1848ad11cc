"""Which code made a pair, and which code diagnosed it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import gapdoctor

_HERE = Path(__file__).parent
_DIAGNOSES = (
    "corrections/*.py", "diagnosis/*.py", "domain/[!t]*.py", "observe/*.py", "probes/*.py",
    "stats/*.py", "pipeline.py", "recording.py", "discovery.py",
)  # fmt: skip
"""`domain/trials.py` records what a fix does."""
_FIXES = ("engines/*.py", "fixes/*.py", "training/*.py", "treatment/*.py", "verify/*.py")
_MAKES_PAIRS = (
    "cases.py", "data.py", "handing.py", "inference_faults.py", "mishaps.py", "models.py",
    "networks.py", "pipelines.py", "reporting_networks.py", "scene.py", "training.py",
    "training_faults.py", "tuning_networks.py", "sources/*.py",
)  # fmt: skip


def code_hash() -> str:
    """Return a hash of the code that a diagnosis runs, so that a result can be told from a later.

    Live pairs are diagnosed: what reads files, trains, writes and prints has no part in it.
    """
    root = Path(gapdoctor.__file__).parent
    return _hash_of(root, (file for name in _DIAGNOSES for file in root.glob(name)))


def healing_hash() -> str:
    """Return the hash of what diagnoses, and that of what plans, trains and verifies fixes.

    `fixes/_clinic.json` has no part in it: it is made from results that bear this hash.
    """
    root = Path(gapdoctor.__file__).parent
    return f"{code_hash()}/{_hash_of(root, (file for n in _FIXES for file in root.glob(n)))}"


@cache
def clinic_hash() -> str:
    """Return a hash of the clinic's code that decides what a pair is, what is scored left out."""
    return _hash_of(_HERE, (file for name in _MAKES_PAIRS for file in _HERE.glob(name)))


def _hash_of(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
