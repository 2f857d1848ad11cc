"""Sentences and numbers with known answers."""

import math
from dataclasses import replace

import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Interval
from gapdoctor.report.parts.causes import next_steps
from gapdoctor.report.prose import pieces, unmarked
from gapdoctor.report.quantities import interval, nats, number, percent, signed, with_unit
from gapdoctor.report.wording import confidence_text, headline, verdict_sentence


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "base",
            "The student's held-out loss is 0.832 nats above its teacher's (95 % interval 0.779 to "
            "0.885); main cause: preprocessing mismatch, which explains 0.702 nats (0.648 to "
            "0.756), confidence 0.97 (almost certain).",
        ),
        (
            "healthy",
            "The student's held-out loss is 0.011 nats above its teacher's (95 % interval −0.003 "
            "to 0.025), below the 0.050 nats from which a gap is worth treating.",
        ),
        (
            "inconclusive",
            "The student's held-out loss is 0.080 nats above its teacher's (95 % interval −0.070 "
            "to 0.230); 200 held-out rows can show no gap below 0.150 nats, so whether this one is "
            "above the limit of 0.050 nats stays open.",
        ),
        (
            "shared_gap",
            "The student's held-out loss is 0.012 nats above its teacher's (95 % interval −0.008 "
            "to 0.032), and the teacher itself gets 0.395 nats (0.360 to 0.430) back once "
            "preprocessing mismatch is undone; main cause: preprocessing mismatch, which explains "
            "0.410 nats (0.370 to 0.450), confidence 0.97 (almost certain).",
        ),
        (
            "fit_shortfall",
            "The student's held-out loss is 0.600 nats above its teacher's (95 % interval 0.550 to "
            "0.650); on the train rows it is higher by 0.500 nats (0.496 to 0.504) already: a fit "
            "shortfall; main cause: capacity shortfall, which explains 0.500 nats (0.450 to "
            "0.550), confidence 0.64 (likely).",
        ),
        (
            "dwarfed",
            "The student's held-out loss is 818.9 nats above its teacher's (95 % interval 802.9 to "
            "834.9); main cause: preprocessing mismatch, which explains 818.6 nats (802.1 to "
            "835.2), confidence 0.97 (almost certain), but the ranking does not count because of "
            "`low_accuracy`.",
        ),
    ],
)
def test_the_verdict_is_one_sentence_to_paste(make, name: str, sentence: str) -> None:
    assert verdict_sentence(make(name)) == sentence


def test_causes_that_carry_the_same_nats_are_named_together(make) -> None:
    second, third = make("base").causes[1:]
    sentence = verdict_sentence(replace(make("base"), causes=(second, third)))

    assert "main cause: overfitting, or with the same nats lack of regularization, which" in (
        sentence
    )


def test_a_doubtful_cause_is_a_suspect(make) -> None:
    doubtful = replace(make("base").causes[0], confidence=0.3)
    diagnosis = replace(make("base"), causes=(doubtful,))

    assert "; no cause is likely, first suspect: preprocessing mismatch" in (
        verdict_sentence(diagnosis)
    )
    assert headline(diagnosis) == "A gap of 0.832 nats without a likely cause"


@pytest.mark.parametrize(
    ("explained", "words"),
    [(0.8, "the"), (0.6, "most of the"), (0.35, "about half of the"), (0.1, "part of the")],
)
def test_the_headline_tells_how_much_of_the_gap(make, explained: float, words: str) -> None:
    first = make("base").causes[0]
    cause = replace(first, explained=replace(first.explained, value=explained))

    assert headline(replace(make("base"), causes=(cause,))) == (
        f"Preprocessing mismatch explains {words} gap of 0.832 nats"
    )


def test_no_cause_is_said(make) -> None:
    assert verdict_sentence(replace(make("base"), causes=())).endswith(
        "; no probe could name a cause."
    )


