"""What a run of `fix` comes down to: its head."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import CONTROL, FixRecord, Outcome
from gapdoctor.report.blocks import Fact, Lead, Tone
from gapdoctor.report.parts.fixes import UNKNOWN, best_of, difference, is_the_control, named
from gapdoctor.report.quantities import interval, nats, percent, signed
from gapdoctor.report.wording import subject


def lead(diagnosis: Diagnosis, outcome: Outcome) -> Lead:
    """Return what the run comes down to."""
    tone, symbol, badge = _badge(outcome)
    return Lead(
        subject(diagnosis), badge, tone, symbol, _headline(outcome), _sentence(outcome),
        _facts(outcome),
    )  # fmt: skip


def _badge(outcome: Outcome) -> tuple[Tone, str, str]:
    if outcome.chosen == CONTROL:
        return "good", "✓", "Retrained unchanged"
    if outcome.chosen is not None:
        return "good", "✓", "Fix verified"
    if any(f.status == "promising" for f in outcome.fixes):
        return "doubt", "?", "Promising, not verified"
    return "doubt", "?", "Nothing verified"


def _headline(outcome: Outcome) -> str:
    gained = outcome.improvement
    if outcome.chosen is not None and gained is not None:
        verb = "lowers" if gained.value <= 0 else "raises"
        size = nats(abs(gained.value))
        return f"{_upper(_bare(outcome.chosen))} {verb} the held-out loss by {size} nats"
    best = best_of(outcome)
    if best is None:
        return "No fix could be tried"
    return (
        f"No fix is verified; the best, {_bare(best.id)}, is at {difference(best.difference)} nats"
    )


def _sentence(outcome: Outcome) -> str:
    given = interval(_compared(outcome), unit="nats")
    fix, gained = _chosen(outcome), outcome.improvement
    start = f"The student as given has a held-out loss of {given}"
    if _compared(outcome) != outcome.given.heldout_loss:
        start += f", {nats(outcome.given.heldout_loss.value)} at the temperature that suits it best"
    if outcome.chosen is None or gained is None:
        return f"{start}; {_why_not(outcome)}."
    size = interval(gained, signed, "nats").replace(" (", " (95 % interval ")
    if fix is None or fix.difference is None:
        return f"{start}; retrained with its recipe unchanged it changes by {size}{_free(outcome)}."
    told = f"{start}; with {named(outcome.chosen)} it changes by {size}"
    if fix.seeds == 0:
        return f"{told}, and nothing was retrained."
    seeds = f", over {fix.seeds} seeds" if fix.seeds > 1 else ""
    if is_the_control(outcome, fix):
        mean = interval(fix.difference, signed)
        told += f": by {mean}{seeds}; it is the control itself, trained anew as declared"
        return f"{told}{_free(outcome)}."
    told += f": by {interval(fix.difference, signed)} against the control{seeds}"
    return f"{told}{_free(outcome)}."


_TEMPERATURE = "scale_temperature"
"""Nothing that is trained stands on it: each arm has a temperature of its own."""


def _free(outcome: Outcome) -> str:
    """What was mended before anything was trained has its share of that."""
    free = {
        f.id: f.difference
        for f in outcome.fixes
        if f.verified and f.seeds == 0 and f.difference is not None and _TEMPERATURE not in f.id
    }
    if not free:
        return ""
    whole = max(free, key=lambda name: name.count("+"))  # several together stand as one, too
    size = interval(free[whole], signed, "nats")
    return f". It stands on {named(whole)}, which by itself, without training, gives {size}"


def _why_not(outcome: Outcome) -> str:
    if not any(f.difference is not None for f in outcome.fixes):
        return "no fix was tried, and none is written"
    if any(f.status == "promising" for f in outcome.fixes):
        return "some fix seems to lower it, but none is verified, so none is written"
    least = nats(outcome.minimum_detectable_effect)
    return (
        "no fix is sure to lower it, so none is written; effects below "
        f"{least} nats cannot be told from chance here"
    )


def _facts(outcome: Outcome) -> tuple[Fact, ...]:
    given, gained = outcome.given, outcome.improvement
    least = Fact(
        "Smallest effect that shows", nats(outcome.minimum_detectable_effect), "nats, power 80 %"
    )
    first = Fact(
        "Given, held-out loss",
        nats(_compared(outcome).value),
        f"accuracy {percent(given.heldout_accuracy.value)}",
    )
    if gained is None:
        tried = [f for f in outcome.fixes if f.difference is not None]
        ones = [Fact("Fixes tried", str(len(tried)), f"of {len(outcome.fixes)} that were weighed")]
        return (first, *ones, Fact("Verified", "none", ""), least)
    ends = interval(gained, signed).partition(" (")[2].rstrip(")")
    loss, accuracy = _of_chosen(outcome)
    return (
        first,
        Fact("Written, held-out loss", nats(loss.value), f"accuracy {percent(accuracy.value)}"),
        Fact("Written − given, in nats", signed(gained.value), f"95 %: {ends}" if ends else ""),
        least,
    )


def _compared(outcome: Outcome) -> Interval:
    """Loss of the given student that the improvement is measured from.

    What was trained is compared with it at its own temperature; free corrections are compared
    with it as it stands.
    """
    fix = _chosen(outcome)
    is_free = fix is not None and fix.seeds == 0
    return outcome.given.loss_before_temperature if is_free else outcome.given.heldout_loss


def _of_chosen(outcome: Outcome) -> tuple[Interval, Interval]:
    fix = _chosen(outcome)
    if fix is not None:
        return fix.heldout_loss or UNKNOWN, fix.heldout_accuracy or UNKNOWN
    if outcome.chosen == CONTROL and outcome.controls:
        best = min(outcome.controls, key=lambda arm: arm.heldout_loss.value)
        return best.heldout_loss, best.heldout_accuracy
    return UNKNOWN, UNKNOWN


def _upper(text: str) -> str:
    """A sentence begins with a capital, a name stays as it is."""
    return text[:1].upper() + text[1:] if text.startswith("the ") else text


def _bare(fix: str) -> str:
    return named(fix).replace("`", "")


def _chosen(outcome: Outcome) -> FixRecord | None:
    return next((f for f in outcome.fixes if f.id == outcome.chosen), None)
