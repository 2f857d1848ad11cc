"""The grid on pictures and tables that were damaged in a known way, for one model and for both."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from gapdoctor import Case, Preprocess, TeacherLogits
from gapdoctor.corrections._apply import with_corrections
from gapdoctor.corrections._parse import parse_correction
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Intervention, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes.corrections import Corrections

PROBE = Corrections()
Look = Callable[..., Observations]
Step = Callable[[torch.Tensor], torch.Tensor]
Rows = tuple[torch.Tensor, torch.Tensor]
SIDE = 8


def centres() -> torch.Tensor:
    """Four class means (4, 3, 8, 8) in pixels from 0 to 1: no two axes or channels are alike."""
    chance = torch.Generator().manual_seed(5)
    rough = torch.rand(4, 3, 4, 4, generator=chance)
    fine = torch.rand(4, 3, SIDE, SIDE, generator=chance)
    ramp = torch.linspace(0.15, -0.05, SIDE)[None, None, :, None]
    ramp = ramp + torch.linspace(-0.1, 0.1, SIDE)[None, None, None, :]
    tint = torch.tensor([0.12, 0.0, -0.12])[None, :, None, None]
    smooth = functional.interpolate(rough, SIDE, mode="bilinear")
    return 0.38 + 0.06 * (smooth - 0.5) + 0.06 * (fine - 0.5) + ramp + tint


NOISE = 0.16


def pixels(seed: int, n: int = 500) -> Rows:
    """Pictures (n, 3, 8, 8) of these classes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, 4, n))
    noise = torch.tensor(rng.normal(0.0, NOISE, (n, 3, SIDE, SIDE)), dtype=torch.float32)
    return (centres()[labels] + noise).clamp(0, 1), labels


def ready(batch: torch.Tensor) -> torch.Tensor:
    """Normalise pixels as models want them here."""
    return (batch - 0.5) / 0.5


class Rule(nn.Module):
    """Nearest class mean; `sure` other than 1 makes it under- or oversure."""

    def __init__(self, sure: float = 1.0) -> None:
        super().__init__()
        means = ready(centres()).flatten(1)
        self.head = nn.Linear(means.shape[1], 4)
        with torch.no_grad():
            self.head.weight.copy_(sure * means / (2 * NOISE) ** 2)
            self.head.bias.copy_(-sure * 0.5 * (means**2).sum(dim=1) / (2 * NOISE) ** 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


# -- what can go wrong ------------------------------------------------------------------------


def compressed(quality: int) -> Step:
    def step(batch: torch.Tensor) -> torch.Tensor:
        made = []
        for image in (batch * 255).round().byte().permute(0, 2, 3, 1).numpy():
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "JPEG", quality=quality)
            made.append(np.asarray(Image.open(buffer)))
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255

    return step


def enlarged(size: int) -> Step:
    """The centre of the picture, enlarged to the whole."""
    at = (SIDE - size) // 2
    return lambda x: functional.interpolate(
        x[..., at : at + size, at : at + size], SIDE, mode="bilinear", antialias=True
    )


