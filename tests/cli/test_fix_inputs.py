"""The inputs and the recipe in what `fix --apply` writes: read again, and diagnosed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import gapdoctor
from gapdoctor.cli import app
from gapdoctor.loading.config import read_config

FIXED = "student.gapdoctor/gapdoctor.fixed.toml"
JSON = ("-q", "--format", "json")
"""No report is drawn."""


def fix(*arguments: str) -> dict[str, Any]:
    """Fix, and return `fix.json`."""
    assert app.run(["fix", "--apply", *arguments]) == 0
    found: dict[str, Any] = json.loads(Path("student.gapdoctor/fix.json").read_text())
    return found


# -- inputs ----------------------------------------------------------------------------------------

CARRYING = """
from torch.utils.data import Dataset
from torchvision.transforms import v2


class Carrying(Dataset):
    def __init__(self, split, *steps):
        self.raw = 10 * split[0].reshape(-1, 1, 2, 2) + 5
        self.targets = split[1].tolist()
        self.transform = v2.Compose(steps)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, at):
        return self.transform(self.raw[at]), self.targets[at]


seen = Carrying(train_set, v2.RandomCrop(2, padding=1), v2.Normalize([5.0], [10.0]))
deployed = Carrying(heldout_set, v2.CenterCrop(2), v2.Normalize([-10.0], [10.0]))


class Flat(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x.flatten(1))
"""


def edited(*pairs: tuple[str, str], code: str = "", more: str = "") -> None:
    """Change the config of the pair, and its code."""
    config, run = Path("gapdoctor.toml"), Path("run.py")
    text = config.read_text()
    for old, new in pairs:
        text = text.replace(old, new)
    config.write_text(text + more)
    run.write_text(run.read_text() + code)


def test_data_sets_that_carry_their_transforms_come_out_healed(
    write_pair, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(write_pair(tmp_path / "pair", scale=1.0))
    edited(("run.py:linear", "run.py:Flat"), ("run.py:train_set", "run.py:seen"),
           ("run.py:heldout_set", "run.py:deployed"), code=CARRYING)  # fmt: skip
    record = fix("--only", "match_preprocessing", *JSON)
    assert record["chosen"] == "match_preprocessing"
    assert '+inference = "train"' in Path("student.gapdoctor/changes.diff").read_text()
    (note,) = [n for n in record["notes"] if "deployed code" in n]
    assert note.startswith('[preprocess] inference = "train" stands for the train set')
    assert read_config(Path(FIXED)).preprocess.train_at_inference
    capsys.readouterr()
    assert app.run(["diagnose", "-c", FIXED, *JSON, "--json", "-o", "again"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "healthy"


PICTURES = """
import numpy as np
import torch
from torch import nn

NOISE = 0.16


def means():
    chance = torch.Generator().manual_seed(5)
    fine = torch.rand(4, 3, 8, 8, generator=chance)
    rough = nn.functional.interpolate(torch.rand(4, 3, 4, 4, generator=chance), 8, mode="bilinear")
    ramp = torch.linspace(0.15, -0.05, 8)[:, None] + torch.linspace(-0.1, 0.1, 8)
    tint = torch.tensor([0.12, 0.0, -0.12])[:, None, None]
    return 2 * (0.38 + 0.06 * (rough - 0.5) + 0.06 * (fine - 0.5) + ramp + tint) - 1


def rows(seed):
    random = np.random.default_rng(seed)
    labels = torch.from_numpy(random.integers(0, 4, 500))
    noise = torch.tensor(random.normal(0.0, 2 * NOISE, (500, 3, 8, 8)), dtype=torch.float32)
    return (means()[labels] + noise).clamp(-1, 1), labels


train_set = rows(1)
inputs, labels = rows(2)
reversed_channels = (inputs.flip(1), labels)
in_bytes_too = (255 * inputs.flip(1), labels)


