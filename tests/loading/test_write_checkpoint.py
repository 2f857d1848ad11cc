"""Another student in the file that the old one was read from."""

from __future__ import annotations

import argparse
import datetime
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import gapdoctor
from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import load_weights, read_checkpoint
from gapdoctor.loading.writing import write_checkpoint


class Net(nn.Module):
    """A convolution, its BatchNorm, a head of a width to choose."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))
        self.head = nn.Linear(width, 3)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(images).mean((2, 3)))
        return out


class Ran(Exception):
    """Code of the file was run."""


class Tattling:
    """Tells when it is unpickled."""

    def __setstate__(self, state: Any) -> None:
        if not Tattling.asleep:
            raise Ran

    asleep = True


def net(seed: int, width: int = 2) -> Net:
    torch.manual_seed(seed)
    made = Net(width).eval()
    made.body[1].running_mean.normal_()
    made.body[1].num_batches_tracked.fill_(seed)
    return made


OLD, NEW, TEACHER = net(1), net(2), net(3, width=4)
INPUTS = torch.linspace(-1, 1, 2 * 25).reshape(2, 1, 5, 5)


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(INPUTS)
    return out


def loaded(state: Any, width: int = 2) -> Tensor:
    """What the user's own strict loading gives."""
    model = Net(width).eval()
    model.load_state_dict(state, strict=True)
    return logits(model)


def prefixed(lead: str, model: nn.Module) -> dict[str, Tensor]:
    return OrderedDict((f"{lead}{name}", t) for name, t in model.state_dict().items())


