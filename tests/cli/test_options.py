"""What several commands read alike."""

from __future__ import annotations

import pytest

from gapdoctor.cli.options import parse_budget
from gapdoctor.errors import GapDoctorError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2H", 7200), ("1m 5s", 65)],
)
def test_a_budget_is_a_time(text, seconds):
    assert parse_budget(text) == seconds


def test_no_budget_is_no_limit():
    assert parse_budget(None) is None


@pytest.mark.parametrize("text", ["", "10", "ten minutes", "m10", "-5m", "0s", "1.2.3s", "5d"])
def test_another_word_is_wrong_usage(text):
    with pytest.raises(GapDoctorError, match=r"--budget .*: not a time") as failure:
        parse_budget(text)
    assert failure.value.hint == "--budget 90s, 10m or 1h30m"