class Rule(nn.Module):
    def __init__(self):
        super().__init__()
        flat = means().flatten(1)
        self.head = nn.Linear(flat.shape[1], 4)
        with torch.no_grad():
            self.head.weight.copy_(flat / (2 * NOISE) ** 2)
            self.head.bias.copy_(-0.5 * (flat**2).sum(dim=1) / (2 * NOISE) ** 2)

    def forward(self, x):
        return self.head(x.flatten(1))
"""
PICTURED = """
[student]
model = "run.py:Rule"
checkpoint = "student.pth"
[teacher]
model = "run.py:Rule"
[data]
train = "run.py:train_set"
heldout = "run.py:in_bytes_too"
[preprocess]
corrections = ["rescale_input(1/255)"]  # since the camera was changed
"""


def test_a_correction_comes_behind_those_that_stand_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.py").write_text(PICTURES)
    space: dict[str, Any] = {}
    exec(PICTURES, space)
    torch.save(space["Rule"]().state_dict(), "student.pth")
    Path("gapdoctor.toml").write_text(PICTURED)
    without = {"data.heldout": "run.py:reversed_channels", "preprocess.corrections": []}
    found = gapdoctor.diagnose(gapdoctor.load_case(settings=without), progress=False)
    assert found.causes[0].correction == "swap_channels"
    outcome = gapdoctor.fix(gapdoctor.load_case(), found, only=["match_preprocessing"],
                            folder="out")  # fmt: skip
    assert outcome.chosen == "match_preprocessing"
    told = Path("out/changes.diff").read_text()
    assert '+corrections = ["rescale_input(1/255)", "swap_channels"]' in told
    assert told.count("# since the camera was changed") == 2
    healed = gapdoctor.load_case("out/gapdoctor.fixed.toml")
    logits = healed.predict("student", space["in_bytes_too"][0])
    right = (logits.argmax(1) == space["labels"].numpy()).mean()
    assert right > 0.75
    given = gapdoctor.load_case().predict("student", space["in_bytes_too"][0])
    assert (given.argmax(1) == space["labels"].numpy()).mean() < 0.5


# -- the recipe ------------------------------------------------------------------------------------

RECIPE = """
[recipe]
epochs = 3
batch_size = 32
optimizer = "sgd"
lr = 0.5
weight_decay = 0.0
schedule = "constant"
task_weight = 0.5
temperature = 1.0
augment = [{ call = "run.py:shaken", args = { by = 0.01 } }, "mixup"]
dropout = 0.0
early_stopping = 0
"""
SHAKEN = """

def shaken(by):
    return lambda sample: sample + by * torch.randn_like(sample)
"""


@pytest.fixture
def pair(write_pair, tmp_path, monkeypatch) -> Path:
    """A student whose logits are a tenth of its teacher's; nothing but their scale is wrong."""
    folder: Path = write_pair(tmp_path / "pair", scale=0.1)
    monkeypatch.chdir(folder)
    return folder


def test_the_users_own_augmentation_in_a_list_trains_and_is_written(pair, capsys):
    edited(code=SHAKEN, more=RECIPE)
    record = fix("--only", "scale_temperature,add_weight_decay", "--seeds", "1", *JSON)
    done = {t["fix"] for t in record["trials"] if t["status"] == "done"}
    assert {"control", "add_weight_decay"} <= done
    assert record["chosen"] is not None
    written = read_config(Path(FIXED)).recipe
    assert written.recipe.augment == ("../run.py:shaken", "mixup")
    assert written.augment is not None
    assert written.augment.args == {"by": 0.01}
    capsys.readouterr()
    assert app.run(["fix", "-c", FIXED, "-q", "-o", "more"]) == 0


def test_an_unknown_name_in_the_list_names_file_line_and_key(pair, capsys):
    edited(more=RECIPE.replace('"mixup"', '"mixpu"'))
    line = Path("gapdoctor.toml").read_text().splitlines().index(
        'augment = [{ call = "run.py:shaken", args = { by = 0.01 } }, "mixpu"]'
    )  # fmt: skip
    assert app.run(["diagnose"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"gapdoctor: gapdoctor.toml:{line + 1}: recipe.augment: unknown augmentation 'mixpu'",
        "try: did you mean mixup?",
    ]