def coarse(x: torch.Tensor) -> torch.Tensor:
    small = functional.interpolate(x, SIDE // 2, mode="bilinear", antialias=True)
    return functional.interpolate(small, SIDE, mode="bilinear")


def luma(x: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True).expand_as(x)


def normalised(mean: list[float], std: list[float]) -> Step:
    m, s = (torch.tensor(v).reshape(-1, 1, 1) for v in (mean, std))
    return lambda x: (x - m) / s


UNDONE: dict[str, tuple[Step, set[str]]] = {
    "bytes": (lambda x: ready(255 * x), {"rescale_input"}),
    "divided twice": (lambda x: ready(x / 255), {"rescale_input"}),
    "not normalised": (lambda x: x, {"normalize"}),
    "imagenet": (normalised([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), {"normalize"}),
    "channels": (lambda x: ready(x.flip(1)), {"swap_channels"}),
    "turned": (lambda x: ready(torch.rot90(x, 1, (-2, -1))), {"rotate"}),
    "mirrored": (lambda x: ready(x.flip(-1)), {"flip"}),
    "negative": (lambda x: ready(1 - x), {"invert"}),
    "dark": (lambda x: ready(0.4 * x), {"brightness"}),
    "gamma": (lambda x: ready(x**2.2), {"gamma"}),
}
DONE: dict[str, tuple[Step, set[str]]] = {
    "jpeg": (lambda x: ready(compressed(20)(x)), {"jpeg"}),
    "coarse": (lambda x: ready(coarse(x)), {"low_resolution"}),
    "cropped": (lambda x: ready(enlarged(6)(x)), {"crop_zoom"}),
    "grey": (lambda x: ready(luma(x)), {"grayscale"}),
}
BOTH = {**UNDONE, **DONE}


def shown(step: Step, n: int = 500, **more: Any) -> Case:
    """A sound pair whose held-out inputs went through `step`: model-ready, so that both meet it."""
    train, (x, labels) = pixels(1, n), pixels(2, n)
    return Case(**{"student": Rule(1.05), "teacher": Rule(), "train": (ready(train[0]), train[1]),
                   "heldout": (step(x), labels), **more})  # fmt: skip


def deployed(step: Step, n: int = 500, **more: Any) -> Case:
    """A sound student that is fed `step` where it is deployed; the teacher eats as in training."""
    given = Preprocess(lambda x: ready(x[None])[0], lambda x: step(x[None])[0])
    return Case(**{"student": Rule(1.05), "teacher": Rule(), "train": pixels(1, n),
                   "heldout": pixels(2, n), "preprocess": given, **more})  # fmt: skip


def asked(seen: Observations) -> tuple[Claim, ...]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding), found
    assert found.warnings == ()
    return found.claims


# -- the pipelines are known to differ: name how ----------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_what_the_mirror_has_found_gets_its_name(looked: Look, name: str) -> None:
    step, right = BOTH[name]
    seen = looked(deployed(step))
    seen.believe(Intervention("pipeline", "train"))
    before = seen.scorer.samples()
    (claim,) = asked(seen)
    assert seen.scorer.samples() == before  # inputs are compared, no model is asked
    assert claim.cause is Cause.PREPROCESSING_MISMATCH
    assert claim.strength > 0
    assert claim.correction is not None
    assert parse_correction(claim.correction).correction in right
    assert claim.returned is claim.intervention is None  # the mirror has told the nats
    (evidence,) = claim.evidence
    assert evidence.value <= evidence.limit
    assert evidence.speaks == "for"
    assert claim.correction.partition("(")[0] in claim.summary


def test_undoing_what_it_names_gives_the_right_inputs(looked: Look) -> None:
    """The named correction is whole: its text makes the one pipeline's inputs of the other's."""
    seen = looked(deployed(UNDONE["dark"][0]))
    (claim,) = asked(seen)
    undo = parse_correction(str(claim.correction)).undo
    assert undo is not None
    rows = np.arange(100)
    wrong, right = (seen.inputs(Split.HELDOUT, rows, p) for p in ("inference", "train"))
    assert torch.allclose(undo(wrong), right, atol=0.05)


def test_a_harmless_difference_is_named_without_weight(looked: Look) -> None:
    """Nobody has said that it costs anything."""
    (claim,) = asked(looked(deployed(UNDONE["mirrored"][0])))
    assert claim.strength == 0
    assert str(claim.correction) == "flip(horizontal)"


def test_what_nothing_known_makes_stays_without_a_name(looked: Look) -> None:
    order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    shuffled = deployed(lambda x: ready(x.flatten(2)[..., order].reshape(x.shape)))
    found = PROBE.examine(looked(shuffled))
    assert isinstance(found, Skipped)
    assert "no single known transform" in found.reason


def test_pipelines_of_different_shapes_are_not_compared(looked: Look) -> None:
    class Anything(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Rule()(x[..., :SIDE, :SIDE])

    case = deployed(
        lambda x: functional.pad(ready(x), (0, 2, 0, 2)), student=Anything(), teacher=Anything()
    )
    found = PROBE.examine(looked(case))
    assert isinstance(found, Skipped)
    assert "3×8×8 and 3×10×10" in found.reason


def test_two_pipelines_that_do_the_same_name_nothing(looked: Look) -> None:
    assert asked(looked(deployed(ready))) == ()


# -- both models eat the same rows ------------------------------------------------------------


@pytest.mark.parametrize("name", UNDONE)
def test_what_reached_both_models_is_undone_for_both(looked: Look, name: str) -> None:
    step, right = UNDONE[name]
    seen = looked(shown(step, 1_000))
    (claim,) = asked(seen)
    assert claim.cause is Cause.PREPROCESSING_MISMATCH
    assert claim.strength > 2
    assert claim.returned is not None
    assert claim.returned.split == "heldout"
    assert claim.intervention is not None
    assert claim.intervention.touches_teacher
    assert parse_correction(str(claim.correction)).correction in right
    b = seen.rows(Split.HELDOUT).reporting
    clean = looked(shown(ready, 1_000))
    for model, back in zip(Model, (claim.returned.student, claim.returned.teacher), strict=True):
        damage = (
            seen.outputs(model, Split.HELDOUT).loss - clean.outputs(model, Split.HELDOUT).loss
        )[b].mean()
        assert damage > measure_gap(clean).limit
        assert back.mean() == pytest.approx(damage, rel=0.1, abs=0.03)
    assert [e.speaks for e in claim.evidence] == ["for", "for"]
    assert claim.evidence[0].value == pytest.approx(claim.returned.student.mean())
    assert claim.evidence[1].value == pytest.approx(claim.returned.teacher.mean())


def test_what_is_left_beside_corrections_in_force_is_looked_for(looked: Look) -> None:
    """A brightness that is a little off does no harm; the channels are still the wrong ones."""
    step, right = UNDONE["channels"]
    there = Preprocess(corrections=("brightness(1.1, half)",))
    (claim,) = asked(looked(with_corrections(shown(step, 1_000, preprocess=there))))
    assert parse_correction(str(claim.correction)).correction in right
    assert claim.returned is not None


@pytest.mark.parametrize("name", ["coarse", "cropped", "grey"])
def test_what_cannot_be_undone_is_done_to_train_rows(looked: Look, name: str) -> None:
    step, right = DONE[name]
    seen = looked(shown(step))
    (claim,) = asked(seen)
    assert claim.strength > 2
    assert claim.intervention is None
    assert claim.returned is not None
    assert claim.returned.split == "train"
    assert parse_correction(str(claim.correction)).correction in right
    assert "Done to train rows" in claim.evidence[0].statement
    gap = measure_gap(seen)
    for back, lost in (
        (claim.returned.student, gap.student_generalization),
        (claim.returned.teacher, gap.teacher_generalization),
    ):
        assert back.mean() == pytest.approx(lost.value, rel=0.3, abs=0.1)


def test_later_probes_stand_on_it(looked: Look) -> None:
    seen = looked(shown(UNDONE["channels"][0]))
    (claim,) = asked(seen)
    assert claim.intervention is not None
    seen.believe(claim.intervention)
    clean = looked(shown(ready))
    for model in Model:
        mended = seen.current(model, Split.HELDOUT).loss
        assert mended.mean() == pytest.approx(
            clean.outputs(model, Split.HELDOUT).loss.mean(), abs=1e-5
        )


# -- what only looks like it ------------------------------------------------------------------


def test_a_sound_pair_is_not_asked_about(looked: Look) -> None:
    seen = looked(shown(ready))
    before = seen.scorer.samples()
    assert asked(seen) == ()
    assert seen.scorer.samples() == before


def test_a_student_that_is_oversure_alone_gets_no_correction(looked: Look) -> None:
    """Half the scale would suit it, and the teacher has no use for that."""
    seen = looked(shown(ready, student=Rule(6.0)))
    assert measure_gap(seen).excess.low > measure_gap(seen).limit
    assert asked(seen) == ()


def test_two_models_that_know_their_rows_by_heart_get_no_correction(
    planted: ModuleType, looked: Look
) -> None:
    """A smaller scale returns nats to both, and none once each has its own temperature."""

    def two(seed: int) -> Rows:
        x, y = planted.rows(seed, 900)
        return (x + 1.5 * torch.randn(x.shape, generator=chance))[y < 2], y[y < 2]

    chance = torch.Generator().manual_seed(0)
    train, heldout = two(1), two(2)
    rule = planted.linear(3 * planted.CENTRES * [[1], [1], [0]], [0, 0, -99])
    model = planted.Memoriser(train, rule)
    seen = looked(Case(model, model, train, heldout))
    gap = measure_gap(seen)
    assert gap.teacher_generalization.low > gap.limit
    halved = seen.score(Model.TEACHER, 0.5 * heldout[0], heldout[1].numpy()).loss.mean()
    assert seen.outputs(Model.TEACHER, Split.HELDOUT).loss.mean() - halved > gap.limit
    assert asked(seen) == ()


def test_a_harder_world_is_no_transform(looked: Look) -> None:
    """More noise in the held-out rows costs both models, and no candidate gives it back."""
    x, labels = pixels(2)
    noisy = x + torch.tensor(np.random.default_rng(9).normal(0, 0.3, x.shape), dtype=torch.float32)
    seen = looked(shown(ready, heldout=(ready(noisy), labels)))
    assert measure_gap(seen).teacher_generalization.low > measure_gap(seen).limit
    assert asked(seen) == ()


# -- columns ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "right"),
    [
        (lambda x: x[:, [2, 0, 1, 3]], {"permute_columns"}),
        (lambda x: 255 * x, {"rescale_input"}),
        (lambda x: x * torch.tensor([1.0, 30.0, 1.0, 0.1]), {"match_statistics"}),
    ],
    ids=["permuted", "scaled", "other units"],
)
def test_tables_are_mended_for_both_models(
    planted: ModuleType, looked: Look, change: Step, right: set[str]
) -> None:
    x, labels = planted.rows(2, 600)
    seen = looked(planted.healthy(heldout=(change(x), labels)))
    (claim,) = asked(seen)
    assert parse_correction(str(claim.correction)).correction in right
    assert claim.returned is not None
    assert claim.returned.teacher.mean() > measure_gap(looked(planted.healthy())).limit
    assert len(claim.summary) < 200
    assert all(len(e.statement) < 200 for e in claim.evidence)


def test_columns_in_other_units_between_pipelines(planted: ModuleType, looked: Look) -> None:
    """Fitted to the very rows, `match_statistics` is exact; nothing else comes near."""
    factors = torch.tensor([1.0, 30.0, 1.0, 0.1])
    seen = looked(planted.mismatched(inference=lambda x: planted.undo(x) * factors))
    seen.believe(Intervention("pipeline", "train"))
    (claim,) = asked(seen)
    assert parse_correction(str(claim.correction)).correction == "match_statistics"


# -- nothing to ask ---------------------------------------------------------------------------


def test_few_rows_are_told(looked: Look) -> None:
    found = PROBE.examine(looked(shown(UNDONE["dark"][0], 50)))
    assert isinstance(found, Skipped)
    assert "tried from 50 on: give more rows" in found.reason


def test_few_rows_are_enough_to_compare_two_pipelines(looked: Look) -> None:
    (claim,) = asked(looked(deployed(UNDONE["channels"][0], 50)))
    assert str(claim.correction) == "swap_channels"


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((2, 4, 4), torch.float32, "inputs of shape 2×4×4"),
        ((12,), torch.int64, "the inputs are whole numbers (12)"),
    ],
)
def test_inputs_without_known_transforms(
    looked: Look, shape: tuple[int, ...], dtype: torch.dtype, reason: str
) -> None:
    class Blank(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :3].float()

    rows = torch.ones(300, *shape).to(dtype), torch.arange(300) % 3
    found = PROBE.examine(looked(Case(Blank(), Blank(), rows, rows)))
    assert isinstance(found, Skipped)
    assert reason in found.reason


def test_a_file_of_logits_is_no_teacher_to_ask(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(120, teacher=TeacherLogits(np.eye(120, 3), np.eye(120, 3)))
    assert looked(case).missing(PROBE.needs) == Need.TEACHER_MODEL.value


def test_a_teacher_with_a_pipeline_of_its_own(planted: ModuleType, looked: Look) -> None:
    """What is undone for one is not undone for the other."""
    given = Preprocess(planted.forgotten, None, teacher=planted.undo)
    case = planted.mismatched(400, student=planted.blind(), preprocess=given)
    found = PROBE.examine(looked(case))
    assert isinstance(found, Skipped)
    assert "pipelines of their own" in found.reason


def test_rows_that_are_not_finite_are_left_out(looked: Look) -> None:
    case = shown(UNDONE["bytes"][0])
    case.heldout[0][::25] = torch.nan
    (claim,) = asked(looked(case))
    assert parse_correction(str(claim.correction)).correction == "rescale_input"
