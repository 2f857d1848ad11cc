"""Makes `tests.clinic` importable, which is run from the root of the repository otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_ROOT = str(Path(__file__).resolve().parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what a test trains apart from the real cache."""
    monkeypatch.setenv("GAPDOCTOR_CLINIC_CACHE", str(tmp_path))
    return tmp_path
