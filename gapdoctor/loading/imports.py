"""Importing what the user wrote: names that do not collide, no trace left behind."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from gapdoctor.errors import ConfigError, UserCodeError
from gapdoctor.loading.user_code import is_installed, user_errors
from gapdoctor.loading.where import shown

_PREFIX = "_gapdoctor_user_"
"""Of the module names that the user's files get, so that no two collide."""


def import_file(path: Path, folders: Sequence[Path]) -> ModuleType:
    """Return the module that a Python file makes; the same object for the same content.

    Parameters
    ----------
    path : Path
        The file. Its folder is importable while it runs.
    folders : sequence of Path
        Importable behind it.

    Raises
    ------
    UserCodeError
        When the file raises; names its line.
    """
    path = path.resolve()
    with user_errors(f"importing {shown(path)}"):
        content = path.read_bytes()
    digest = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:12]
    name = f"{_PREFIX}{digest}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{shown(path)}: cannot be imported", "name a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with importable(path.parent, *folders), user_errors(f"importing {shown(path)}"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def import_package(name: str, folders: Sequence[Path], place: str) -> ModuleType:
    """Return the module `name`, looked for in `folders` and among what is installed.

    Raises
    ------
    ConfigError
        When there is none; `place` says who asked for it.
    UserCodeError
        When it raises, a module that it misses itself included.
    """
    try:
        with importable(*folders), user_errors(f"importing {name}"):
            return importlib.import_module(name)
    except UserCodeError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            looked = " and ".join(dict.fromkeys(shown(f.absolute()) for f in folders))
            raise ConfigError(
                f"{place}: no module {cause.name!r}",
                f"looked in {looked} and among the installed; a file is named file.py:name",
            ) from error
        raise


@contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Put `folders` first on `sys.path`; modules of the same names from elsewhere step aside.

    Two pairs in different folders may each have a `models.py`. No `.pyc` is written: inputs are
    never written to.
    """
    loaded = sys.modules.copy()  # in one go: another thread may be importing
    hidden = {
        name: module for name, module in loaded.items() if _is_shadowed(name, module, folders)
    }
    path, quiet = list(sys.path), sys.dont_write_bytecode
    for name in hidden:
        del sys.modules[name]
    sys.path[:0] = [str(folder) for folder in folders]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, quiet
        sys.modules.update(hidden)


def _is_shadowed(name: str, module: ModuleType, folders: Sequence[Path]) -> bool:
    """Whether a module of the user's comes from elsewhere than `folders` would give it."""
    said = getattr(module, "__dict__", {})  # getattr would wake lazy modules
    file = said.get("__file__") or next(iter(said.get("__path__", ())), None)
    if not file or name.startswith((_PREFIX, "__main__")) or is_installed(file):
        return False
    top = name.partition(".")[0]
    for folder in folders:
        if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
            return (
                not Path(file).is_relative_to(folder / top) and Path(file) != folder / f"{top}.py"
            )
    return False
