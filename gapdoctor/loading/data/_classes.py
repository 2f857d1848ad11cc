"""Class names to class indices, the same for every split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known
from gapdoctor.loading.where import did_you_mean


def class_order(found: Iterable[str], who: str, known: Known) -> tuple[str, ...]:
    """Return the class names in the order of their indices.

    The order is that of the train split where it was read before; else that of `[data] classes`
    where it holds every name found; else sorted.

    Raises
    ------
    DataError
        When a name is not among the train split's, or `[data] classes` has another count.
    """
    names = sorted(set(found))
    if known.train_classes is not None:
        unseen = [name for name in names if name not in known.train_classes]
        if unseen:
            raise DataError(
                f"{who}: class {unseen[0]!r} is not in the train data ({len(unseen)} such)",
                did_you_mean(unseen[0], known.train_classes, "leave these rows out"),
            )
        return known.train_classes
    if known.classes is not None and set(names) <= set(known.classes):
        return known.classes
    if known.classes is not None and len(known.classes) != len(names):
        raise DataError(
            f"{who}: {len(names)} classes, but [data] classes has {len(known.classes)} names",
            f"found: {', '.join(names[:12])}",
        )
    return tuple(names)


def class_indices(labels: Any, who: str, known: Known) -> tuple[Any, tuple[str, ...] | None]:
    """Return labels as they are where they are numbers, else as indices of their sorted names.

    Parameters
    ----------
    labels : array (n,)
        Numbers, or names.

    Returns
    -------
    labels : array (n,)
        Names as int64 indices.
    classes : tuple of str or None
        Their names; None where labels were numbers.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "OUST":
        return labels, None
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in array.tolist()]
    classes = class_order(names, who, known)
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[name] for name in names], dtype=np.int64), classes