def optimizer_state(model: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(INPUTS).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


Open = Callable[[Any], Any]

LAYOUTS: dict[str, tuple[Callable[[], Any], Open]] = {
    "state_dict": (lambda: OLD.state_dict(), lambda c: c),
    "nested": (lambda: {"model": OLD.state_dict(), "epoch": 7}, lambda c: c["model"]),
    "deep": (lambda: {"trainer": {"net": OLD.state_dict()}}, lambda c: c["trainer"]["net"]),
    "data parallel": (
        lambda: {"model": prefixed("module.", OLD)},
        lambda c: {k.removeprefix("module."): v for k, v in c["model"].items()},
    ),
    "compiled": (
        lambda: prefixed("module._orig_mod.", OLD),
        lambda c: {k.removeprefix("module._orig_mod."): v for k, v in c.items()},
    ),
    "lightning": (
        lambda: {"state_dict": prefixed("model.", OLD), "hyper_parameters": {"lr": 0.1}},
        lambda c: {k.removeprefix("model."): v for k, v in c["state_dict"].items()},
    ),
    "pair": (
        lambda: {"student": OLD.state_dict(), "teacher": TEACHER.state_dict()},
        lambda c: c["student"],
    ),
    "distiller": (
        lambda: {"model": prefixed("module.student.", OLD) | prefixed("module.teacher.", TEACHER)},
        lambda c: {
            k.removeprefix("module.student."): v
            for k, v in c["model"].items()
            if k.startswith("module.student.")
        },
    ),
}


def structure(content: Any) -> Any:
    """Keys in their order, types and shapes: all but the values of floats and tensors."""
    if isinstance(content, dict):
        return (type(content), [(key, structure(value)) for key, value in content.items()])
    if isinstance(content, Tensor):
        return (content.dtype, tuple(content.shape))
    return content


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_back_with_the_new_weights(tmp_path: Path, layout: str, legacy: bool):
    make, opened = LAYOUTS[layout]
    old, out = tmp_path / "old.pth", tmp_path / "student.fixed.pth"
    torch.save(make(), old, _use_new_zipfile_serialization=not legacy)
    before = old.read_bytes()

    written = write_checkpoint(old, NEW.state_dict(), out)

    assert (written.same_layout, written.in_place, written.notes) == (True, True, ())
    content = torch.load(out)
    assert torch.equal(loaded(opened(content)), logits(NEW))
    assert structure(content) == structure(torch.load(old))
    assert old.read_bytes() == before
    assert (out.read_bytes()[:2] == b"PK") is not legacy
    assert len(out.read_bytes()) == len(before)


@pytest.mark.parametrize("layout", ["pair", "distiller"])
def test_the_teacher_beside_it_stays(tmp_path: Path, layout: str):
    torch.save(LAYOUTS[layout][0](), tmp_path / "old.pth")
    write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    teacher = Net(4).eval()
    load_weights(teacher, read_checkpoint(tmp_path / "new.pth"), key=None, role="teacher")
    assert torch.equal(logits(teacher), logits(TEACHER))


def test_all_else_in_the_file_is_as_it_was(tmp_path: Path):
    content = {
        "epoch": 7,
        "model": OLD.state_dict(),
        "optimizer": optimizer_state(net(1)),
        "args": argparse.Namespace(width=2, lr=0.1),
        "best_acc": np.float64(0.75),
        "when": datetime.date(2026, 1, 2),
    }
    torch.save(content, tmp_path / "old.pth")
    write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth", weights_only=False)
    assert found["args"] == content["args"]
    assert (found["best_acc"], found["when"]) == (0.75, datetime.date(2026, 1, 2))
    assert torch.equal(
        found["optimizer"]["state"][0]["exp_avg"], content["optimizer"]["state"][0]["exp_avg"]
    )
    assert torch.equal(loaded(found["model"]), logits(NEW))


def test_a_whole_pickled_model_gets_its_weights_and_nothing_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = net(1)
    model.extra = Tattling()
    model.extra.told = 1
    torch.save(model, tmp_path / "old.pth")
    monkeypatch.setattr(Tattling, "asleep", False)
    written = write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    assert written.same_layout
    with pytest.raises(Ran):
        torch.load(tmp_path / "new.pth", weights_only=False)
    monkeypatch.setattr(Tattling, "asleep", True)
    found = torch.load(tmp_path / "new.pth", weights_only=False)
    assert isinstance(found, Net)
    assert torch.equal(logits(found), logits(NEW))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_torchscript_program_keeps_its_code(tmp_path: Path, how: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(OLD) if how == "script" else torch.jit.trace(OLD, INPUTS)
        made.save(tmp_path / "old.pt")
        written = write_checkpoint(tmp_path / "old.pt", NEW.state_dict(), tmp_path / "new.pt")
        assert written.in_place
        assert torch.allclose(logits(torch.jit.load(tmp_path / "new.pt")), logits(NEW))


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_keeps_its_code(tmp_path: Path):
    exported = torch.export.export(OLD, (INPUTS,))
    torch.export.save(exported, tmp_path / "old.pt2")
    written = write_checkpoint(tmp_path / "old.pt2", NEW.state_dict(), tmp_path / "new.pt2")
    assert written.in_place
    found = torch.export.load(tmp_path / "new.pt2").module()
    assert torch.allclose(logits(found), logits(NEW))


@pytest.mark.filterwarnings("ignore")
def test_a_program_of_another_shape_is_told_and_left(tmp_path: Path):
    torch.export.save(torch.export.export(OLD, (INPUTS,)), tmp_path / "old.pt2")
    wide = net(5, width=6)
    written = write_checkpoint(tmp_path / "old.pt2", wide.state_dict(), tmp_path / "new.pth")
    assert not written.same_layout
    assert "The file is a program that the new weights do not fit into" in written.notes[0]
    assert torch.equal(loaded(torch.load(tmp_path / "new.pth"), 6), logits(wide))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_of_the_numbers_is_kept(tmp_path: Path, dtype: torch.dtype):
    torch.save({k: v.to(dtype) for k, v in OLD.state_dict().items()}, tmp_path / "old.pth")
    write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth")
    assert {t.dtype for t in found.values()} == {dtype}
    assert torch.equal(found["head.weight"], NEW.head.weight.detach().to(dtype))


def test_what_a_narrow_type_cannot_hold_is_written_wide(tmp_path: Path):
    torch.save({k: v.half() for k, v in OLD.state_dict().items()}, tmp_path / "old.pth")
    huge = NEW.state_dict() | {"head.bias": torch.full((3,), 1e6)}
    written = write_checkpoint(tmp_path / "old.pth", huge, tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth")
    assert not written.in_place
    assert found["head.bias"].tolist() == [1e6] * 3
    assert found["head.weight"].dtype == torch.float16


def test_safetensors_keeps_its_metadata_and_its_other_tensors(tmp_path: Path):
    tensors = {**prefixed("student.", OLD), **prefixed("teacher.", TEACHER)}
    safetensors.torch.save_file(tensors, tmp_path / "old.safetensors", {"format": "pt", "by": "me"})
    written = write_checkpoint(
        tmp_path / "old.safetensors", NEW.state_dict(), tmp_path / "student.fixed.pth"
    )
    assert written.same_layout
    (note,) = written.notes
    assert note.startswith("student.fixed.pth is a safetensors file, as old.safetensors is")
    assert "safetensors.torch.load_file" in note
    found = safetensors.torch.load_file(tmp_path / "student.fixed.pth")
    assert structure(dict(sorted(found.items()))) == structure(dict(sorted(tensors.items())))
    own = {k.removeprefix("student."): v for k, v in found.items() if k.startswith("student.")}
    assert torch.equal(loaded(own), logits(NEW))
    with safetensors.safe_open(tmp_path / "student.fixed.pth", "pt") as opened:
        assert opened.metadata() == {"format": "pt", "by": "me"}


def test_a_bundle_gets_the_new_recipe_and_history(tmp_path: Path):
    gapdoctor.save_bundle(
        tmp_path / "old.pth",
        student=OLD,
        teacher=TEACHER,
        recipe={"lr": 0.1},
        history={"epoch": [1], "train_loss": [2.0], "heldout_loss": [3.0]},
        names={"student.model": "run.py:net"},
    )
    curves = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5], "heldout_loss": [1.0, 0.7]})
    write_checkpoint(
        tmp_path / "old.pth",
        NEW.state_dict(),
        tmp_path / "new.pth",
        recipe=Recipe(lr=0.01, augment=("flip",)),
        history=curves,
    )
    found = read_checkpoint(tmp_path / "new.pth")
    assert found.format == "bundle"
    assert found.meta["recipe"] == {"lr": 0.01, "augment": ["flip"]}
    assert found.meta["history"]["heldout_loss"] == [1.0, 0.7]
    assert found.meta["names"] == {"student.model": "run.py:net"}
    assert torch.equal(loaded(torch.load(tmp_path / "new.pth")["student"]), logits(NEW))


