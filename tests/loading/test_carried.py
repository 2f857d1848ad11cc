"""`[preprocess] inference = "train"`: what the train set carries, at inference too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gapdoctor.errors import ConfigError
from gapdoctor.loading.load import load_case
from gapdoctor.observe.pipelines import prepare_case

CODE = """
import torch
from torch import nn
from torch.utils.data import Dataset
from torchvision.transforms import v2


class Pictures(Dataset):
    def __init__(self, transform):
        self.raw = torch.arange(6 * 16.0).reshape(6, 1, 4, 4)
        self.targets = [0, 1, 2, 0, 1, 2]
        self.transform = transform

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, at):
        return self.transform(self.raw[at]), self.targets[at]


class Shifted(Pictures):
    def __getitem__(self, at):
        sample, label = super().__getitem__(at)
        return sample + 1, label


def by(ten):
    return v2.Lambda(lambda sample: sample / ten)


train_set = Pictures(v2.Compose([v2.RandomCrop(2), by(10)]))
heldout_set = Pictures(v2.Compose([v2.CenterCrop(2), by(7)]))
shifted = Shifted(v2.Compose([v2.CenterCrop(2), by(7)]))
arrays = (torch.zeros(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2]))
clean = by(5)


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
"""
CONFIG = """
[student]
model = "run.py:net"
checkpoint = "student.pth"
[teacher]
model = "run.py:net"
checkpoint = "student.pth"
[data]
train = "run.py:train_set"
heldout = "run.py:heldout_set"
[preprocess]
inference = "train"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Data sets that carry their transforms: tenths in training, sevenths when deployed."""
    state = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).state_dict()
    torch.save(state, tmp_path / "student.pth")
    (tmp_path / "run.py").write_text(CODE)
    (tmp_path / "gapdoctor.toml").write_text(CONFIG)
    return tmp_path / "gapdoctor.toml"


def test_both_splits_go_through_the_train_sets_own_transform(config: Path) -> None:
    settings = {"data.test": f"{config.parent}/run.py:heldout_set"}
    case = load_case(config, settings=settings)
    found = prepare_case(case, 10, 0)
    assert found.given
    assert found.same["inference"] == found.same["teacher"] == "train"
    middle = torch.arange(16.0).reshape(1, 4, 4)[:, 1:3, 1:3]
    pipeline = found.pipelines["inference"]
    assert pipeline is not None
    for part in (found.train, found.heldout, found.test):
        assert part is not None
        first = part.read(torch.zeros(1, dtype=torch.int64).numpy())
        assert first.inputs[0].shape == (1, 4, 4)
        assert torch.equal(pipeline.call(first.inputs[0]), middle / 10)
        assert part.labels is not None  # without reading a sample
    assert case.notes == (
        "The train set's own transform makes the student's inputs on all splits.",
        "Train pipeline from the data set's transform; RandomCrop(2): a centre crop.",
    )


def test_a_train_pipeline_of_the_config_comes_before_what_is_carried(config: Path) -> None:
    config.write_text(f'{CONFIG}train = "run.py:clean"\n')
    given = load_case(config).preprocess
    assert given.train is given.inference is not None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("arrays", "the data sets carry no .transform of their own"),
        ("shifted", "the heldout set does more to a sample than its transform"),
    ],
)
def test_where_nothing_is_carried_it_is_told(config: Path, data: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_case(config, settings={"data.heldout": f"{config.parent}/run.py:{data}"})
    assert "gapdoctor.toml:12: preprocess.inference" in caught.value.message
    assert caught.value.hint == 'name the pipeline: [preprocess] train = "run.py:name"'
