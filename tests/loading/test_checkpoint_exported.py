"""Programs of torch.export: weights are read, code is not run."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import build_from, load_weights, read_checkpoint

IMAGES = torch.rand(2, 1, 4, 4)
CONFIG = "student/data/weights/model_weights_config.json"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.body(x)).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def program(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "student.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (IMAGES,)), path)
    return path


def changed(program: Path, folder: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of the program with other members; those for which None is given are left out."""
    path = folder / "student.pt2"
    with zipfile.ZipFile(program) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def told_otherwise(**meta: Any) -> Callable[[str, bytes], bytes]:
    """Describe the head's weight otherwise than it lies there."""

    def change(name: str, content: bytes) -> bytes:
        if name != CONFIG:
            return content
        told = json.loads(content)
        told["config"]["head.weight"]["tensor_meta"] |= meta
        return json.dumps(told).encode()

    return change


def test_its_weights_are_read_and_nothing_is_run(
    program: Path, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.export, "load", lambda *_, **__: pytest.fail("was run"))
    found = read_checkpoint(program)
    (entry,) = found.entries
    assert found.format == "exported"
    assert "run only where the config says" in found.notes[0]
    assert entry.state.keys() == net.state_dict().keys()
    assert all(torch.equal(entry.state[k], t) for k, t in net.state_dict().items())
    fresh = Net().eval()
    load_weights(fresh, found, key=None, role="student")
    assert torch.equal(fresh(IMAGES), net(IMAGES))


@pytest.mark.filterwarnings("ignore")
def test_it_is_built_where_it_is_asked_for(program: Path, net: Net) -> None:
    assert torch.allclose(build_from(read_checkpoint(program), "exported")(IMAGES), net(IMAGES))


@pytest.mark.parametrize(
    "meta",
    [
        {"sizes": [{"as_int": 9}, {"as_int": 3}]},
        {"strides": [{"as_int": 0}, {"as_int": 0}], "sizes": [{"as_int": 10**6}] * 2},
        {"storage_offset": {"as_int": 1}},
        {"storage_offset": {"as_int": -1}},
        {"dtype": 99},
        {"sizes": None},
        {"strides": []},
    ],
    ids=str,
)
def test_weights_that_do_not_lie_where_they_are_said_to(
    program: Path, tmp_path: Path, meta: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="does not describe the weights") as raised:
        read_checkpoint(changed(program, tmp_path, told_otherwise(**meta)))
    assert "state_dict" in (raised.value.hint or "")


def test_a_pickled_weight_is_left_out_and_named(program: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)

    found = read_checkpoint(changed(program, tmp_path, change))
    assert "only unpickling would tell them: body.weight" in found.notes[1]
    assert "body.weight" not in found.entries[0].state


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("was run",)


@pytest.mark.parametrize("name", ["data/weights/model.pt", "serialized_state_dict.pt"])
@pytest.mark.parametrize("unsafe", [False, True])
def test_an_older_program_holds_an_archive_of_weights(
    program: Path, tmp_path: Path, net: Net, name: str, unsafe: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def older(weights: Any) -> Path:
        stream = io.BytesIO()
        torch.save(weights, stream)
        path = changed(program, tmp_path, lambda n, c: None if "/weights/" in n else c)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"student/{name}", stream.getvalue())
        return path

    found = read_checkpoint(older(net.state_dict()), unsafe=unsafe)
    assert all(torch.equal(found.entries[0].state[k], t) for k, t in net.state_dict().items())
    with pytest.raises(CheckpointError, match="nothing was run"):
        read_checkpoint(older({**net.state_dict(), "extra": Evil()}), unsafe=unsafe)
    assert "was run" not in capsys.readouterr().out


def test_a_program_whose_weights_are_elsewhere_can_still_be_told(
    program: Path, tmp_path: Path, net: Net
) -> None:
    found = read_checkpoint(
        changed(program, tmp_path, lambda n, c: None if "/weights/" in n else c)
    )
    assert (found.format, found.entries) == ("exported", ())
    with pytest.raises(CheckpointError, match="holds no weights that can be read"):
        load_weights(net, found, key=None, role="student")
