"""Weights into a model: strictly, or with a line that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import Checkpoint, fits, load_weights, read_checkpoint


def model(width: int = 4, classes: int = 3, layers: int = 1) -> nn.Sequential:
    body = [nn.Linear(width, width) for _ in range(layers)]
    return nn.Sequential(
        nn.Linear(2, width), nn.BatchNorm1d(width), *body, nn.Linear(width, classes)
    )


def filled(value: float) -> dict[str, Tensor]:
    return {k: torch.full_like(t, value) for k, t in model().state_dict().items()}


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def write(content: Any) -> Checkpoint:
        torch.save(content, tmp_path / "student.pth")
        return read_checkpoint(tmp_path / "student.pth")

    return write


def test_the_weights_arrive(save: Any) -> None:
    net = model()
    assert load_weights(net, save({"model": filled(2.0)}), key=None, role="student") == ()
    assert all(bool((t == 2).all()) for t in net.state_dict().values())


@pytest.mark.parametrize(
    ("prefix", "role"),
    [("model.", "student"), ("net.", "teacher"), ("student.", "student"), ("teacher.", "teacher"),
     ("model.net.", "student"), ("student.module.", "student")],
)  # fmt: skip
def test_prefixes_are_taken_off_where_the_names_then_fit(save: Any, prefix: str, role: Any) -> None:
    net = model()
    checkpoint = save({f"{prefix}{k}": t for k, t in filled(2.0).items()})
    notes = load_weights(net, checkpoint, key=None, role=role)
    assert bool((net[0].weight == 2).all())
    if prefix != "teacher.":  # which already named the entry
        assert notes == (f"The prefix {prefix} was taken off the names in the file.",)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = model()


def test_a_prefix_that_belongs_to_the_model_is_kept(save: Any) -> None:
    net = Wrapped()
    checkpoint = save({f"model.{k}": t for k, t in filled(2.0).items()})
    assert load_weights(net, checkpoint, key=None, role="student") == ()
    assert bool((net.model[0].weight == 2).all())


def test_a_prefix_that_only_the_model_has(save: Any) -> None:
    net = Wrapped()
    load_weights(net, save(filled(2.0)), key=None, role="student")
    assert bool((net.model[0].weight == 2).all())
    parallel = nn.DataParallel(model())
    load_weights(parallel, save(filled(2.0)), key=None, role="student")
    assert bool((parallel.module[0].weight == 2).all())


def test_what_lies_beside_the_model_is_left_out_and_told(save: Any) -> None:
    state = {f"model.{k}": t for k, t in filled(2.0).items()}
    checkpoint = save({"state_dict": {**state, "criterion.weight": torch.ones(3)}})
    notes = load_weights(model(), checkpoint, key=None, role="student")
    assert notes[1] == "1 tensors beside it were left out."


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_widths_are_cast_and_told(save: Any, dtype: torch.dtype) -> None:
    net = model()
    state = {k: t.to(dtype) if t.is_floating_point() else t for k, t in filled(2.0).items()}
    (note,) = load_weights(net, save(state), key=None, role="student")
    assert str(dtype).removeprefix("torch.") in note
    assert net[0].weight.dtype == torch.float32
    assert bool((net[0].weight == 2).all())


def test_integers_are_no_weights(save: Any) -> None:
    state = {k: t.to(torch.int8) for k, t in filled(2.0).items()}
    with pytest.raises(CheckpointError, match="stored as integers") as caught:
        load_weights(model(), save(state), key=None, role="student")
    assert "quantised" in caught.value.hint


def test_values_that_are_no_numbers_are_told(save: Any) -> None:
    state = filled(2.0)
    state["0.weight"][0, 0] = float("nan")
    (note,) = load_weights(model(), save(state), key=None, role="student")
    assert note == "1 tensors hold NaN or infinity: 0.weight."


def test_files_from_before_the_batch_counter(save: Any) -> None:
    state = {k: t for k, t in filled(2.0).items() if "num_batches" not in k}
    net = model()
    load_weights(net, save(state), key=None, role="student")
    assert bool((net[1].running_mean == 2).all())


def test_lazy_layers_take_the_shapes_of_the_file(save: Any) -> None:
    net = nn.Sequential(nn.LazyLinear(4))
    load_weights(net, save({"0.weight": torch.ones(4, 7), "0.bias": torch.zeros(4)}), key=None,
                 role="student")  # fmt: skip
    assert net[0].weight.shape == (4, 7)


def test_two_sets_that_fit_need_a_key(save: Any) -> None:
    checkpoint = save({"model": filled(1.0), "model_ema": filled(2.0)})
    with pytest.raises(
        CheckpointError, match="several sets of weights fit the student: model, m"
    ) as e:
        load_weights(model(), checkpoint, key=None, role="student")
    assert '[student] key = "model"' in e.value.hint
    net = model()
    load_weights(net, checkpoint, key="model_ema", role="student")
    assert bool((net[0].weight == 2).all())


def test_two_equal_sets_need_none(save: Any) -> None:
    checkpoint = save({"model": filled(1.0), "ema": filled(1.0)})
    (note,) = load_weights(model(), checkpoint, key=None, role="student")
    assert note == "model, ema hold the same weights; the first is taken."


def test_the_set_that_fits_is_taken(save: Any) -> None:
    checkpoint = save({"discriminator": model(width=9).state_dict(), "generator": filled(2.0)})
    net = model()
    assert load_weights(net, checkpoint, key=None, role="student") == ()
    assert bool((net[0].weight == 2).all())


def test_roles_decide_in_a_pair(save: Any) -> None:
    checkpoint = save({"student": filled(1.0), "teacher": filled(2.0)})
    for role, value in (("student", 1), ("teacher", 2)):
        net = model()
        load_weights(net, checkpoint, key=None, role=role)  # type: ignore[arg-type]
        assert bool((net[0].weight == value).all())


def test_the_others_weights_are_not_taken(save: Any) -> None:
    checkpoint = save({"student": filled(1.0)})
    with pytest.raises(
        CheckpointError, match="only the student's weights; the teacher's are wante"
    ):
        load_weights(model(), checkpoint, key=None, role="teacher")


def test_an_unknown_key_names_the_nearest(save: Any) -> None:
    checkpoint = save({"model": filled(1.0), "model_ema": filled(2.0)})
    with pytest.raises(CheckpointError, match="no weights under the key 'modle_ema'") as caught:
        load_weights(model(), checkpoint, key="modle_ema", role="student")
    assert caught.value.hint == "did you mean model_ema?"


@pytest.mark.parametrize(
    ("net", "said", "hint"),
    [
        (
            model(classes=5),
            "2 of another shape",
            "head: 3 classes in the file, 5 in the model (3.w",
        ),
        (model(width=8), "of another shape", "layers are 0.5 times as wide"),
        (model(layers=2), "2 missing in the file (4.weight, 4.bias)", "more layers than the file"),
        (
            model(layers=0),
            "2 unknown to the model (3.weight, 3.bias)",
            "more layers than the model",
        ),
        (nn.Sequential(), "11 unknown to the model", ""),
        (nn.Bilinear(2, 2, 2), "missing in the file", "no name is in both"),
    ],
    ids=["head", "width", "deeper", "shallower", "empty", "other"],
)
def test_a_mismatch_is_told_with_counts_and_a_guess(
    save: Any, net: nn.Module, said: str, hint: str
) -> None:
    before = {k: t.clone() for k, t in net.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(net, save(filled(1.0)), key=None, role="student")
    assert "does not fit the student model" in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items())


def test_renamed_layers_are_guessed(save: Any) -> None:
    net = nn.Sequential()
    net.add_module("classifier", nn.Linear(2, 2))
    checkpoint = save({"classifler.weight": torch.ones(2, 2), "classifler.bias": torch.ones(2)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(net, checkpoint, key=None, role="student")
    assert "no name is in both" in caught.value.hint
    checkpoint = save({"classifler.weight": torch.ones(2, 2), "classifier.bias": torch.ones(2)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(net, checkpoint, key=None, role="student")
    assert "classifler.weight in the file may be classifier.weight" in caught.value.hint


def test_fits_changes_nothing(save: Any) -> None:
    net = model()
    before = net[0].weight.clone()
    (entry,) = save(filled(2.0)).entries
    assert fits(net, entry, "student")
    assert not fits(model(classes=4), entry, "student")
    assert torch.equal(net[0].weight, before)


def test_extra_state_that_is_no_tensor_is_left_to_the_model(save: Any) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"version": 2}

        def set_extra_state(self, state: Any) -> None:
            self.seen = state

    net = Extra(2, 2)
    load_weights(net, save({"weight": torch.ones(2, 2), "bias": torch.ones(2)}), key=None,
                 role="student")  # fmt: skip
    assert net.seen == {"version": 2}


def test_a_model_that_refuses_is_told(save: Any) -> None:
    net = nn.Linear(2, 2)

    def object_to_it(*_: Any) -> None:
        raise ValueError("no")

    net.register_load_state_dict_pre_hook(object_to_it)
    with pytest.raises(CheckpointError, match="refuses its weights"):
        load_weights(net, save(nn.Linear(2, 2).state_dict()), key=None, role="student")
