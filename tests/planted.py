"""Pairs whose answer is known before anything is run: their weights are set, never trained.

Three Gaussian classes of four features around `CENTRES`. The teacher is the Bayes rule, so that no
model does better than it on new rows. Raw samples are `10 · x + 5`, undone by `undo`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from gapdoctor import Case, Diagnosis, Preprocess, diagnose
from gapdoctor.domain.causes import Cause
from gapdoctor.probes.history import History
from gapdoctor.probes.memorisation import Memorisation
from gapdoctor.probes.mirror import Mirror

CENTRES = 2.0 * np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0]])
"""(3, 4)"""
Rows = tuple[torch.Tensor, torch.Tensor]


def rows(seed: int, n: int) -> Rows:
    """Return model-ready inputs (n, 4) and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CENTRES), n)
    inputs = CENTRES[labels] + rng.normal(size=(n, CENTRES.shape[1]))
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def linear(weight: Any, bias: Any) -> nn.Linear:
    """Return a linear layer with these weights (C, d) and biases (C,)."""
    w, b = (torch.as_tensor(np.asarray(a), dtype=torch.float32) for a in (weight, bias))
    layer = nn.Linear(w.shape[1], w.shape[0])
    with torch.no_grad():
        layer.weight.copy_(w)
        layer.bias.copy_(b)
    return layer


def bayes(scale: float = 1.0) -> nn.Linear:
    """Return the Bayes rule of the classes; `scale` other than 1 makes it under- or oversure."""
    return linear(scale * CENTRES, -scale * 0.5 * (CENTRES**2).sum(axis=1))


def blind() -> nn.Linear:
    """Return the Bayes rule of one that sees the last feature only: calibrated, and no better."""
    seen = CENTRES * np.array([0.0, 0.0, 0.0, 1.0])
    return linear(seen, -0.5 * (seen**2).sum(axis=1))


class Memoriser(nn.Module):
    """Sure and right on the rows that it has seen, `base` on all others."""

    def __init__(self, seen: Rows, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.inputs, self.labels = seen
        self.classes = len(CENTRES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distance = (x[:, None] - self.inputs[None]).abs().amax(dim=2)
        nearest = distance.argmin(dim=1)
        known = distance.gather(1, nearest[:, None]) < 1e-4
        by_heart = 30.0 * nn.functional.one_hot(self.labels[nearest], self.classes)
        return torch.where(known, by_heart.float(), self.base(x))


def raw(split: Rows) -> Rows:
    """Return the raw samples of model-ready rows."""
    return 10 * split[0] + 5, split[1]


def undo(sample: torch.Tensor) -> torch.Tensor:
    """Make a model-ready sample of a raw one."""
    return (sample - 5) / 10


def forgotten(sample: torch.Tensor) -> torch.Tensor:
    """Mistake the offset: what a careless deployment does."""
    return (sample + 10) / 10


def healthy(n: int = 600, **more: Any) -> Case:
    """Student and teacher are the same rule."""
    return Case(**{"student": bayes(1.05), "teacher": bayes(), "train": rows(1, n),
                   "heldout": rows(2, n), **more})  # fmt: skip


def overfitted(n: int = 600, **more: Any) -> Case:
    """The student knows its train rows by heart and little of others."""
    train = rows(1, n)
    student = Memoriser(train, blind())
    return Case(**{"student": student, "teacher": bayes(), "train": train,
                   "heldout": rows(2, n), **more})  # fmt: skip


def mismatched(n: int = 600, inference: Callable[[Any], Any] = forgotten, **more: Any) -> Case:
    """The student is sound and is fed something else when deployed."""
    return Case(**{"student": bayes(1.05), "teacher": bayes(), "train": raw(rows(1, n)),
                   "heldout": raw(rows(2, n)), "preprocess": Preprocess(undo, inference),
                   **more})  # fmt: skip


def shared(n: int = 600, **more: Any) -> Case:
    """Both models are fed something else when deployed, and lose alike."""
    return mismatched(n, preprocess=Preprocess(undo, forgotten, teacher=forgotten), **more)


def short_of_fit(n: int = 600, **more: Any) -> Case:
    """The student does not see enough of a row, on train rows neither."""
    return Case(**{"student": blind(), "teacher": bayes(), "train": rows(1, n),
                   "heldout": rows(2, n), **more})  # fmt: skip


def curves(heldout: Callable[[int], float], epochs: int = 30, **columns: Any) -> pd.DataFrame:
    """Return learning curves: the train loss falls to nothing, the held-out loss as given."""
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 1.5 * 0.8**epoch,
            "heldout_loss": [heldout(int(e)) for e in epoch],
            **columns,
        }
    )


def asked(case: Case, **more: Any) -> Diagnosis:
    """Ask the mirror, memorisation and the history alone, so that the answers are theirs."""
    probes = (Mirror(), Memorisation(), History())
    return diagnose(case, **{"probes": probes, "batch_size": 64, **more})


def named(found: Diagnosis) -> list[Cause]:
    """Return the causes that are believed, in their order."""
    return [c.id for c in found.causes if c.confidence >= 0.5]
