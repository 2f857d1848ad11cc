"""How far a student's features are from the teacher's.

Each is a mean over the rows of a number without a unit, so that a weight means the same for small
and large layers, batches and scales.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def normalised_mse(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference from features of mean 0 and variance 1 at each position.

    Hints as in FitNets (Romero et al. 2015, arXiv 1412.6550, equation 3: ½‖teacher − r(student)‖²
    with a learned regressor r), the teacher's features normalised over their channels (Wei et al.
    2022, arXiv 2205.14141): layers differ in scale by orders of magnitude, and so would the
    weights. 1 where nothing is predicted, 0 where all is. The student's own features are left as
    they are: a loss that did not see their scale would let it grow.

    Parameters
    ----------
    student, teacher : tensor (n, positions, channels)
        The student's through its adapter.
    """
    return functional.mse_loss(student, functional.layer_norm(teacher, teacher.shape[-1:]))


def attention_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return ‖Q_S/‖Q_S‖ − Q_T/‖Q_T‖‖² with the attention maps Q = Σ over channels of the squares.

    Zagoruyko & Komodakis 2017, arXiv 1612.03928, equation 2 with p = 2, squared as in the authors'
    code; summed over positions, where that takes their mean. From 0 to 2.

    Parameters
    ----------
    student, teacher : tensor (n, positions, channels)
        The channels may differ in number.
    """
    one, other = (functional.normalize(x.square().mean(-1), dim=1) for x in (student, teacher))
    return (one - other).square().sum(1).mean()


def similarity_distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return (1/n)·‖G_S − G_T‖² with G = Q·Qᵀ, each row divided by its norm, Q the flat features.

    Tung & Mori 2019, arXiv 1907.09682, equations 1 to 4, times the number of rows n: rows that are
    alike to the teacher are to be alike to the student. From 0 to 4. The rows of one call alone are
    compared; layers of any size and kind can be.

    Parameters
    ----------
    student, teacher : tensor (n, …)
        Of the same rows; the rest may differ.
    """
    flat = (x.flatten(1) for x in (student, teacher))
    one, other = (functional.normalize(q @ q.T, dim=1) for q in flat)
    return (one - other).square().sum(1).mean()
