"""Files made to harm: nothing of them runs, nothing they claim is allocated."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import read_checkpoint
from gapdoctor.loading.checkpoint._names import Kind, kind_of
from gapdoctor.loading.checkpoint._scan import scan_pickle


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def archive(path: Path, pickled: bytes, **storages: bytes) -> Path:
    """A checkpoint with a pickle of our own."""
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a/data.pkl", pickled)
        target.writestr("a/byteorder", b"little")
        target.writestr("a/version", b"3\n")
        for key, content in storages.items():
            target.writestr(f"a/data/{key.lstrip('s')}", content)
    return path


def saved(path: Path, content: Any, **storages: bytes) -> Path:
    return archive(path, pickle.dumps(content, protocol=2), **storages)


def refused(path: Path, *, unsafe: bool = False) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, unsafe=unsafe)
    assert "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message + caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("beside_weights", [False, True])
def test_a_payload_is_named_and_never_run(
    tmp_path: Path, legacy: bool, beside_weights: bool
) -> None:
    proof = tmp_path / "pwned"
    payload: Any = Calls(os.system, f"touch {proof}")
    if beside_weights:
        payload = {"model": nn.Linear(2, 2).state_dict(), "epoch": payload}
    path = tmp_path / "payload.pth"
    torch.save(payload, path, _use_new_zipfile_serialization=not legacy)
    assert f"tries to call {os.name}.system" in refused(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    "call",
    [
        Calls(eval, "1/0"),
        Calls(exec, "raise SystemExit"),
        Calls(getattr, "text", "upper"),
        Calls(print, "hello"),
        Calls(__import__, "antigravity"),
        Calls(open, "/etc/passwd"),
        Calls(pickle.loads, b"."),
    ],
    ids=lambda call: call.function.__name__,
)
def test_calls_of_builtins_are_named(tmp_path: Path, call: Calls) -> None:
    path = saved(tmp_path / "x.pth", {"a": call})
    assert f".{call.function.__name__}; nothing was run" in refused(path)


def test_the_environment_cannot_turn_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setattr(Runs, "ran", ran := [])
    path = tmp_path / "x.pth"
    torch.save({"model": nn.Linear(2, 2).state_dict(), "args": Runs()}, path)
    assert read_checkpoint(path).meta["args"]["__class__"].endswith("Runs")
    assert ran == []


class Runs:
    """Tells when it is rebuilt for real."""

    ran: ClassVar[list[str]] = []

    def __getstate__(self) -> dict[str, int]:
        return {"lr": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        type(self).ran.append("built")
        vars(self).update(state)


def test_only_the_user_can_ask_for_unsafe_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runs, "ran", ran := [])
    monkeypatch.setitem(__import__("sys").modules, Runs.__module__, _module_of_runs())
    path = tmp_path / "x.pth"
    torch.save({"model": nn.Linear(2, 2).state_dict(), "args": Runs()}, path)
    assert read_checkpoint(path, unsafe=True).entries[0].parameters == 6
    assert ran == ["built"]


def _module_of_runs() -> Any:
    import types

    module = types.ModuleType(Runs.__module__)
    module.Runs = Runs  # type: ignore[attr-defined]
    return module


def test_unsafe_loading_still_refuses_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"model": nn.Linear(20, 20).state_dict()}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "checksum" in refused(path, unsafe=True)


def test_claims_of_memory_are_refused_before_any_is_taken(tmp_path: Path) -> None:
    assert "builtins.bytearray" in refused(saved(tmp_path / "a.pth", Calls(bytearray, 2 * 10**9)))
    legacy = pickle.dumps(Calls(torch.FloatTensor, 10**9), protocol=2)
    assert "FloatTensor" in refused(archive(tmp_path / "b.pth", legacy))
    plain = b"\x80\x02ctorch\nTensor\nJ\x00\xca\x9a;\x85R."
    assert "in an unusual way" in refused(archive(tmp_path / "c.pth", plain))


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"


def tensor(count: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The pickle of one tensor over storage `0` of `count` floats."""
    return b"".join(
        [
            b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(",
            STORAGE,
            b"J" + count.to_bytes(4, "little", signed=True) + b"tQK\x00",
            pickled_tuple(shape),
            pickled_tuple(stride),
            b"\x89ccollections\nOrderedDict\n)RtRs.",
        ]
    )


def pickled_tuple(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"\x8a\x08" + n.to_bytes(8, "little") for n in numbers) + b"t"


def test_the_hand_made_tensor_is_a_good_one(tmp_path: Path) -> None:
    found = read_checkpoint(archive(tmp_path / "x.pth", tensor(2, (2,), (1,)), s0=bytes(8)))
    assert found.entries[0].state["w"].tolist() == [0, 0]


def test_a_tensor_that_claims_more_than_is_stored(tmp_path: Path) -> None:
    huge = tensor(1, (10**12,), (0,))
    assert "claims 4,000,000,000,000 bytes" in refused(
        archive(tmp_path / "x.pth", huge, s0=bytes(4))
    )
    storage = tensor(10**9, (10**9,), (1,))
    assert "claims a tensor of 4,000,000,000 bytes" in refused(
        archive(tmp_path / "y.pth", storage, s0=bytes(4))
    )


def test_expanded_tensors_of_honest_size_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"mask.weight": torch.ones(1).expand(1000)}, path)
    assert read_checkpoint(path).entries[0].state["mask.weight"].sum() == 1000


