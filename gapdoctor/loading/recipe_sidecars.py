"""Files beside a checkpoint that name its arguments: JSON, or YAML as far as it is flat."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gapdoctor.loading.recipe_fields import Found
from gapdoctor.loading.recipe_names import read_names

_NAMES = (
    "args.json", "hparams.json", "config.json", "params.json", "training_args.json",
    "args.yaml", "hparams.yaml", "config.yaml", "args.yml", "config.yml",
)  # fmt: skip
_LIMIT = 1 << 20
_FLAT = re.compile(r"([A-Za-z_][\w-]*):[ \t]+(\S.*)")


def read_sidecars(checkpoint: Path) -> Found:
    """Return what the first readable file of arguments beside `checkpoint` says of the recipe."""
    for name in _NAMES:
        path = checkpoint.parent / name
        given = _arguments(path)
        if not given:
            continue
        found = read_names(given)
        if found.values:
            found.note("", f"Read from {name}: {', '.join(sorted(found.values))}.")
            return found
    return Found()


def _arguments(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _LIMIT:
            return {}
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return _flat_yaml(text)
        loaded = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    # a Hugging Face config.json describes a model; its `temperature` is that of text generation
    is_model = isinstance(loaded, dict) and ("architectures" in loaded or "model_type" in loaded)
    return loaded if isinstance(loaded, dict) and not is_model else {}


def _flat_yaml(text: str) -> dict[str, Any]:
    """Only lines `key: value` at the top: what scripts dump of their arguments."""
    lines = (_FLAT.fullmatch(line.rstrip()) for line in text.splitlines())
    return {m[1]: _scalar(m[2].strip()) for m in lines if m}


def _scalar(text: str) -> Any:
    if text in ("null", "~", "None"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip("'\"")