def test_a_larger_student_keeps_the_layout_and_leaves_the_optimizer_out(tmp_path: Path):
    content = {
        "epoch": 7,
        "model": prefixed("module.", OLD),
        "optimizer": optimizer_state(net(1)),
        "args": argparse.Namespace(width=2),
        "when": datetime.date(2026, 1, 2),
    }
    torch.save(content, tmp_path / "old.pth")
    wide = net(5, width=6)
    written = write_checkpoint(tmp_path / "old.pth", wide.state_dict(), tmp_path / "new.pth")
    assert written.same_layout
    assert not written.in_place
    assert written.notes == (
        "Left out, since it belongs to the old shapes: optimizer.",
        "Left out, since their classes are never imported: when (datetime.date).",
    )
    found = torch.load(tmp_path / "new.pth", weights_only=False)
    assert list(found) == ["epoch", "model", "args"]
    assert found["args"].width == 2
    assert list(found["model"]) == [f"module.{name}" for name in wide.state_dict()]
    own = {k.removeprefix("module."): v for k, v in found["model"].items()}
    assert torch.equal(loaded(own, 6), logits(wide))


def test_a_larger_student_in_the_place_of_a_whole_model_is_a_bare_state_dict(tmp_path: Path):
    torch.save(net(1), tmp_path / "old.pth")
    wide = net(5, width=6)
    written = write_checkpoint(tmp_path / "old.pth", wide.state_dict(), tmp_path / "new.pth")
    assert not written.same_layout
    assert "whole pickled model, whose class is never imported" in written.notes[0]
    assert torch.equal(loaded(torch.load(tmp_path / "new.pth"), 6), logits(wide))


