"""Which rows a DataLoader draws from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

_WHOLE = (SequentialSampler, RandomSampler, WeightedRandomSampler, DistributedSampler)
"""Samplers that draw from the whole data set, whatever they yield in one epoch."""


def loader_rows(loader: DataLoader[Any]) -> Any:
    """Return the data set that a loader draws from; a `Subset` where its sampler names rows.

    Splitting one data set by two samplers is usual: rows that this loader never draws belong to
    the other split.
    """
    dataset: Any = loader.dataset
    batches: Any = loader.batch_sampler
    sampler = batches.sampler if isinstance(batches, BatchSampler) else None
    if isinstance(sampler, _WHOLE):
        return dataset
    drawn: Iterable[int] = chain.from_iterable(batches) if sampler is None else sampler
    if isinstance(sampler, SubsetRandomSampler):
        drawn = sampler.indices  # iterating it would draw from its generator
    # A sampler may be endless; one epoch is the length of the data set.
    rows = sorted({int(i) for i in islice(drawn, len(dataset))})
    return dataset if rows == list(range(len(dataset))) else Subset(dataset, rows)


@contextmanager
def keeping_generator(loader: DataLoader[Any]) -> Iterator[None]:
    """Give a loader's own generator back as it was: iterating draws a seed from it."""
    generator = loader.generator
    state = None if generator is None else generator.get_state()
    try:
        yield
    finally:
        if generator is not None and state is not None:
            generator.set_state(state)