def test_sparse_meta_and_quantised_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"w": torch.eye(3).to_sparse()}, path)
    assert "_rebuild_sparse_tensor" in refused(path)
    torch.save({"w": torch.empty(10**12, device="meta")}, path)
    assert "special tensor" in refused(path)
    assert kind_of("torch._utils._rebuild_qtensor") is Kind.SPECIAL
    assert kind_of("torch.qint8") is Kind.SPECIAL


def test_attributes_cannot_shadow_methods(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.detach = "no method"  # type: ignore[assignment, method-assign]
    path = tmp_path / "x.pth"
    torch.save({"weight": weight}, path)
    found = read_checkpoint(path).entries[0].state["weight"]
    assert torch.equal(found.detach(), torch.ones(3))


def nested_list(levels: int) -> bytes:
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


def test_deep_lists_are_refused(tmp_path: Path) -> None:
    deep = b"\x80\x02}X\x01\x00\x00\x00w" + nested_list(50_000)[2:-1] + b"s."
    assert "nested more than 100 levels" in refused(archive(tmp_path / "x.pth", deep))


def test_deep_tuples_as_keys_are_refused_before_they_are_hashed(tmp_path: Path) -> None:
    """Hashing them would end the process."""
    deep = b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s."
    assert "nested more than 100 levels" in refused(archive(tmp_path / "x.pth", deep))


def test_billion_laughs_are_refused(tmp_path: Path) -> None:
    laughs: list[Any] = ["ha"]
    for _ in range(40):
        laughs = [laughs, laughs]
    path = saved(tmp_path / "x.pth", {"model": {}, "laughs": laughs})
    assert "expands to more than" in refused(path)


def test_a_list_that_holds_itself_is_refused(tmp_path: Path) -> None:
    own: list[Any] = []
    own.append(own)
    assert "nested more than 100 levels" in refused(saved(tmp_path / "x.pth", {"a": own}))


def test_a_model_that_holds_itself_is_refused(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    nn.Module.__setattr__(module, "itself", module)
    path = tmp_path / "x.pth"
    torch.save(module, path)
    assert "modules in modules without end" in refused(path)


def test_copies_of_one_text_or_list_are_counted(tmp_path: Path) -> None:
    encode = b"c_codecs\nencode\n"
    text = b"X" + (200_000).to_bytes(4, "little") + b"a" * 200_000 + b"q\x00"
    again = encode + b"h\x00X\x06\x00\x00\x00latin1\x86R"
    bomb = b"\x80\x02]" + text + b"a(" + again * 10_000 + b"e."
    assert "over and over" in refused(archive(tmp_path / "x.pth", bomb))
    numbers = b"](" + b"K\x01" * 20_000 + b"eq\x00"
    again = b"c__builtin__\nset\nh\x00\x85R"
    bomb = b"\x80\x02]" + numbers + b"a(" + again * 10_000 + b"e."
    assert "over and over" in refused(archive(tmp_path / "y.pth", bomb))


@pytest.mark.parametrize("protocol", [0, 1, 3, 4, 5])
def test_other_pickle_protocols_are_named(tmp_path: Path, protocol: int) -> None:
    path = archive(tmp_path / "x.pth", pickle.dumps({"epoch": [1.5]}, protocol=protocol))
    assert "protocol" in refused(path) or "operation" in refused(path)


@pytest.mark.parametrize(
    "pickled",
    [b"", b".", b"\x80\x02", b"\x80\x02.", b"\x80\x02t.", b"\x80\x02h\x07.", b"\x80\x02}R."],
)
def test_pickles_that_do_not_add_up(tmp_path: Path, pickled: bytes) -> None:
    assert refused(archive(tmp_path / "x.pth", pickled))


def test_too_many_operations_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapdoctor.loading.checkpoint._machine.MAX_OPERATIONS", 10)
    with pytest.raises(CheckpointError, match="more than 10 objects"):
        scan_pickle(io.BytesIO(b"\x80\x02" + b"N" * 20 + b"."), tmp_path, 100)


def test_a_bad_safetensors_header(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((60).to_bytes(8, "little") + b'{"w": nonsense' + bytes(100))
    assert "damaged safetensors" in refused(path)
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{" + bytes(100))
    assert "not a checkpoint" in refused(path)
