"""Things out of torchvision, timm and Hugging Face. Nothing is ever downloaded."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError
from gapdoctor.loading.calls import attribute
from gapdoctor.loading.where import FileName, Reference, require_file

_TORCHVISION = {
    "model": "torchvision.models",
    "data": "torchvision.datasets",
    "other": "torchvision.transforms.v2",
}
_DOWNLOADS = ("weights", "weights_backbone", "pretrained")


def library_thing(ref: Reference) -> Any:
    """Return the thing that `torchvision:…`, `timm:…` or `hf:…` names.

    Raises
    ------
    ConfigError
        When the library is not installed (with the command that installs it), has no such thing,
        or would have to download something.
    """
    section = ref.key.partition(".")[0]
    use = "model" if ref.key.endswith(".model") else "data" if section == "data" else "other"
    if ref.where == "torchvision":
        return _torchvision(ref, use)
    if use == "model":
        return _timm_model(ref) if ref.where == "timm" else _hf_model(ref)
    if ref.where == "hf" and use == "data":
        return functools.partial(saved_dataset, ref.base / ref.what, ref.place)
    raise ConfigError(f"{ref.place}: {ref.where} names models only", "name it in a file of yours")


def extra(module: str, name: str, place: str) -> Any:
    """Import a library that gapdoctor does not bring along.

    Raises
    ------
    ConfigError
        With the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{place}: {module} is not installed", f"pip install 'gapdoctor[{name}]'"
        ) from error


def saved_dataset(path: Path, place: str) -> Any:
    """Return a data set saved by Hugging Face's `save_to_disk`."""
    return extra("datasets", "hf", place).load_from_disk(str(path))


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder bears the marks of `save_to_disk`."""
    return any((path / mark).is_file() for mark in ("state.json", "dataset_dict.json"))


def _torchvision(ref: Reference, use: str) -> Any:
    found = attribute(importlib.import_module(_TORCHVISION[use]), ref.what, ref.where, ref.place)
    if use == "model":
        return _without_download(ref, found)
    if use != "data" or not callable(found):
        return found
    return _on_disk(ref, found)


def _on_disk(ref: Reference, dataset: Callable[..., Any]) -> Callable[..., Any]:
    """A torchvision data set that reads what is there, its folder relative to the config."""

    @functools.wraps(dataset, updated=())
    def build(**args: Any) -> Any:
        if "download" in inspect.signature(dataset).parameters:
            args["download"] = False
        if isinstance(args.get("root"), str):
            args["root"] = os.fspath(ref.base / Path(args["root"]).expanduser())
        return dataset(**args)

    return build


def _without_download(ref: Reference, builder: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(builder, updated=())
    def build(**args: Any) -> Any:
        asked = [name for name in _DOWNLOADS if args.get(name)]
        if asked:
            raise ConfigError(
                f"{ref.place}: {ref.name} would download {asked[0]} = {args[asked[0]]!r}",
                "save the weights to a file and name it as the checkpoint",
            )
        return builder(**args)

    return build


def _timm_model(ref: Reference) -> Callable[..., Any]:
    timm = extra("timm", "timm", ref.place)
    return _without_download(ref, functools.partial(timm.create_model, ref.what))


def _hf_model(ref: Reference) -> Callable[..., Any]:
    transformers = extra("transformers", "hf", ref.place)
    folder = ref.base / ref.what
    require_file(FileName(folder / "config.json", f"{ref.what}/config.json", ref.place))

    def build(**args: Any) -> Any:
        config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, **args)
        return getattr(transformers, config.architectures[0])(config)

    return build
