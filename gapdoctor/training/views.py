"""The view that a training step takes of a batch: the same for student and teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gapdoctor.domain.recipe import Recipe
from gapdoctor.observe.augmentation import augmentation_by, augmentation_names
from gapdoctor.observe.case import Case
from gapdoctor.training.rows import Indices

Augment = Callable[[torch.Tensor], torch.Tensor]
MIXUP_NAME = "mixup"
MIXUP = 1.0
"""Both parameters of the Beta distribution that mixup draws from: uniform (Beyer et al. 2022,
arXiv 2106.05237, who distil with it)."""


@dataclass(frozen=True)
class Views:
    """What changes a batch on its way into a training step."""

    augment: Augment | None = None
    """Model-ready batch (n, …) -> a view of it (n, …)."""
    mixup: float = 0.0
    """Parameter of mixup's Beta distribution; 0: none."""

    @property
    def change(self) -> bool:
        """Whether rows look different each time, so that nothing said of them can be kept."""
        return self.augment is not None or self.mixup > 0

    def of(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the augmented view of a batch; it draws from the global generators."""
        return inputs if self.augment is None else self.augment(inputs)


def views_of(case: Case, recipe: Recipe | None = None) -> Views | str:
    """Return a recipe's augmentation, `mixup` among its names included, or why it cannot be had.

    It cannot where it is unknown, or cannot be replayed.

    Parameters
    ----------
    case : Case
        Its own augmentation is that of the user.
    recipe : Recipe, optional
        Left out: the case's.
    """
    given = case.recipe_record.recipe if recipe is None else recipe
    names = augmentation_names(given.augment, has_own=case.augment is not None)
    if names is None:
        return "the augmentation is not known; give [recipe] augment, or [] for none"
    plain = augmentation_by(tuple(name for name in names if name != MIXUP_NAME), case.augment)
    if isinstance(plain, str):
        return plain
    return Views(plain, MIXUP if MIXUP_NAME in names else 0.0)


@dataclass(frozen=True)
class View:
    """What one step sees of a batch."""

    index: Indices
    """(n,) row numbers."""
    inputs: torch.Tensor
    """(n, …)"""
    labels: torch.Tensor
    """(n,)"""
    others: torch.Tensor | None = None
    """(n,) labels of the rows mixed in."""
    share: float = 1.0
    """Of the row itself."""

    def part(self, rows: slice) -> View:
        """Return some of the rows."""
        others = None if self.others is None else self.others[rows]
        return View(self.index[rows], self.inputs[rows], self.labels[rows], others, self.share)

    def targets(self, classes: int) -> torch.Tensor:
        """Return class indices (n,); where rows are mixed a share for each class (n, C)."""
        if self.others is None:
            return self.labels
        own, theirs = (functional.one_hot(y, classes).float() for y in (self.labels, self.others))
        return self.share * own + (1 - self.share) * theirs


def mixed(view: View, alpha: float, rng: np.random.Generator) -> View:
    """Return λ·row + (1 − λ)·another row of the batch, one λ ~ Beta(α, α) a batch.

    Zhang et al. 2018, arXiv 1710.09412.
    """
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(view.index)))
    others = view.inputs[partner.to(view.inputs.device)]
    inputs = share * view.inputs + (1 - share) * others
    labels = view.labels[partner.to(view.labels.device)]
    return View(view.index, inputs, view.labels, labels, share)


def number(*parts: int) -> int:
    """Return one seed made of several: a stream of its own for each epoch, each batch."""
    return int(np.random.SeedSequence((len(parts), *parts)).generate_state(1)[0])
