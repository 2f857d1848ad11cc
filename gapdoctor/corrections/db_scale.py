"""Linear values where logarithms were trained on, or the other way round."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from gapdoctor.corrections._argument import number, one_of, parts, positive, written
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._log_fit import LogScale, fitted_scale
from gapdoctor.corrections._statistics import Statistics, misfit

_SCALES: dict[str, LogScale] = {
    "ln": LogScale(1.0, 0.0, 0.0),
    "log10": LogScale(1 / math.log(10), 0.0, 0.0),
    "10log10": LogScale(10 / math.log(10), 0.0, 0.0),
    "20log10": LogScale(20 / math.log(10), 0.0, 0.0),
    "log1p": LogScale(1.0, 0.0, -1.0),
}


class DbScale(Correction):
    """Spectrograms or features are linear where the student was trained on decibels or logarithms.

    `to 20log10, -80` takes the logarithm of linear held-out rows; nothing falls below the second
    number, the smallest value of the train rows. `from 20log10, 12` is the other way round, and
    nothing rises above the largest value of the train rows. The scales are `ln`, `log10`,
    `10log10` (dB of power), `20log10` (dB of amplitude) and `log1p`.

    Where the rows are normalised besides, factor and offset are unknown: `to log, A, B, C, LIMIT`
    is A·ln(x − C) + B, with A and B fitted to the quantiles of both splits, which a rising function
    maps alike: two numbers, three where C is not 0 and taken of held-out rows. Each is tried only
    where it brings these quantiles together.
    """

    name: ClassVar[str] = "db_scale"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.MAP, Kind.COLUMNS})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the scales that explain the quantiles of the held-out rows."""
        return [self.parse(argument) for argument in _named(context) + _fitted(context)]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `to|from SCALE, LIMIT` or `to|from log, A, B, C, LIMIT`."""
        word, _, rest = argument.partition(" ")
        if word not in ("to", "from"):
            raise ValueError("takes to or from, a scale and a limit, such as to 20log10, -80")
        name = one_of(rest.partition(",")[0], (*_SCALES, "log"), "scale")
        if name == "log":
            _, a, b, c, limit = parts(rest, 5, f"{word} log, A, B, C, LIMIT")
            scale = LogScale(positive(a), number(b), number(c))
            fitted = 3 if word == "to" and scale.c else 2
        else:
            _, limit = parts(rest, 2, f"{word} {name} and a limit")
            scale, fitted = _SCALES[name], 0
        bound, taken = number(limit), word == "to"

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return scale.to_log(batch, bound) if taken else scale.to_linear(batch, bound)

        label = f"{'logarithm taken' if taken else 'logarithm undone'} ({name})"
        return Candidate(self.name, argument, label, fitted, undo=undo)


def _named(context: Context) -> list[str]:
    """The named scales under which the quantiles come nearer, and near."""
    train, have = context.train, context.heldout.quantiles
    limit = {"to": train.low, "from": train.high}
    linear = {"to": context.heldout, "from": train}
    best = min(0.5, misfit(have, train))
    return [
        f"{word} {name}, {written([limit[word]])}"
        for word in ("to", "from")
        for name, scale in _SCALES.items()
        if _not_negative(linear[word])
        and misfit(_mapped(scale, word, have, limit[word]), train) < best
    ]


def _mapped(scale: LogScale, word: str, values: torch.Tensor, limit: float) -> torch.Tensor:
    return scale.to_log(values, limit) if word == "to" else scale.to_linear(values, limit)


def _fitted(context: Context) -> list[str]:
    """The fitted scale each way, where the logarithm fits far better than a straight line."""
    train, heldout = context.train, context.heldout
    found = []
    for word, linear, log, limit in (
        ("to", heldout, train, train.low),
        ("from", train, heldout, train.high),
    ):
        scale = fitted_scale(linear, log)
        if scale is not None:
            numbers = ", ".join(written([v]) for v in (scale.a, scale.b, scale.c, limit))
            found.append(f"{word} log, {numbers}")
    return found


def _not_negative(rows: Statistics) -> bool:
    return rows.low >= -1e-3 * abs(rows.high)
