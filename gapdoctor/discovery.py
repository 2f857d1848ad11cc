"""The one class each plugin file defines; loud when a file breaks the contract.

A plugin is one file in its folder. There is no registry and no list of imports: the folder is
the list. A file whose name starts with an underscore is not a plugin.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import traceback
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class PluginError(Exception):
    """A plugin file breaks the contract: a bug in it, told with file and line."""


def find_plugins(package: str, base: type[T]) -> list[T]:
    """Return one instance of the plugin class in each file of `package`, ordered by name.

    Parameters
    ----------
    package : str
        Dotted name of the folder, such as `gapdoctor.probes`.
    base : type
        The abstract class that a plugin file's class derives from. It must have a class
        attribute `name`, equal to the file's name.

    Raises
    ------
    PluginError
        When a file cannot be imported or defines none or several such classes, when the name
        differs from the file's, when the class has no docstring (which is its manual page), or
        when it cannot be made without arguments.
    """
    folder = importlib.import_module(package)
    names = sorted(m.name for m in pkgutil.iter_modules(folder.__path__) if m.name[0] != "_")
    return [_plugin(_imported(package, name), name, base) for name in names]


def plugin_names(package: str) -> list[str]:
    """Return the names of the plugin files in `package`, importing none of them."""
    folder = importlib.import_module(package)
    return sorted(m.name for m in pkgutil.iter_modules(folder.__path__) if m.name[0] != "_")


def _imported(package: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(f"{package}.{name}")
    except Exception as error:
        spec = importlib.util.find_spec(f"{package}.{name}")
        file = name if spec is None or spec.origin is None else spec.origin
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [1])[-1]
        raise PluginError(
            f"{file}:{line}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _plugin(module: ModuleType, name: str, base: type[T]) -> T:
    classes = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if issubclass(c, base) and c is not base and c.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise PluginError(
            f"{module.__file__}:1: defines {len(classes)} classes of kind {base.__name__}; "
            "a plugin file defines exactly one"
        )
    found = classes[0]
    told = _fault(found, name)
    if told is not None:
        raise PluginError(f"{module.__file__}:{inspect.getsourcelines(found)[1]}: {told}")
    try:
        return found()
    except TypeError as error:
        line = inspect.getsourcelines(found)[1]  # reads the file: only where it is to be told
        raise PluginError(f"{module.__file__}:{line}: needs arguments: {error}") from error


def _fault(found: type, name: str) -> str | None:
    """Return what is wrong with a plugin class, or None."""
    if getattr(found, "name", None) != name:
        return f"name is {getattr(found, 'name', None)!r}; it must equal the file's name, {name!r}"
    if not _is_documented(found):
        return "no docstring; it is the manual page"
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        return f"does not define {missing}"
    return None


def _is_documented(found: type) -> bool:
    text = (found.__dict__.get("__doc__") or "").strip()
    return bool(text) and not text.startswith(f"{found.__name__}(")  # what a dataclass writes
