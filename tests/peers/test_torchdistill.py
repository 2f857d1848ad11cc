"""The losses against torchdistill (Matsubara 2021, arXiv 2011.12913), seen in version 1.1.5.

It has no decoupled loss: that is put together of its plain one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Distillation, Recipe
from gapdoctor.training.features.adapters import adapter
from gapdoctor.training.features.distances import (
    attention_distance,
    normalised_mse,
    similarity_distance,
)
from gapdoctor.training.losses import (
    composite_loss,
    decoupled_parts,
    distillation_loss,
    standardized_loss,
)

pytestmark = pytest.mark.peers
RecipeOf = Callable[..., Recipe]
TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
WHOLE: Mapping[str, Any] = {
    "student_module_path": ".", "student_module_io": "output",
    "teacher_module_path": ".", "teacher_module_io": "output",
}  # fmt: skip


@pytest.fixture
def losses(peer: Callable[[str], ModuleType]) -> ModuleType:
    return peer("torchdistill.losses.mid_level")


def told(loss: nn.Module, student: torch.Tensor, teacher: torch.Tensor, *labels: Any) -> float:
    """What a loss of theirs says of what both models give."""
    one, other = ({".": {"output": x}} for x in (student, teacher))
    return float(loss(one, other, *labels).detach())


# -- logits --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # which is what is compared
@TEMPERATURES
@pytest.mark.parametrize(
    ("reduction", "factor"),
    [("batchmean", 1.0), ("sum", 1 / 7), ("mean", 5.0)],  # 7 rows, 5 classes
)
def test_kl_alone(
    losses: ModuleType, logits: Any, temperature: float, reduction: str, factor: float
) -> None:
    """Without labels theirs has no T²: the factor T² stands before it only beside a task loss."""
    theirs = told(
        losses.KDLoss(**WHOLE, temperature=temperature, alpha=0.0, reduction=reduction),
        logits.student, logits.teacher,
    )  # fmt: skip
    ours = distillation_loss(logits.student, logits.teacher, temperature, scale_by_t2=False)
    assert ours.item() == pytest.approx(factor * theirs, rel=1e-12)
    scaled = distillation_loss(logits.student, logits.teacher, temperature)
    assert scaled.item() == pytest.approx(temperature**2 * factor * theirs, rel=1e-12)


@TEMPERATURES
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_kl_beside_the_labels(
    losses: ModuleType, logits: Any, plain: RecipeOf, alpha: float, smoothing: float,
    temperature: float,
) -> None:  # fmt: skip
    """Their α is the task_weight, their β is 1 − α unless it is given."""
    loss = losses.KDLoss(
        **WHOLE, temperature=temperature, alpha=alpha, label_smoothing=smoothing
    )  # fmt: skip
    recipe = plain(task_weight=alpha, temperature=temperature, label_smoothing=smoothing)
    ours = composite_loss(logits.student, logits.labels, logits.teacher, recipe).total
    theirs = told(loss, logits.student, logits.teacher, logits.labels)
    assert ours.item() == pytest.approx(theirs, rel=1e-12)


@TEMPERATURES
def test_z_scores(losses: ModuleType, logits: Any, plain: RecipeOf, temperature: float) -> None:
    """Their α of 0.1 and β of 9, the authors', are a task_weight of 0.1: 9 = 10 · (1 − 0.1).

    They add ε to the standard deviation, where ours is at least 0.01.
    """
    given = {"temperature": temperature, "eps": 0.0}
    alone = losses.LogitStdKDLoss(**WHOLE, **given, alpha=0.0)
    theirs = told(alone, logits.student, logits.teacher)  # without T², as above
    ours = standardized_loss(logits.student, logits.teacher, temperature)
    assert ours.item() == pytest.approx(10 * temperature**2 * theirs, rel=1e-12)
    beside = losses.LogitStdKDLoss(**WHOLE, **given, alpha=0.1, beta=9.0)
    recipe = plain(distillation=Distillation.STANDARDIZED, task_weight=0.1, temperature=temperature)
    whole = composite_loss(logits.student, logits.labels, logits.teacher, recipe).total
    theirs = told(beside, logits.student, logits.teacher, logits.labels)
    assert whole.item() == pytest.approx(theirs, rel=1e-12)


@TEMPERATURES
def test_decoupled_parts(losses: ModuleType, logits: Any, temperature: float) -> None:
    """Of two classes, the target and all others; and of the others, the target left out."""
    plain = losses.KDLoss(**WHOLE, temperature=1.0, alpha=0.0)
    own = nn.functional.one_hot(logits.labels, 5).bool()
    whole = [z / temperature for z in logits[:2]]
    among = [z[~own].reshape(7, 4) for z in whole]
    binary = [
        torch.stack([z[own], others.logsumexp(1)], 1)
        for z, others in zip(whole, among, strict=True)
    ]
    target, others = decoupled_parts(logits.student, logits.teacher, logits.labels, temperature)
    assert target.mean().item() == pytest.approx(told(plain, *binary), rel=1e-10)
    assert others.mean().item() == pytest.approx(told(plain, *among), rel=1e-10)


# -- features ------------------------------------------------------------------------------------


def attention(losses: ModuleType, mode: str, weight: float = 1.0) -> nn.Module:
    end = {"path": ".", "io": "output"}
    pair = {"teacher": end, "student": end, "weight": weight}
    loss: nn.Module = losses.ATLoss({"pair": pair}, mode=mode)
    return loss


def test_attention_maps_as_in_the_code_of_their_authors(losses: ModuleType, maps: Any) -> None:
    """Theirs is a mean over the positions, 6 of them, where ours is a sum."""
    theirs = told(attention(losses, "code", 1_000.0), *maps)
    ours = attention_distance(*maps.rows())
    assert 1_000 * ours.item() == pytest.approx(6 * theirs, rel=1e-12)


def test_attention_maps_as_in_the_paper(losses: ModuleType, maps: Any) -> None:
    """Equation 2 itself is a length, of which ours is the square, row by row."""
    whole = attention(losses, "paper")
    lengths = [
        told(whole, maps.student[row : row + 1], maps.teacher[row : row + 1]) for row in range(7)
    ]
    squares = sum(length**2 for length in lengths) / 7
    assert attention_distance(*maps.rows()).item() == pytest.approx(squares, rel=1e-12)


def similarity(losses: ModuleType, reduction: str = "batchmean") -> Any:
    return losses.SPKDLoss(".", ".", reduction)


def test_similar_rows_of_equal_size(losses: ModuleType, maps: Any) -> None:
    """Theirs divides by n² where ours divides by n, and each row by the sum of its n entries.

    The paper's equations 2 and 3 say ‖·‖₂, the length, as ours does; of n entries of one size the
    sum is √n times the length, so that theirs is smaller by another n.
    """
    sign_s = torch.tensor([1.0, 1, 1, 1, -1, -1, -1], dtype=torch.float64)
    sign_t = torch.tensor([1.0, -1, 1, -1, 1, -1, 1], dtype=torch.float64)
    student, teacher = maps.student[:1], maps.teacher[:1]  # one row, turned round or not
    pair = [s[:, None, None, None] * x for s, x in ((sign_s, student), (sign_t, teacher))]
    theirs = told(similarity(losses), *pair)
    assert theirs > 0.01
    assert similarity_distance(*pair).item() == pytest.approx(7 * 7 * theirs, rel=1e-12)


def test_similar_rows_of_any_size(losses: ModuleType, maps: Any) -> None:
    """Their products with rows brought to a length of 1; as they come, they are another loss."""
    products = [similarity(losses).matmul_and_normalize(x) for x in maps]
    one, other = (g / g.norm(dim=1, keepdim=True) for g in products)
    ours = similarity_distance(*maps).item()
    assert ours == pytest.approx((one - other).square().sum().item() / 7, rel=1e-10)
    assert ours != pytest.approx(7 * told(similarity(losses), *maps), rel=0.1)


@pytest.fixture
def hints(losses: ModuleType, peer: Callable[[str], ModuleType]) -> nn.Module:
    """Their hints are any loss of torch between two layers, here the mean squared difference."""
    end = {"module_path": ".", "io": "output"}
    made: nn.Module = peer("torchdistill.losses.registry").get_mid_level_loss(
        {"key": "MSELoss", "kwargs": {}},
        {
            "key": "SimpleLossWrapper",
            "kwargs": {
                "input": {"is_from_teacher": False, **end},
                "target": {"is_from_teacher": True, **end},
            },
        },
    )
    return made


def test_hints(hints: nn.Module, peer: Callable[[str], ModuleType], maps: Any) -> None:
    """Their regressor has BatchNorm behind the convolution, left out here by its statistics.

    They leave the teacher's features as they are, where ours are normalised at each position.
    """
    ours = adapter(4, 8).double()
    theirs = peer("torchdistill.models.adaptation").ConvReg(4, 8, 1, 1, 0, uses_relu=False)
    theirs = theirs.double().eval()
    theirs.bn.eps = 0.0
    weights = {"weight": ours.weight[:, :, None, None], "bias": ours.bias}
    theirs.conv.load_state_dict(weights)
    norm = nn.LayerNorm(8, elementwise_affine=False)
    wanted = norm(maps.teacher.movedim(1, -1)).movedim(-1, 1)
    one, other = maps.rows()
    found = normalised_mse(ours(one), other)
    assert found.item() == pytest.approx(told(hints, theirs(maps.student), wanted, None), rel=1e-12)