def test_a_better_student_is_below_its_teacher(make) -> None:
    gap = replace(make("healthy").gap, excess=Interval(-0.1, -0.12, -0.08))

    assert "is 0.100 nats below its teacher's (95 % interval 0.080 to 0.120)" in (
        verdict_sentence(replace(make("healthy"), gap=gap))
    )


def test_more_rows_are_reckoned_from_the_noise_floor(make) -> None:
    """200 rows give a noise floor of 0.15; 0.03 need (0.15 / 0.03)² = 25 times as many."""
    first = next_steps(make("inconclusive")).items[0]

    assert first.startswith("About 5,000 held-out rows, instead of 200, would tell")


def test_a_healthy_pair_with_a_known_recipe_needs_nothing(make) -> None:
    assert next_steps(make("healthy")).items == ("Nothing has to be done.",)


def test_what_voids_the_ranking_comes_first(make) -> None:
    assert next_steps(make("dwarfed")).items[0].startswith("First settle `low_accuracy`")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.2834, "0.283"), (0.00031, "0.0003"), (0.0, "0.000"), (-0.12, "−0.120"),
        (-0.00001, "0.0000"), (12.345, "12.35"), (818.64, "818.6"), (math.nan, "n/a"),
        (math.inf, "∞"),
    ],
)  # fmt: skip
def test_nats(value: float, shown: str) -> None:
    assert nats(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.2, "+0.200"), (-0.2, "−0.200"), (0.0, "0.000"), (math.nan, "n/a")]
)
def test_signed(value: float, shown: str) -> None:
    assert signed(value) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.70184, "nats", "0.702 nats"),
        (0.894, "share", "89.4 %"),
        (0.1134, "AUC", "0.113 AUC"),
        (24, "epochs", "24 epochs"),
        (12345.6, "rows", "12,346 rows"),
        (3e-157, "p", "3e-157 p"),
        (-2.5, "points", "−2.5 points"),
        (1.5, "", "1.5"),
    ],
)
def test_values_with_units(value: float, unit: str, shown: str) -> None:
    assert with_unit(value, unit) == shown


def test_the_ends_of_an_interval_have_the_decimals_of_its_largest_number() -> None:
    assert interval(Interval(0.0004, -0.01, 0.03)) == "0.000 (−0.010 to 0.030)"
    assert interval(Interval(0.98, 0.9712, 1.0), percent) == "98.0 % (97.1 to 100.0)"
    assert interval(Interval(0.3, math.nan, math.nan), unit="nats") == "0.300 nats"
    assert interval(Interval(0.3, -0.1, 0.7), signed) == "+0.300 (−0.100 to +0.700)"


@pytest.mark.parametrize(
    ("confidence", "text"),
    [
        (0.97, "0.97, almost certain"), (0.8, "0.80, very likely"), (0.5, "0.50, likely"),
        (0.49, "0.49, possible"), (0.1, "0.10, unlikely"),
    ],
)  # fmt: skip
def test_confidence_in_words(confidence: float, text: str) -> None:
    assert confidence_text(confidence) == text


def test_numbers_do_not_fail_on_what_is_not_finite() -> None:
    assert number(math.nan, "nats") == "n/a"
    assert percent(math.inf) == "∞"


def test_names_stand_in_backticks() -> None:
    assert pieces("Undo `swap_channels` now.") == [
        ("Undo ", False), ("swap_channels", True), (" now.", False),
    ]  # fmt: skip
    assert pieces("a`b`c and `") == [("a`b`c and `", False)]
    assert unmarked("Undo `swap_channels`.") == "Undo swap_channels."


def test_every_cause_has_a_title_for_the_waterfall(make) -> None:
    from gapdoctor.report.wording import title_of

    assert [title_of(str(c)) for c in (Cause.OVERFITTING, Cause.OPTIMIZATION)] == [
        "Overfitting", "Optimization trouble",
    ]  # fmt: skip
    assert title_of("something else") == "something else"
