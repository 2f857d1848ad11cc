"""Where in a file the weights lie, and what else of it is told."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gapdoctor
from gapdoctor.discovery import find_plugins, plugin_names
from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import Checkpoint, build_from, read_checkpoint
from gapdoctor.loading.checkpoint.containers._base import Container
from gapdoctor.loading.checkpoint.layouts._base import Layout, all_layouts


class Net(nn.Module):
    """A convolution, its BatchNorm, a head, and a buffer that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.head = nn.Linear(2, 3)
        self.register_buffer("grid", torch.zeros(5), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(images).mean((2, 3)))
        return out


@pytest.fixture
def net() -> Net:
    torch.manual_seed(1)
    return Net().eval()


def read(tmp_path: Path, content: Any, **how: Any) -> Checkpoint:
    path = tmp_path / "student.pth"
    torch.save(content, path, **how)
    return read_checkpoint(path)


def same(state: Any, net: nn.Module) -> bool:
    wanted = net.state_dict()
    return state.keys() == wanted.keys() and all(
        torch.equal(state[k], t) for k, t in wanted.items()
    )


def test_a_bare_state_dict(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, net.state_dict())
    assert (found.format, found.meta) == ("state_dict", {})
    (entry,) = found.entries
    assert (entry.key, entry.role) == ("", None)
    assert same(entry.state, net)
    # 2·1·3·3 + 2 of the convolution, 2 + 2 of the BatchNorm, 2·3 + 3 of the head
    assert entry.parameters == 20 + 4 + 9


def test_the_old_format_is_read_with_a_warning(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, net.state_dict(), _use_new_zipfile_serialization=False)
    assert same(found.entries[0].state, net)
    assert "without checksums" in found.notes[0]


@pytest.mark.parametrize(
    "key",
    ["model", "state_dict", "model_state_dict", "net", "network", "weights", "params", "module",
     "ema", "state_dict_ema", "backbone"],
)  # fmt: skip
def test_weights_under_a_key(tmp_path: Path, net: Net, key: str) -> None:
    found = read(tmp_path, {"epoch": 7, key: net.state_dict(), "best_acc": torch.tensor(0.5)})
    assert found.format == "nested"
    (entry,) = found.entries
    assert (entry.key, entry.role) == (key, None)
    assert same(entry.state, net)
    assert found.meta == {"epoch": 7, "best_acc": 0.5}


@pytest.mark.parametrize("key", ["student", "student_state_dict", "model_s"])
def test_a_key_can_name_the_student(tmp_path: Path, net: Net, key: str) -> None:
    assert read(tmp_path, {key: net.state_dict()}).entries[0].role == "student"


def test_deeper_keys_are_dotted(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, {"trainer": {"model": net.state_dict()}, "model": None})
    assert [e.key for e in found.entries] == ["trainer.model"]


def test_optimizer_states_and_curves_are_no_weights(tmp_path: Path, net: Net) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    content = {
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": {"train": torch.ones(3), "val": torch.ones(3)},
    }
    found = read(tmp_path, content)
    assert [e.key for e in found.entries] == ["model"]
    assert found.meta["optimizer"]["param_groups"][0]["lr"] == 0.1
    assert found.meta["optimizer"]["state"][0]["step"] == 1
    assert found.meta["losses"]["val"] == [1, 1, 1]


@pytest.mark.parametrize(
    "wrapped",
    ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.{}"],
)
def test_wrappers_are_stripped(tmp_path: Path, net: Net, wrapped: str) -> None:
    state = {wrapped.format(name): tensor for name, tensor in net.state_dict().items()}
    assert same(read(tmp_path, state).entries[0].state, net)


