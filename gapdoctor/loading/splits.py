"""The splits that the config names, opened; class names and groups beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from gapdoctor.errors import DataError
from gapdoctor.loading import reference
from gapdoctor.loading.data._base import Known, SplitData, read_split
from gapdoctor.loading.sections import DataSection
from gapdoctor.loading.user_code import user_errors
from gapdoctor.loading.where import Reference
from gapdoctor.observe.labels import class_names


@dataclass(frozen=True, slots=True)
class Splits:
    """The data of a case."""

    train: Any
    heldout: Any
    test: Any
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


class GroupIds(list[Any]):
    """One id a held-out row, and beside them one a train row, where they are told.

    Parameters
    ----------
    heldout : iterable
        Ids of held-out rows.
    train : list, optional
        Ids of train rows: what belongs together is left out of a training together.
    """

    def __init__(self, heldout: Iterable[Any], train: list[Any] | None = None) -> None:
        super().__init__(heldout)
        self.train = train


def open_splits(section: DataSection) -> Splits:
    """Open every split; names of classes are numbered alike in all of them.

    Raises
    ------
    GapDoctorError
        When one cannot be read, or does not fit the train split.
    """
    known = Known(section.sample_keys, section.classes)
    train = _open(section.train, known)
    known = replace(known, train_classes=train.classes)
    heldout = _open(section.heldout, known)
    test = None if section.test is None else _open(section.test, known)
    notes = train.notes
    for ref, split in ((section.heldout, heldout), (section.test, test)):
        if ref is not None and split is not None:
            notes += split.notes + _differences(ref, split, train)
    return Splits(
        train=train.data,
        heldout=heldout.data,
        test=None if test is None else test.data,
        classes=section.classes or train.classes or heldout.classes,
        notes=notes,
    )


def read_groups(ref: Reference, heldout: Any) -> list[Any]:
    """Return one id a held-out row; `GroupIds` where ids of train rows are told too.

    Parameters
    ----------
    ref : Reference
        Of a sequence, a callable that gives one, or a file: `.npy`, or a column of text. A dict
        `{"heldout": …, "train": …}` holds a sequence for each split.
    heldout : Any
        The held-out split, for its length.

    Raises
    ------
    DataError
        When it is none of these, or of another length.
    """
    found = _group_file(ref) if ref.is_path else reference.data(ref)
    of_train = None
    if isinstance(found, Mapping) and found.keys() == {"heldout", "train"}:
        of_train, found = _ids(ref, found["train"], "train"), found["heldout"]
    ids = _ids(ref, found, "held-out")
    rows = row_count(heldout)
    if rows is not None and rows != len(ids):
        raise DataError(
            f"{ref.place}: {len(ids)} ids for {rows} held-out rows", "give one id a held-out row"
        )
    return ids if of_train is None else GroupIds(ids, of_train)


def _ids(ref: Reference, found: Any, split: str) -> list[Any]:
    ids: Any = None
    if isinstance(found, Iterable) and not isinstance(found, str | Mapping):
        with user_errors(f"reading {ref.name}"):
            ids = found.tolist() if hasattr(found, "tolist") else list(found)
    if not isinstance(ids, list) or any(isinstance(i, list) for i in ids):
        raise DataError(f"{ref.place}: {ref.name} is no list of ids", f"give one id a {split} row")
    return ids


def row_count(data: Any) -> int | None:
    """Return how many rows a split has; None where only reading it would tell."""
    if isinstance(data, DataLoader):
        data = data.dataset
    elif isinstance(data, tuple | list) and len(data) == 2:
        data = data[0]
    try:
        return len(data)
    except TypeError:
        return None


def _open(ref: Reference, known: Known) -> SplitData:
    if ref.is_path:
        return read_split(ref.path, f"{ref.place}: {ref.name}", known)
    data = reference.data(ref)
    dataset = data.dataset if isinstance(data, DataLoader) else data
    return SplitData(data, class_names(dataset))


def _differences(ref: Reference, split: SplitData, train: SplitData) -> tuple[str, ...]:
    if split.columns and train.columns and split.columns != train.columns:
        missing = [c for c in train.columns if c not in split.columns]
        if len(split.columns) != len(train.columns):
            raise DataError(
                f"{ref.place}: {len(split.columns)} feature columns, the train split has "
                f"{len(train.columns)}",
                f"missing: {', '.join(missing[:12])}" if missing else "leave out the others",
            )
        return (f"{ref.key} has other columns than data.train, or another order of them.",)
    if split.classes and train.classes and split.classes != train.classes:
        return (f"{ref.key} lists other classes than data.train, or another order of them.",)
    return ()


def _group_file(ref: Reference) -> Sequence[Any]:
    try:
        if ref.path.suffix.lower() == ".npy":
            return np.load(ref.path, allow_pickle=False)  # type: ignore[no-any-return]
        return _column(ref.path, f"{ref.place}: {ref.name}")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{ref.place}: {ref.name} cannot be read: {error}",
            "give a .npy file, or a text file with one id a line",
        ) from error


def _column(path: Path, who: str) -> list[str]:
    """Ids of a text file, one a line; of a table with a header `group` or `groups`, its column."""
    import pandas as pd

    table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    named = [
        i for i, name in enumerate(table.iloc[0]) if name.strip().lower() in ("group", "groups")
    ]
    if not named and table.shape[1] != 1:
        raise DataError(f"{who}: no column is called group", "name one column so, in a header line")
    column: list[str] = table[named[0] if named else 0].tolist()
    return column[1:] if named else column
