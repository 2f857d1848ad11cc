"""Which layer of a student makes its logits."""

from __future__ import annotations

import numpy as np
from torch import nn

from gapdoctor.observe.borrow import borrowed
from gapdoctor.observe.device import model_device
from gapdoctor.observe.head import find_head
from gapdoctor.training.materials import Materials
from gapdoctor.training.placement import fed


def head_of(student: nn.Module, materials: Materials) -> nn.Linear | None:
    """Return the linear layer that makes the student's logits, or None; it is run on two rows."""
    rows = materials.rows
    sample = rows.batch(np.arange(min(2, rows.count))).inputs
    with borrowed(student, model_device(student)):
        return find_head(student, fed(sample, student, model_device(student)), "student")
