"""What every test may use. Heavy modules are loaded by the tests that ask for them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def planted() -> ModuleType:
    """Builders of tiny pairs whose answer is known (`tests/planted.py`)."""
    name = "planted"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