def test_real_wrappers_are_stripped(tmp_path: Path, net: Net) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(net)
    assert "n_averaged" in averaged.state_dict()
    assert same(read(tmp_path, averaged.state_dict()).entries[0].state, net)
    assert same(read(tmp_path, nn.DataParallel(net).state_dict()).entries[0].state, net)
    # what a compiled part of a model leaves in the middle of a name
    state = {f"head._orig_mod.{k}": t for k, t in net.head.state_dict().items()}
    assert set(read(tmp_path, state).entries[0].state) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ("student", "teacher"),
        ("model_s", "model_t"),
        ("model", "teacher"),
        ("net", "teacher_model"),
    ],
)
def test_a_pair_by_prefix(tmp_path: Path, net: Net, student: str, teacher: str) -> None:
    other = Net()
    state = {
        **{f"module.{student}.{k}": t for k, t in net.state_dict().items()},
        **{f"module.{teacher}.{k}": t for k, t in other.state_dict().items()},
        "module.projection.weight": torch.zeros(2, 2),
    }
    found = read(tmp_path, {"state_dict": state, "epoch": 1})
    assert found.format == "pair"
    assert {e.role: e.key for e in found.entries} == {
        "student": f"state_dict.{student}",
        "teacher": f"state_dict.{teacher}",
    }
    by_role = {e.role: e.state for e in found.entries}
    assert same(by_role["student"], net)
    assert same(by_role["teacher"], other)


def test_a_student_that_carries_its_teacher(tmp_path: Path, net: Net) -> None:
    state = {**net.state_dict(), **{f"teacher.{k}": t for k, t in Net().state_dict().items()}}
    found = read(tmp_path, state)
    by_role = {e.role: e for e in found.entries}
    assert same(by_role["student"].state, net)
    assert by_role["teacher"].key == "teacher"


def test_a_pair_by_key(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, {"student": net.state_dict(), "teacher": Net().state_dict(), "epoch": 2})
    assert found.format == "pair"
    assert [(e.key, e.role) for e in found.entries] == [
        ("student", "student"),
        ("teacher", "teacher"),
    ]


def test_a_bundle(tmp_path: Path, net: Net) -> None:
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=net, recipe={"epochs": 3})
    found = read_checkpoint(path)
    assert (found.format, [e.key for e in found.entries]) == ("bundle", ["student"])
    assert found.meta["recipe"] == {"epochs": 3}


def test_a_bundle_of_a_later_version(tmp_path: Path, net: Net) -> None:
    with pytest.raises(CheckpointError, match="bundle of version 2; this gapdoctor reads 1"):
        read(tmp_path, {"gapdoctor_bundle": 2, "student": net.state_dict()})


def test_safetensors_with_metadata(tmp_path: Path, net: Net) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(net.state_dict(), path, metadata={"format": "pt"})
    found = read_checkpoint(path)
    assert (found.format, found.meta) == ("safetensors", {"metadata": {"format": "pt"}})
    assert same(found.entries[0].state, net)
    assert found.entries[0].key == ""


