"""Whatever the bytes: the same tensors, or a CheckpointError; never another exception."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import read_checkpoint

MUTATIONS = 400


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Flip a bit, cut the end off, overwrite a stretch, or copy one over another."""
    changed = bytearray(content)
    at, length = rng.randrange(len(content)), rng.randrange(1, 40)
    match rng.randrange(4):
        case 0:
            changed[at] ^= 1 << rng.randrange(8)
        case 1:
            del changed[at:]
        case 2:
            changed[at : at + length] = rng.randbytes(rng.randrange(40))
        case _:
            source = rng.randrange(len(content))
            changed[at : at + length] = changed[source : source + length]
    return bytes(changed)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()


def test_archives_are_read_right_or_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / "student.pth"
    torch.save({"model": weights, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, path)
    content, rng, read = path.read_bytes(), random.Random(0), 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(content, rng))
        try:
            found = read_checkpoint(path)
        except CheckpointError:
            continue
        read += 1
        (entry,) = found.entries
        assert entry.state.keys() == weights.keys()
        assert all(torch.equal(tensor, weights[name]) for name, tensor in entry.state.items())
        assert found.meta == {"epoch": 3, "args": {"lr": 0.1}}
    assert 0 < read < MUTATIONS / 2


@pytest.mark.parametrize("kind", ["legacy", "safetensors"])
def test_formats_without_checksums_raise_nothing_else(
    tmp_path: Path, weights: dict[str, Tensor], kind: str
) -> None:
    path = tmp_path / f"student.{kind}"
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(weights, path)
    else:
        torch.save({"model": weights}, path, _use_new_zipfile_serialization=False)
    content, rng, refused = path.read_bytes(), random.Random(1), 0
    for _ in range(MUTATIONS // 4):
        path.write_bytes(mutated(content, rng))
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    assert refused > 10
