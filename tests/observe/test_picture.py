"""One sample as a small PNG."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gapdoctor.observe.pictures import AREA, LONGEST, PLAIN_BYTES, SMALLEST, picture


def opened(sample: object) -> Image.Image:
    png = picture(sample)
    assert png is not None
    return Image.open(io.BytesIO(png))


def pixels(sample: object) -> np.ndarray:
    return np.asarray(opened(sample).convert("RGB"))


STEPS = torch.arange(16, dtype=torch.float32).reshape(4, 4)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4)])
def test_values_go_from_black_to_white_whatever_their_scale(shape: tuple[int, ...]) -> None:
    image = opened((100 * STEPS - 7).reshape(shape))

    assert image.mode == "L"
    # Each of the 4 × 4 numbers is a block of 24 × 24 pixels.
    blocks = np.asarray(image).reshape(4, 24, 4, 24)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert blocks[:, 0, :, 0].ravel().tolist() == [17 * i for i in range(16)]


def test_three_channels_are_red_green_and_blue() -> None:
    sample = torch.zeros(3, 4, 4)
    sample[0, 0], sample[1, 1], sample[2, 2] = 1.0, 1.0, 1.0
    rows = pixels(sample)[12::24, 0]

    assert rows.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]


def test_a_picture_of_bytes_is_one_too() -> None:
    assert (pixels(STEPS.to(torch.uint8)) == pixels(STEPS)).all()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ((8, 8), (96, 96)),
        ((28, 28), (112, 112)),
        ((4, 40), (12, 120)),
        ((48, 64), (96, 128)),
        ((96, 96), (96, 96)),
        ((224, 224), (96, 96)),
        ((4, 4000), (1, 192)),
    ],
)
def test_small_ones_are_enlarged_and_large_ones_reduced(given, shown) -> None:
    image = opened(torch.linspace(0, 1, given[0] * given[1]).reshape(given))

    assert image.size[::-1] == shown
    assert SMALLEST <= max(image.size) <= max(LONGEST, 2 * SMALLEST)


@pytest.mark.parametrize(
    "sample",
    [
        torch.zeros(12),
        torch.zeros(3, 40),
        torch.zeros(1, 1, 40),
        torch.zeros(2, 8, 8),
        torch.zeros(4, 8, 8),
        torch.zeros(8, 8, 3),
        torch.zeros(1, 3, 8, 8),
        torch.zeros(8, 8, dtype=torch.int64),
        torch.tensor(1.0),
    ],
    ids=lambda t: f"{tuple(t.shape)} {t.dtype}",
)
def test_what_is_no_picture_is_none(sample: torch.Tensor) -> None:
    assert picture(sample) is None


@pytest.mark.parametrize("value", [0.0, 3.0, float("nan"), float("inf")])
def test_a_picture_without_contrast_is_grey(value: float) -> None:
    assert (pixels(torch.full((4, 4), value)) == 128).all()


def test_what_is_no_number_is_black_and_the_infinite_white() -> None:
    sample = torch.tensor([float("nan"), -float("inf"), float("inf"), 0.0, 1.0, 0.5, 0.0, 0.0])
    rows = pixels(sample.repeat(4, 1))[0, 6::12, 0]

    assert rows.tolist() == [0, 0, 255, 0, 255, 128, 0, 0]


def test_an_image_is_shown_in_its_own_colours() -> None:
    """It is not stretched from black to white, as numbers of an unknown scale are."""
    image = Image.new("RGB", (96, 96), (10, 20, 30))

    assert (pixels(image) == [10, 20, 30]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "LA"])
def test_images_of_every_mode_are_shown(mode: str) -> None:
    shown = pixels(Image.new("RGB", (8, 8), "white").convert(mode))

    assert shown.shape == (96, 96, 3)
    assert shown.min() >= 254


def test_an_image_of_sixteen_bits_is_not_cut_off() -> None:
    image = Image.fromarray((STEPS.numpy() * 4000).astype(np.uint16))

    assert (pixels(image) == pixels(STEPS)).all()


def test_where_a_photograph_was_taken_is_not_told() -> None:
    told = PngInfo()
    told.add_text("Location", "SECRET PLACE")
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    stream = io.BytesIO()
    Image.new("RGB", (96, 96)).save(
        stream, "png", pnginfo=told, exif=exif, icc_profile=b"SECRET PLACE"
    )
    assert stream.getvalue().count(b"SECRET PLACE") >= 2

    shown = opened(Image.open(stream))

    assert shown.info == {}
    assert not shown.getexif()


def test_a_noisy_photograph_stays_small_and_like_itself(rng: np.random.Generator) -> None:
    smooth = np.linspace(0, 200, 400)[:, None, None] + np.zeros((400, 400, 3))
    noisy = (smooth + rng.integers(0, 50, smooth.shape)).astype(np.uint8)
    png = picture(Image.fromarray(noisy))

    assert png is not None
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)
    assert PLAIN_BYTES < len(png) < 1.2 * AREA
    assert np.abs(shown.mean(axis=1) - np.linspace(25, 225, 96)[:, None]).max() < 8


def test_a_file_that_is_cut_short_gives_none() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.arange(10_000, dtype=np.uint8).reshape(100, 100)).save(stream, "png")
    cut = Image.open(io.BytesIO(stream.getvalue()[:200]))

    assert picture(cut) is None


def test_the_same_sample_gives_the_same_bytes(rng: np.random.Generator) -> None:
    sample = torch.from_numpy(rng.random((3, 96, 96)))

    assert picture(sample) == picture(sample.clone())
