"""What the stored states of optimizer and schedule say of the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.loading.recipe_fields import Found

_LEVELS = 3


def read_states(meta: Mapping[str, Any]) -> Found:
    """Return what optimizer and scheduler states inside a checkpoint say of the recipe.

    The optimizer's class is not stored, but the keys of its groups identify it. Its `lr` is the
    last one, so only `initial_lr`, which schedulers leave behind, is taken.

    Parameters
    ----------
    meta : mapping
        The checkpoint's plain data.
    """
    found = Found()
    schedules = Found()
    for state in _dicts(meta, 0):
        groups = state.get("param_groups")
        if isinstance(groups, list) and groups and all(isinstance(g, Mapping) for g in groups):
            _read_groups(groups, found)
        else:
            _read_schedule(state, meta, schedules)
    found.extend(schedules)
    if found.values.get("schedule") is Schedule.ONECYCLE:
        found.values.pop("lr", None)  # its initial_lr is a fraction of the peak
    return found


def _dicts(value: Any, level: int) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if level:
            yield value
        inner: Any = () if "param_groups" in value else value.values()
    else:
        inner = value if isinstance(value, list) else ()
    if level < _LEVELS:
        for item in inner:
            if isinstance(item, Mapping | list):
                yield from _dicts(item, level + 1)


def optimizer_of(group: Mapping[str, Any]) -> Optimizer | None:
    """Return the optimizer whose parameter groups have these keys; None where several have."""
    keys = set(group)
    if {"nesterov", "dampening"} <= keys:
        return Optimizer.SGD
    if "momentum_decay" in keys:
        return Optimizer.NADAM
    if {"betas", "amsgrad"} <= keys and "decoupled_weight_decay" in keys:
        return Optimizer.ADAMW if group["decoupled_weight_decay"] else Optimizer.ADAM
    if "betas" in keys and "decoupled_weight_decay" in keys:
        return Optimizer.RADAM
    if {"alpha", "centered"} <= keys:
        return Optimizer.RMSPROP
    if "lr_decay" in keys:
        return Optimizer.ADAGRAD
    return Optimizer.ADADELTA if "rho" in keys else None


def _read_groups(groups: list[Mapping[str, Any]], found: Found) -> None:
    first = groups[0]
    optimizer = optimizer_of(first)
    found.add("optimizer", optimizer.value if optimizer else None)
    if optimizer is None and {"betas", "amsgrad"} <= set(first):
        found.note(
            "optimizer",
            "The optimizer is Adam or AdamW: files of old torch versions do not say which.",
        )
    decays = [d for g in groups if isinstance(d := g.get("weight_decay"), int | float)]
    if decays and len(set(decays) - {0}) <= 1:  # norms and biases are often spared
        found.add("weight_decay", max(decays))
    _read_rates(groups, found)
    for name in ("momentum", "nesterov", "betas", "max_lr"):
        found.add(name, first.get(name))


def _read_rates(groups: list[Mapping[str, Any]], found: Found) -> None:
    initial = {g.get("initial_lr") for g in groups if isinstance(g.get("initial_lr"), float | int)}
    if len(initial) == 1:
        found.add("lr", initial.pop())
    elif initial:
        found.note("lr", "The optimizer has groups of several learning rates; set [recipe] lr.")
    elif isinstance(last := groups[0].get("lr"), float | int):
        found.note(
            "lr",
            f"The last learning rate was {last:g}; the first one is not stored: set [recipe] lr.",
        )


def _read_schedule(state: Mapping[str, Any], meta: Mapping[str, Any], found: Found) -> None:
    if "last_epoch" not in state and "num_bad_epochs" not in state:
        return
    rates = state.get("base_lrs")
    if isinstance(rates, list) and len(set(map(str, rates))) == 1:
        found.add("lr", rates[0])
    if "T_max" in state:
        _read_cosine(state, meta, found)
    elif "total_steps" in state:
        found.add("schedule", Schedule.ONECYCLE.value)
    elif "num_bad_epochs" in state:
        _read_plateau(state, found)
    elif ("step_size" in state or "milestones" in state) and "gamma" in state:
        found.add("schedule", Schedule.STEP.value)
        for name in ("step_size", "milestones", "gamma"):
            found.add(name, state.get(name))


def _read_cosine(state: Mapping[str, Any], meta: Mapping[str, Any], found: Found) -> None:
    found.add("schedule", Schedule.COSINE.value)
    found.add("min_lr", state.get("eta_min"))
    epoch, steps = meta.get("epoch"), state.get("last_epoch")
    if isinstance(epoch, int) and steps in (epoch, epoch + 1):
        found.add("epochs", state["T_max"])
    else:
        found.note(
            "epochs",
            f"The cosine schedule spans {state['T_max']} steps, which may be epochs or iterations.",
        )


def _read_plateau(state: Mapping[str, Any], found: Found) -> None:
    found.add("schedule", Schedule.PLATEAU.value)
    for name in ("factor", "patience"):
        found.add(name, state.get(name))
    lowest = state.get("min_lrs")
    found.add("min_lr", lowest[0] if isinstance(lowest, list) and lowest else None)