def test_a_deeper_student_gets_more_names_under_the_same_prefix(tmp_path: Path):
    small, deep = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    torch.save({"model": prefixed("module.", small)}, tmp_path / "old.pth")
    write_checkpoint(tmp_path / "old.pth", deep.state_dict(), tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth")["model"]
    assert set(found) == {f"module.{name}" for name in deep.state_dict()}


def test_a_set_with_the_same_values_goes_along_and_a_differing_one_stays(tmp_path: Path):
    same, other = net(1), net(9)
    content = {
        "model": OLD.state_dict(),
        "ema": same.state_dict(),
        "swa": other.state_dict(),
    }
    torch.save(content, tmp_path / "old.pth")
    written = write_checkpoint(
        tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth", key="model"
    )
    found = torch.load(tmp_path / "new.pth")
    assert torch.equal(loaded(found["model"]), logits(NEW))
    assert torch.equal(loaded(found["swa"]), logits(other))
    assert written.notes == ("Other sets of weights in the file are as they were: ema, swa.",)
    without_key = write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "again.pth")
    assert torch.equal(loaded(torch.load(tmp_path / "again.pth")["ema"]), logits(NEW))
    assert without_key.notes == ("Other sets of weights in the file are as they were: swa.",)


def test_a_teacher_on_the_same_bytes_keeps_its_own(tmp_path: Path):
    """Student and teacher may share an embedding; the file then stores it once."""
    student, teacher = nn.Linear(2, 3), nn.Linear(2, 3)
    teacher.weight = student.weight
    torch.save(
        {"student": student.state_dict(), "teacher": teacher.state_dict()}, tmp_path / "old.pth"
    )
    new = nn.Linear(2, 3)
    written = write_checkpoint(tmp_path / "old.pth", new.state_dict(), tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth")
    assert not written.in_place
    assert torch.equal(found["teacher"]["weight"], teacher.weight)
    assert torch.equal(found["student"]["weight"], new.weight)


def test_a_view_into_a_larger_storage_is_written_where_it_lies(tmp_path: Path):
    flat = torch.arange(10.0)
    torch.save({"weight": flat[2:8].view(3, 2).t(), "bias": flat[8:]}, tmp_path / "old.pth")
    new = {"weight": torch.full((2, 3), 5.0), "bias": torch.tensor([6.0, 7.0])}
    written = write_checkpoint(tmp_path / "old.pth", new, tmp_path / "new.pth")
    found = torch.load(tmp_path / "new.pth")
    assert written.in_place
    assert found["weight"].untyped_storage().nbytes() == 40
    assert torch.equal(found["weight"], new["weight"])
    assert torch.equal(found["bias"], new["bias"])


def test_a_damaged_or_strange_file_is_refused(tmp_path: Path):
    torch.save({"model": {"other.weight": torch.ones(3)}}, tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match="no weights in the file bear the student's names"):
        write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    assert not (tmp_path / "new.pth").exists()
    torch.save(OLD.state_dict(), tmp_path / "good.pth")
    with pytest.raises(CheckpointError, match="is the file that was read"):
        write_checkpoint(tmp_path / "good.pth", NEW.state_dict(), tmp_path / "good.pth")


class Calls:
    """Would run a command when unpickled."""

    def __reduce__(self) -> Any:
        import os

        return (os.system, ("touch ran",))


def test_a_hostile_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": OLD.state_dict(), "x": Calls()}, tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match="nothing was run"):
        write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    assert not (tmp_path / "ran").exists()


def test_what_only_unsafe_loading_reads_is_written_anew(tmp_path: Path):
    torch.save({"model": OLD.state_dict(), "epoch": 7}, tmp_path / "old.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError):
        write_checkpoint(tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth")
    written = write_checkpoint(
        tmp_path / "old.pth", NEW.state_dict(), tmp_path / "new.pth", unsafe=True
    )
    assert written.same_layout
    found = torch.load(tmp_path / "new.pth")
    assert found["epoch"] == 7
    assert torch.equal(loaded(found["model"]), logits(NEW))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_flipped_bytes_never_give_a_traceback(tmp_path: Path, legacy: bool):
    torch.save(OLD.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=not legacy)
    whole = (tmp_path / "old.pth").read_bytes()
    for at in range(0, len(whole), max(len(whole) // 60, 1)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        (tmp_path / "bad.pth").write_bytes(damaged)
        (tmp_path / "new.pth").unlink(missing_ok=True)
        try:
            write_checkpoint(tmp_path / "bad.pth", NEW.state_dict(), tmp_path / "new.pth")
        except CheckpointError:
            assert not (tmp_path / "new.pth").exists()
        else:
            read_checkpoint(tmp_path / "new.pth")
