"""From a name to the live thing, by the rules of how things are handed over.

A string names the thing itself; a table calls once and uses what it returns. For models and data
a string that names a class or a function is called too.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gapdoctor.errors import ConfigError, UserCodeError
from gapdoctor.loading.calls import attribute, call, fit_for_training
from gapdoctor.loading.imports import import_file, import_package, importable
from gapdoctor.loading.libraries import library_thing
from gapdoctor.loading.user_code import user_errors
from gapdoctor.loading.where import LIBRARIES, Reference
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Pipeline

SEED = 0
"""Of the user's functions while they load: an unseeded split is then the same each time."""


def thing(ref: Reference) -> Any:
    """Return what a name means: the thing itself, or what the table's call returns.

    Raises
    ------
    ConfigError
        When nothing is named so, or the arguments do not fit.
    UserCodeError
        When the user's code raises.
    """
    found = _look_up(ref)
    return found if ref.args is None else _called(ref, found, ref.args)


def data(ref: Reference) -> Any:
    """Return the data that a `where:what` names; a class, a function or a callable is called."""
    found = _look_up(ref)
    is_recipe = inspect.isclass(found) or inspect.isroutine(found)
    is_data = hasattr(found, "__getitem__") or hasattr(found, "__iter__")
    if ref.args is None and not is_recipe and (is_data or not callable(found)):
        return found
    with own_random_state(SEED):
        return _called(ref, found, ref.args or {})


def pipeline(ref: Reference) -> Pipeline:
    """Return the pipeline that a name means.

    Raises
    ------
    ConfigError
        When a string names a class, which makes pipelines and is none.
    UserCodeError
        When what is named cannot be called.
    """
    with own_random_state(SEED):
        found = thing(ref)
    if inspect.isclass(found):
        raise ConfigError(
            f"{ref.place}: {ref.name} is a class, not a pipeline",
            f'write {{ call = "{ref.name}" }} to build one',
        )
    if not callable(found):
        raise UserCodeError(
            f"{ref.place}: {ref.name} gave {type(found).__name__}, which cannot be called",
            "a pipeline is a callable on one raw sample",
        )
    return Pipeline(found, ref.batched, ref.name)


def model(ref: Reference, args: Mapping[str, Any], *, seed: int = SEED) -> nn.Module:
    """Return the model that a name means, with the weights that it is built with.

    Parameters
    ----------
    ref : Reference
        Of a class, a factory or an nn.Module (which is copied, so that its owner keeps it).
    args : mapping
        For the call.
    seed : int
        Of the random weights.
    """
    with own_random_state(seed):
        build = factory(ref, args)
        return copy.deepcopy(_look_up(ref)) if build is None else build()


def factory(ref: Reference, args: Mapping[str, Any]) -> Callable[[], nn.Module] | None:
    """Return what builds the model anew, or None where the name means a finished nn.Module."""
    found = _look_up(ref)
    if isinstance(found, nn.Module):
        if args or ref.args is not None:
            raise ConfigError(
                f"{ref.place}: {ref.name} is a finished model and takes no arguments",
                "name the class or the function that builds it",
            )
        return None
    return functools.partial(_build, ref, found, dict(args))


def defaults(ref: Reference) -> dict[str, Any]:
    """Return what the arguments of a class or a function are when they are left out."""
    found = _look_up(ref)
    if isinstance(found, nn.Module):
        return {}
    try:
        given = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # some of C tell none
        return {}
    return {p.name: p.default for p in given if p.default is not p.empty}


def trainer(ref: Reference) -> Callable[..., nn.Module]:
    """Return the user's own training; its failures name the config's key beside their line.

    Raises
    ------
    ConfigError
        When what is named does not take a student, a teacher, train data and a recipe.
    """
    found = thing(ref)
    fit_for_training(found, ref.name, ref.place)

    def train(student: Any, teacher: Any, train_data: Any, recipe: Any) -> nn.Module:
        with importable(_folder(ref)), user_errors(f"{ref.key}: training by {ref.name}", ref.place):
            trained: nn.Module = found(student, teacher, train_data, recipe)
            return trained

    return train


def _build(ref: Reference, builder: Any, args: Mapping[str, Any]) -> nn.Module:
    built = _called(ref, builder, args)
    if not isinstance(built, nn.Module):
        raise UserCodeError(
            f"{ref.place}: {ref.name} gave {type(built).__name__}, not an nn.Module",
            "name a class, a factory or an nn.Module",
        )
    return built


def _look_up(ref: Reference) -> Any:
    if ref.where in LIBRARIES:
        return library_thing(ref)
    folders = tuple(dict.fromkeys((ref.base.absolute(), Path.cwd())))
    with own_random_state(SEED):
        if ref.is_code_file:
            module = import_file(ref.path, folders)
        else:
            module = import_package(ref.where, folders, ref.place)
    return attribute(module, ref.what, ref.where, ref.place)


def _called(ref: Reference, function: Any, args: Mapping[str, Any]) -> Any:
    if not callable(function):
        raise ConfigError(
            f"{ref.place}: {ref.name} is {type(function).__name__}, which cannot be called",
            "name a class or a function",
        )
    return call(function, args, ref.name, ref.place, ref.arg_places, _folder(ref))


def _folder(ref: Reference) -> Path:
    return ref.path.parent.resolve() if ref.is_code_file else ref.base.absolute()
