from __future__ import annotations

import pytest

from gapdoctor.corrections._parse import parse_correction


@pytest.mark.parametrize(
    ("text", "correction", "argument"),
    [
        ("swap_channels", "swap_channels", ""),
        ("swap_channels()", "swap_channels", ""),
        (" rescale_input ( 1/255 ) ", "rescale_input", "1/255"),
        ("normalize(none -> imagenet)", "normalize", "none -> imagenet"),
        ("gamma(1/2.2, -2 -1.5 -1:2 2.5 3)", "gamma", "1/2.2, -2 -1.5 -1:2 2.5 3"),
    ],
)
def test_config_entries(text: str, correction: str, argument: str) -> None:
    candidate = parse_correction(text)
    assert (candidate.correction, candidate.argument) == (correction, argument)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("swap_chanels", "unknown correction 'swap_chanels'; did you mean 'swap_channels'"),
        ("xyz", "unknown correction 'xyz'; one of: brightness, crop_zoom"),
        ("rotate(45)", r"rotate\(45\): unknown angle '45'; one of: 90, 180, 270"),
        ("rotate(90", "a correction is written name or name"),
        ("", "a correction is written name or name"),
        ("invert(imagnet)", r"invert\(imagnet\): .* did you mean 'imagenet'"),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_correction(text)
