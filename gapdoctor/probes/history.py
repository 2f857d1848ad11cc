"""History: what the learning curves show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import (
    Claim,
    Evidence,
    Finding,
    Floats,
    Side,
    Skipped,
    Table,
    Warning_,
)
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.curves import CurveLimits, CurveReading, CurveState, read_curves

_COLUMNS = ("epoch", "train_loss", "heldout_loss", "train_accuracy", "heldout_accuracy", "lr")


@dataclass(frozen=True)
class History(Probe):
    """What do the learning curves show: overfitting, an unfinished or an unstable training?

    Read are the smoothed rise of the held-out loss since its minimum, whether it still falls at
    the end while the learning rate has not come down, its oscillation, divergence, and an end
    before the recipe's. The ratio of train to held-out loss is never used: a distilled student's
    logged train loss is a composite of two terms, and rules on it are blind here.

    Where the checkpoint's held-out loss is the lowest of its own history, held-out data have
    chosen it, and the gap is a little flattered: that is warned of.
    """

    name: ClassVar[str] = "history"
    order: ClassVar[int] = 90
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HISTORY})

    strength: float = 1.5
    """Log-odds of what the curves show; they are one witness and may stem from another run."""
    against: float = -0.5
    """Log-odds of what the curves do not show."""
    same_loss: float = 0.01
    """Relative difference up to which the checkpoint's held-out loss is that of its best epoch."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Read the curves of the case."""
        frame = seen.history
        if frame is None or "heldout_loss" not in frame:
            return Skipped(self.name, "the learning curves have no held-out loss")
        recipe = seen.recipe.recipe
        planned = None if recipe.early_stopping else recipe.epochs
        reading = read_curves(
            _column(frame, "epoch"),
            _column(frame, "train_loss"),
            _column(frame, "heldout_loss"),
            lr=_column(frame, "lr") if "lr" in frame else None,
            planned_epochs=planned,
        )
        table = _table(frame)
        if reading.state is CurveState.INCONCLUSIVE:
            return Finding(self.name, tables=(("history", table),))
        claims: tuple[Claim, ...] = (self._optimization(reading),)
        if np.isfinite(
            reading.rise
        ):  # a training that diverged at once has no minimum to rise from
            claims = (self._overfitting(reading), *claims)
        return Finding(self.name, claims, self._warning(seen, frame), (("history", table),))

    def _overfitting(self, reading: CurveReading) -> Claim:
        shown = reading.state is CurveState.OVERFITTING
        statement = (
            f"The held-out loss has risen by {reading.rise_nats:.3g} nats ({reading.rise:.0%}) "
            f"since its minimum in epoch {reading.best_epoch:.0f}."
            if shown
            else f"The smoothed held-out loss ends {reading.rise:.1%} above its minimum."
        )
        evidence = Evidence(
            self.name, statement, reading.rise, CurveLimits().rise, "share", _speaks(shown)
        )
        return self._claim(Cause.OVERFITTING, shown, evidence, Side.EXCESS_GAP)

    def _optimization(self, reading: CurveReading) -> Claim:
        shown = reading.state in {CurveState.UNFINISHED, CurveState.UNSTABLE}
        limits = CurveLimits()
        if reading.diverged:
            evidence = Evidence(
                self.name, "The training diverged.", float(reading.epochs), None, "epochs", "for"
            )
        elif reading.state is CurveState.UNSTABLE:
            evidence = Evidence(
                self.name,
                f"The held-out loss scatters by {reading.oscillation:.0%} of its level.",
                reading.oscillation, limits.oscillation, "share", "for",
            )  # fmt: skip
        elif shown:
            how = (
                "The held-out loss was still falling at the end"
                if reading.still_falling
                else "The training ended before the epochs of its recipe"
            )
            evidence = Evidence(
                self.name,
                f"{how} ({reading.heldout_slope:.2g} nats an epoch), and the learning rate had not "
                "come down.",
                reading.heldout_slope, 0.0, "nats an epoch", "for",
            )  # fmt: skip
        else:
            evidence = Evidence(
                self.name,
                "The curves show neither divergence, nor oscillation, nor a training cut short.",
                reading.oscillation, limits.oscillation, "share", "against",
            )  # fmt: skip
        return self._claim(Cause.OPTIMIZATION, shown, evidence, Side.FIT_DEFICIT)

    def _claim(self, cause: Cause, shown: bool, evidence: Evidence, side: Side) -> Claim:
        strength = self.strength if shown else self.against
        return Claim(cause, strength, "history", (evidence,), side=side)

    def _warning(self, seen: Observations, frame: pd.DataFrame) -> tuple[Warning_, ...]:
        curve = _column(frame, "heldout_loss")
        if not np.isfinite(curve).any() or int(np.nanargmin(curve)) == len(curve) - 1:
            return ()
        loss = float(seen.outputs(Model.STUDENT, Split.HELDOUT).loss.mean())
        best, last = float(np.nanmin(curve)), float(curve[-1])
        if abs(loss - best) > self.same_loss * best or abs(loss - last) < abs(loss - best):
            return ()
        epoch = _column(frame, "epoch")[int(np.nanargmin(curve))]
        return (
            Warning_(
                "heldout_chose_the_checkpoint",
                f"The checkpoint is that of epoch {epoch:.0f}, the best of its history on held-out "
                "data: they chose it, and the gap is a little flattered. Give [data] test.",
            ),
        )


def _speaks(shown: bool) -> Literal["for", "against"]:
    return "for" if shown else "against"


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame:
        return np.full(len(frame), np.nan)
    return frame[name].to_numpy(dtype=np.float64)


def _table(frame: pd.DataFrame) -> Table:
    columns = tuple(c for c in _COLUMNS if c in frame)
    rows = frame[list(columns)].itertuples(index=False)
    return Table(columns, tuple(tuple(_plain(v) for v in row) for row in rows))


def _plain(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() and abs(value) < 1e6 else float(value)