def test_a_safetensors_pair(tmp_path: Path, net: Net) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "pair.safetensors"
    state = {
        f"{role}.{k}": t for role in ("student", "teacher") for k, t in net.state_dict().items()
    }
    save_file({k: t.clone() for k, t in state.items()}, path)
    found = read_checkpoint(path)
    assert found.format == "safetensors"
    assert [(e.key, e.role) for e in found.entries] == [
        ("student", "student"),
        ("teacher", "teacher"),
    ]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_model_gives_its_weights_unimported(
    tmp_path: Path, net: Net, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    path = tmp_path / "model.pth"
    # torch.save of a module in the old format also stores its source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(net, path, _use_new_zipfile_serialization=not legacy)
    if legacy:
        with pytest.raises(CheckpointError, match="is a whole model in the old format"):
            read_checkpoint(path)
        return
    monkeypatch.setattr(Net, "__setstate__", lambda *_: pytest.fail("was imported"), raising=False)
    found = read_checkpoint(path)
    assert found.format == "module"
    assert same(found.entries[0].state, net)
    assert found.notes == (f"Kept as plain data, nothing of it run: {Net.__module__}.Net.",)


def test_a_whole_model_under_a_key_as_ultralytics_does(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, {"model": None, "ema": net.half(), "train_args": {"lr0": 0.01}})
    assert found.entries[0].key == "ema"
    assert found.entries[0].state["head.weight"].dtype == torch.float16
    assert found.meta == {"model": None, "train_args": {"lr0": 0.01}}


class Config(dict[str, Any]):
    """A dict of the user's own kind."""


class History(list[float]):
    """A list of the user's own kind."""


class Mode(__import__("enum").Enum):
    FAST = "fast"


def test_what_trainers_keep_beside_weights_becomes_plain_data(tmp_path: Path, net: Net) -> None:
    grouped: Any = collections.defaultdict(list)
    grouped["a"].append(1)
    content = {
        "model": net.state_dict(),
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/one"), mode=Mode.FAST),
        "best_acc": np.float64(0.25),
        "count": np.int64(7),
        "curve": np.array([[1.0, 2.0], [3.0, 4.0]], order="F"),
        "swapped": np.array([1, 2], dtype=">i4"),
        "empty": b"",
        "raw": b"\x00\xff",
        "grouped": grouped,
        "config": Config(a=1),
        "history": History([1.0, 0.5]),
        "seen": {3, 1},
        "when": datetime.timedelta(days=2),
        "huge": 1 << 80,
        7: "a number as key",
    }
    meta = read(tmp_path, content).meta
    assert meta["args"] == {"lr": 0.1, "out": "runs/one", "mode": "fast"}
    assert (meta["best_acc"], meta["count"]) == (0.25, 7)
    assert (meta["curve"], meta["swapped"]) == ([[1, 2], [3, 4]], [1, 2])
    assert (meta["grouped"], meta["config"], meta["history"]) == ({"a": [1]}, {"a": 1}, [1.0, 0.5])
    assert sorted(meta["seen"]) == [1, 3]
    assert meta["when"]["__class__"] == "datetime.timedelta"
    assert (meta["huge"], meta[7]) == ("(a huge integer)", "a number as key")


def test_object_arrays_are_left_out(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, {"model": net.state_dict(), "odd": np.array([None, 1], dtype=object)})
    assert found.meta == {"odd": None}


@pytest.fixture
def script(tmp_path: Path, net: Net) -> Path:
    path = tmp_path / "student.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net), path)
    return path


def test_of_a_torchscript_program_only_the_weights_are_read(
    script: Path, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("was run"))
    found = read_checkpoint(script)
    assert found.format == "torchscript"
    assert "run only where the config says" in found.notes[0]
    state = {k: t for k, t in found.entries[0].state.items() if k != "grid"}
    assert same(state, net)


def test_a_program_is_built_where_it_is_asked_for(script: Path, net: Net) -> None:
    built = build_from(read_checkpoint(script), "torchscript")
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(built(images), net(images))


def test_a_state_dict_is_no_program(tmp_path: Path, net: Net) -> None:
    found = read(tmp_path, net.state_dict())
    with pytest.raises(CheckpointError, match=r'model = "torchscript", but the file is a state_di'):
        build_from(found, "torchscript")


def test_a_broken_program_is_told(script: Path) -> None:
    found = read_checkpoint(script)
    script.write_bytes(b"PK no longer")
    with pytest.raises(CheckpointError, match="torch cannot load this torchscript program"):
        build_from(found, "torchscript")


@pytest.mark.parametrize("name", plugin_names("gapdoctor.loading.checkpoint.containers"))
def test_every_container_is_found(name: str) -> None:
    found = {c.name for c in find_plugins("gapdoctor.loading.checkpoint.containers", Container)}
    assert name in found


def test_layouts_are_asked_in_a_total_order() -> None:
    orders = [layout.order for layout in all_layouts()]
    assert orders == sorted(set(orders))
    assert len(orders) == len(plugin_names("gapdoctor.loading.checkpoint.layouts"))


@pytest.mark.parametrize("layout", all_layouts(), ids=lambda layout: layout.name)
def test_no_layout_claims_a_file_without_weights(layout: Layout) -> None:
    assert layout.entries({"epoch": 1}, ()) == ()
