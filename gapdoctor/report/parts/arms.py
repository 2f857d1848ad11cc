"""What the fixes are compared with, what was written, and what it cost."""

from __future__ import annotations

from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import ArmRecord, Outcome
from gapdoctor.report.blocks import Block, Code, Column, Grid, Listing, Paragraph
from gapdoctor.report.quantities import count, interval, percent

_WHEN = {"scratch": "from scratch", "checkpoint": "from the checkpoint"}


def arms(outcome: Outcome) -> tuple[Block, ...]:
    """Return the student as it was given and the controls, on the reporting half."""
    given = outcome.given
    rows: list[tuple[str, ...]] = [
        ("Student as given", "none", *_losses(given.heldout_loss, given.loss_before_temperature),
         interval(given.heldout_accuracy, percent)),
    ]  # fmt: skip
    rows += [_arm(arm) for arm in outcome.controls]
    columns = (
        Column("Arm"),
        Column("Seeds", "number"),
        Column("Held-out loss", "number"),
        Column("Before temperature", "number"),
        Column("Accuracy", "number"),
    )
    note = (
        "In nats, on the reporting half, each arm at its own temperature, which the choosing half "
        "fitted. A control is the student retrained with its recipe unchanged."
    )
    return (Grid("What the fixes are compared with", columns, tuple(rows), note),)


def written(outcome: Outcome) -> tuple[Block, ...]:
    """Return the files that were written, and the command."""
    files = {
        "Student": outcome.written.checkpoint,
        "Config": outcome.written.config,
        "What changed in it": outcome.written.diff,
    }
    items = tuple(f"{name}: `{file}`" for name, file in files.items() if file is not None)
    told: Block = (
        Listing(items) if items else Paragraph("No student was written: no fix was chosen.")
    )
    return (told, Code(outcome.command))


def this_run(outcome: Outcome) -> tuple[Block, ...]:
    """Return time and cost of the trials."""
    cost = outcome.cost
    rows = (
        ("Created", outcome.created),
        ("gapdoctor", outcome.version),
        ("Seconds", f"{cost.seconds:,.0f}"),
        ("Rows trained on", count(cost.trained_samples)),
        ("Cost in trainings of one control", f"{cost.trainings:.3g}"),
    )
    return (Grid("Time and cost of the trials", (Column("What"), Column("Value", "code")), rows),)


def _losses(loss: Interval, before: Interval) -> tuple[str, str]:
    return interval(loss), interval(before)


def _arm(arm: ArmRecord) -> tuple[str, ...]:
    return (
        f"Control, {_WHEN[arm.start]}",
        str(arm.seeds),
        *_losses(arm.heldout_loss, arm.loss_before_temperature),
        interval(arm.heldout_accuracy, percent),
    )
