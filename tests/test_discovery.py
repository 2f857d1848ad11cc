"""Plugins are found by scanning; one that breaks the contract is named with file and line."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from gapdoctor.discovery import PluginError, find_plugins, plugin_names


class Base(ABC):
    """What a plugin derives from."""

    name: ClassVar[str]

    @abstractmethod
    def run(self) -> int:
        """Do it."""


HEAD = f"""from dataclasses import dataclass
from {__name__.rpartition(".")[2]}_base import Base
"""
GOOD = '''class {kind}(Base):
    """What it does."""
    name = "{name}"
    def run(self):
        return 1
'''
Folder = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """Write a package of plugin files; returns its name."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    helper = type(sys)(f"{__name__.rpartition('.')[2]}_base")
    helper.Base = Base  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, helper.__name__, helper)

    def write(**sources: str) -> str:
        package = tmp_path / "plugins_here"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, source in sources.items():
            (package / f"{name}.py").write_text(HEAD + source)
        return package.name

    yield write
    for name in set(sys.modules) - known:
        if name.startswith("plugins_here"):
            del sys.modules[name]


def good(name: str, kind: str = "Good") -> str:
    return GOOD.format(kind=kind, name=name)


def test_one_instance_a_file_in_the_order_of_names(folder: Folder) -> None:
    package = folder(b=good("b"), a=good("a"), _helper="x = 1")
    assert [p.name for p in find_plugins(package, Base)] == ["a", "b"]
    assert plugin_names(package) == ["a", "b"]


def test_names_are_had_without_importing(folder: Folder) -> None:
    package = folder(a="raise RuntimeError", b=good("b"))
    assert plugin_names(package) == ["a", "b"]
    assert f"{package}.a" not in sys.modules


def test_what_a_plugin_imports_is_not_its_own(folder: Folder) -> None:
    package = folder(a=good("a"), b="from plugins_here.a import Good\n" + good("b", "Other"))
    assert [type(p).__name__ for p in find_plugins(package, Base)] == ["Good", "Other"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1", r"bad\.py:1: defines 0 classes of kind Base"),
        (good("bad") + good("bad", "Second"), r"bad\.py:1: defines 2 classes"),
        (good("other"), r"bad\.py:3: name is 'other'; it must equal the file's name, 'bad'"),
        ("class A(Base):\n    name = 'bad'\n    def run(self): ...", r"bad\.py:3: no docstring"),
        ("@dataclass\nclass A(Base):\n    name = 'bad'\n    def run(self): ...",
         r"bad\.py:\d: no docstring"),
        ("class A(Base):\n    '''What.'''\n    name = 'bad'", r"bad\.py:3: does not define run"),
        ("@dataclass\n" + good("bad") + "    limit: float",
         r"bad\.py:\d: needs arguments: .*limit"),
        ("\nraise KeyError('x')", r"bad\.py:4: cannot be imported: KeyError: 'x'"),
        ("def f(:", r"bad\.py:3: cannot be imported: SyntaxError"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_the_contract_is_named_with_its_line(
    folder: Folder, source: str, told: str
) -> None:
    package = folder(bad=source, fine=good("fine"))
    with pytest.raises(PluginError, match=told):
        find_plugins(package, Base)
