"""Looking into and calling what the user wrote, arguments checked against the signature first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError
from gapdoctor.loading.imports import importable
from gapdoctor.loading.user_code import user_errors
from gapdoctor.loading.where import did_you_mean, nearest


def attribute(module: Any, what: str, where: str, place: str) -> Any:
    """Return the thing that a dotted name means inside a module.

    Raises
    ------
    ConfigError
        With the nearest name as the hint.
    """
    thing = module
    for part in what.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            known = _names_in(thing, getattr(module, "__name__", ""))
            raise ConfigError(
                f"{place}: {where} has no {part!r}",
                did_you_mean(part, known, f"it has {', '.join(known[:12]) or 'nothing public'}"),
            ) from None
    return thing


def _names_in(thing: Any, module: str) -> list[str]:
    """Public names, those defined in the module itself alone where there are some."""
    members = inspect.getmembers_static(thing)
    public = [(n, v) for n, v in members if n[0] != "_" and not inspect.ismodule(v)]
    own = [n for n, v in public if getattr(v, "__module__", None) == module]
    return own or [n for n, _ in public]


def call(
    function: Callable[..., Any],
    args: Mapping[str, Any],
    name: str,
    place: str,
    arg_places: Mapping[str, str],
    folder: Path,
) -> Any:
    """Call what the user named, its arguments checked against its signature first.

    Parameters
    ----------
    function, args
        The call.
    name : str
        `where:what`, for messages.
    place, arg_places
        Where the call and each argument stand in the config, for messages.
    folder : Path
        Importable while it runs.

    Raises
    ------
    ConfigError
        When the arguments do not fit; shows the signature.
    UserCodeError
        When it raises.
    """
    _check_args(function, args, name, place, arg_places)
    with importable(folder), user_errors(f"calling {name}", place):
        return function(**args)


def fit_for_training(function: Any, name: str, place: str) -> None:
    """Raise ConfigError where what the user named cannot be called as a trainer is."""
    wanted = "(student, teacher, train_data, recipe)"
    if not callable(function) or inspect.isclass(function):
        kind = "a class" if inspect.isclass(function) else type(function).__name__
        raise ConfigError(f"{place}: {name} is {kind}, not a trainer", f"name a function {wanted}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some of C tell none; the call itself will
    try:
        signature.bind(*range(4))
    except TypeError as error:
        shown_as = name.rpartition(":")[2]
        raise ConfigError(
            f"{place}: {name} {error}; its signature is {shown_as}{signature}",
            f"a trainer is called with {wanted}, in this order",
        ) from None


def _check_args(
    function: Callable[..., Any],
    args: Mapping[str, Any],
    name: str,
    place: str,
    arg_places: Mapping[str, str],
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some of C tell none; the call itself will
    try:
        signature.bind(**args)
    except TypeError as error:
        unknown = next((a for a in args if a not in signature.parameters), "")
        found = nearest(unknown, signature.parameters) if unknown else None
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        shown_as = inspect.Signature(plain)
        raise ConfigError(
            f"{arg_places.get(unknown, place)}: {name} {error}; its signature is "
            f"{name.rpartition(':')[2]}{shown_as}",
            f"did you mean {found}?" if found else "give the arguments that it takes",
        ) from None
