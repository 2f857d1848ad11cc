"""Features of layers of different kind and size, made comparable."""

from __future__ import annotations

import pytest
import torch

from gapdoctor.training.features.adapters import aligned, as_maps


def test_the_larger_map_is_pooled() -> None:
    large = torch.arange(16.0).reshape(1, 1, 4, 4)
    one, other = aligned(large, torch.zeros(1, 3, 2, 2))
    assert one.shape == (1, 4, 1)
    assert other.shape == (1, 4, 3)
    assert one.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    back, _ = aligned(torch.zeros(1, 3, 2, 2), large)
    assert back.shape == (1, 4, 3)


def test_each_axis_is_pooled_by_itself() -> None:
    one, other = aligned(torch.zeros(2, 3, 4, 2), torch.zeros(2, 5, 2, 8))
    assert one.shape == (2, 4, 3)
    assert other.shape == (2, 4, 5)


@pytest.mark.parametrize("first", [0, 1])
def test_tokens_lie_on_the_grid_of_an_image(first: int) -> None:
    """With a class token in front, or without."""
    tokens = torch.randn(2, first + 9, 4)
    image = as_maps(tokens, 2)[:, :, first:].reshape(2, 4, 3, 3)
    one, other = aligned(as_maps(tokens, 2), image)
    assert torch.equal(one, other)


def test_what_has_no_counterpart_is_averaged() -> None:
    tokens, image, flat = torch.randn(2, 4, 7), torch.randn(2, 3, 5, 5), torch.randn(2, 6)
    one, other = aligned(tokens, image)
    assert (one.shape, other.shape) == ((2, 1, 4), (2, 1, 3))
    assert torch.allclose(other[:, 0], image.mean((2, 3)))
    one, other = aligned(flat, image)
    assert torch.equal(one[:, 0], flat)
    assert other.shape == (2, 1, 3)
    assert aligned(flat, flat)[0].shape == (2, 1, 6)


def test_tokens_of_different_number_are_pooled_along_the_sequence() -> None:
    one, other = aligned(torch.randn(2, 4, 8), torch.randn(2, 6, 4))
    assert (one.shape, other.shape) == ((2, 4, 4), (2, 4, 6))
