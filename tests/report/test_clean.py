"""What a user controls is one line and inert, whatever the format."""

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.report.clean import LONGEST, clean_text, cleaned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines", "two lines"),
        ("a\t\r\n b", "a b"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("a\u202eb", r"a\u202eb"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("lone\ud800", r"lone\ud800"),
        ("non\ufffecharacter", r"non\ufffecharacter"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
        ("Katze 猫 قطة", "Katze 猫 قطة"),
        ("it costs 5 $", "it costs 5 $"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert clean_text(text) == shown


@given(st.text())
def test_nothing_is_left_that_commands_a_terminal_or_breaks_xml(text: str) -> None:
    shown = clean_text(text)

    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")
    assert clean_text(shown) == shown


def test_a_book_is_cut_short() -> None:
    shown = clean_text("a" * 10 * LONGEST)

    assert len(shown) == LONGEST
    assert shown.endswith("…")


def test_a_whole_record_is_cleaned_and_stays_one(make) -> None:
    record = cleaned(make("hostile"))

    assert type(record) is type(make("hostile"))
    assert record.verdict is make("hostile").verdict
    assert record.notes[4] == "two lines # heading"
    assert record.recipe.recipe.history == "two lines # heading"
    assert record.environment.keys() == {"</script><img src=x onerror=alert(1)>"}


def test_numbers_are_those_of_the_file() -> None:
    assert cleaned((0.12345678, 3, True, None)) == (0.123457, 3, True, None)
    assert math.isnan(cleaned(math.inf))
