"""What `fix --apply` writes, read back by plain torch code and diagnosed again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import gapdoctor
from gapdoctor.cli import app

FIXED = "student.gapdoctor/gapdoctor.fixed.toml"
STUDENT = "student.gapdoctor/student.fixed.pth"


JSON = ("-q", "--format", "json")
"""No report is drawn."""


def fix(*arguments: str) -> dict[str, Any]:
    """Fix, and return `fix.json`."""
    assert app.run(["fix", "--apply", *(arguments or SCALE)]) == 0
    found: dict[str, Any] = json.loads(Path("student.gapdoctor/fix.json").read_text())
    return found


def verdict(capsys: pytest.CaptureFixture[str]) -> str:
    """Diagnose what was written as a user would, into another folder."""
    capsys.readouterr()
    assert app.run(["diagnose", "-c", FIXED, *JSON, "--json", "-o", "again"]) == 0
    return str(json.loads(capsys.readouterr().out)["verdict"])


@pytest.fixture
def pair(write_pair, tmp_path, monkeypatch) -> Path:
    """A student whose logits are a tenth of its teacher's; nothing but their scale is wrong."""
    folder: Path = write_pair(tmp_path / "pair", scale=0.1)
    monkeypatch.chdir(folder)
    return folder


SCALE = ("--only", "scale_temperature", *JSON)


# -- containers ------------------------------------------------------------------------------------


def linear(state: dict[str, Tensor] | None = None) -> nn.Linear:
    made = nn.Linear(4, 3)
    made.load_state_dict(state or torch.load("student.pth", weights_only=True), strict=True)
    return made


def sharper(new: nn.Linear, old: nn.Linear) -> bool:
    """Whether the temperature, a tenth, is in the head."""
    ratio = float((new.weight.norm() / old.weight.norm()).detach())
    return ratio == pytest.approx(10, rel=0.25)


def prefixed(lead: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{lead}{name}": tensor for name, tensor in state.items()}


def bare(lead: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(lead): tensor for name, tensor in state.items()}


def optimizer(model: nn.Module) -> dict[str, Any]:
    adam = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(2, 4)).sum().backward()
    adam.step()
    return adam.state_dict()


Save = Callable[[nn.Linear], Any]
Load = Callable[[Any], dict[str, Tensor]]
LAYOUTS: dict[str, tuple[Save, Load]] = {
    "lightning": (
        lambda m: {"state_dict": prefixed("model.", m.state_dict()), "epoch": 3,
                   "pytorch-lightning_version": "2.0.0", "hyper_parameters": {"lr": 0.1},
                   "optimizer_states": [optimizer(linear(m.state_dict()))]},
        lambda c: bare("model.", c["state_dict"]),
    ),
    "data parallel, with its optimizer": (
        lambda m: {
            "epoch": 3,
            "model": prefixed("module.", m.state_dict()),
            "optimizer": optimizer(linear(m.state_dict())),
        },
        lambda c: bare("module.", c["model"]),
    ),
    "deep": (
        lambda m: {"trainer": {"nets": {"student": prefixed("module._orig_mod.", m.state_dict())}}},
        lambda c: bare("module._orig_mod.", c["trainer"]["nets"]["student"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_nested_checkpoint_is_read_back_strictly_and_healed(pair, capsys, layout):
    save, load = LAYOUTS[layout]
    given = linear()
    torch.save(save(given), "student.pth")
    record = fix()
    assert record["chosen"] == "scale_temperature"
    before, after = (torch.load(p, weights_only=True) for p in ("student.pth", STUDENT))
    assert before.keys() == after.keys()
    assert sharper(linear(load(after)), given)
    assert verdict(capsys) == "healthy"


def test_a_bundle_keeps_all_else_that_it_holds(pair, capsys):
    teacher = linear(torch.load("teacher.pth", weights_only=True))
    given = linear()
    history = {"epoch": [1, 2], "train_loss": [1.0, 0.9], "heldout_loss": [1.1, 1.0]}
    recipe = {"lr": 0.1, "augment": "run.py:views", "epochs": 2}
    gapdoctor.save_bundle("student.pth", student=given, teacher=teacher, recipe=recipe,
                          history=history, names={"student.model": "run.py:linear"})  # fmt: skip
    config = Path("gapdoctor.toml")
    config.write_text(config.read_text().replace('checkpoint = "teacher.pth"\n', ""))
    assert fix()["chosen"] == "scale_temperature"
    before, after = (torch.load(p, weights_only=True) for p in ("student.pth", STUDENT))
    assert before.keys() == after.keys()
    assert {k: after[k] for k in ("recipe", "history", "names")} == {
        k: before[k] for k in ("recipe", "history", "names")
    }
    linear(after["student"])
    assert all(torch.equal(after["teacher"][k], v) for k, v in teacher.state_dict().items())
    assert verdict(capsys) == "healthy"


def test_the_set_that_the_config_names_is_the_one_that_is_mended(pair, capsys):
    ema, raw = linear(), nn.Linear(4, 3)
    torch.save({"state_dict": raw.state_dict(), "state_dict_ema": ema.state_dict()}, "student.pth")
    config = Path("gapdoctor.toml")
    config.write_text(config.read_text().replace(
        'checkpoint = "student.pth"\n', 'checkpoint = "student.pth"\nkey = "state_dict_ema"\n'
    ))  # fmt: skip
    fix()
    after = torch.load(STUDENT, weights_only=True)
    assert torch.equal(linear(after["state_dict"]).weight, raw.weight)
    assert sharper(linear(after["state_dict_ema"]), ema)
    assert verdict(capsys) == "healthy"


def renamed(name: str) -> None:
    """Another file for the student."""
    config = Path("gapdoctor.toml")
    config.write_text(
        config.read_text().replace('checkpoint = "student.pth"', f'checkpoint = "{name}"')
    )
    Path("student.pth").unlink()


def test_a_safetensors_student_is_written_as_one_under_the_name_of_all(pair, capsys):
    given = linear()
    safetensors.torch.save_file(given.state_dict(), "student.safetensors", {"by": "me"})
    renamed("student.safetensors")
    record = fix("--only", "scale_temperature", "-q", "--format", "md")
    assert record["written"]["checkpoint"] == "student.fixed.pth"
    assert sharper(linear(safetensors.torch.load_file(STUDENT)), given)
    (note,) = [n for n in record["notes"] if "safetensors" in n]
    assert note.startswith("student.fixed.pth is a safetensors file, as student.safetensors is")
    assert "safetensors.torch.load_file" in Path("student.gapdoctor/report.md").read_text()
    capsys.readouterr()
    assert app.run(["inspect", STUDENT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "safetensors"
    assert verdict(capsys) == "healthy"
    # and of what was written, once more: the suffix says nothing of the container
    assert app.run(["fix", "-c", FIXED, "-q", "-o", "more"]) == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["torchscript", "exported"])
def test_a_program_is_run_under_its_new_name(pair, capsys, kind):
    given, inputs = linear().eval(), torch.ones(2, 4)
    if kind == "torchscript":
        torch.jit.trace(given, inputs).save("student.pt")
    else:
        rows = torch.export.Dim("rows")
        torch.export.save(torch.export.export(given, (inputs,), dynamic_shapes=({0: rows},)),
                          "student.pt")  # fmt: skip
    renamed("student.pt")
    config = Path("gapdoctor.toml")
    config.write_text(config.read_text().replace('"run.py:linear"', f'"{kind}"', 1))
    assert fix()["chosen"] == "scale_temperature"
    assert verdict(capsys) == "healthy"
