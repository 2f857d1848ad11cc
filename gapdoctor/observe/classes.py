"""How many classes there are, what they are called, and labels that do not fit them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdoctor.errors import DataError


def names_of(
    given: Sequence[str] | None, found: Sequence[tuple[str, ...] | None], count: int
) -> tuple[str, ...]:
    """Return the class names, in the order of the logits.

    Parameters
    ----------
    given : sequence of str or None
        By the user.
    found : sequence of names or None
        By the data sets; they count where there is one a class.
    count : int
        Classes of the models.

    Raises
    ------
    DataError
        When the user did not give one name a class.
    """
    if given is not None and len(given) != count:
        raise DataError(
            f"data.classes: {len(given)} names, but the models have {count} classes",
            "give one name a class, in the order of the logits",
        )
    if given is None:
        given = next((n for n in found if n is not None and len(n) == count), None)
    return tuple(str(n) for n in (range(count) if given is None else given))


def check_same_classes(student: int, teacher: int) -> None:
    """Raise DataError where the two models do not have the same number of classes."""
    if student != teacher:
        raise DataError(
            f"the student has {student} classes, the teacher {teacher}",
            "compare models with the same classes, in the same order",
        )


def check_labels(
    labels: NDArray[np.int64], rows: NDArray[np.int64], classes: int, model: str, name: str
) -> None:
    """Raise DataError where a label (n,) has no logit; `rows` (n,) are its row numbers."""
    beyond = labels >= classes
    if beyond.any():
        at = int(np.flatnonzero(beyond)[0])
        raise DataError(
            f"data.{name}: label {labels[at]} of row {rows[at]}, but the {model} has "
            f"{classes} classes",
            "labels run from 0 to classes − 1; check the class count of the model's args",
        )
