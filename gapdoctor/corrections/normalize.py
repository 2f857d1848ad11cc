"""Another mean and standard deviation, none, or twice."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import numbers, written
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind, Transform
from gapdoctor.corrections._pixels import PixelRange, pairs_for
from gapdoctor.corrections._statistics import Statistics, per_channel

_USAGE = "takes FROM -> TO, PAIR twice, restore MEANS:DEVIATIONS or standardize MEANS:DEVIATIONS"


class Normalize(Correction):
    """The inputs are normalised with another mean and standard deviation, not at all, or twice.

    `normalize(none -> imagenet)` takes held-out rows that were not normalised and normalises them
    as ImageNet models want it. The train rows tell which pair was theirs: the usual one (ImageNet,
    CIFAR-10, CIFAR-100, CLIP, MNIST, Fashion-MNIST, 0.5/0.5, 0–1, 0–255) whose black and white
    they touch, else their own smallest and largest value. Every other usual pair is tried that
    would make pixels of the held-out rows; `normalize(imagenet twice)` takes one of two back.

    Columns and spectrograms are standardised rather. `restore` gives standardised held-out rows
    the mean and deviation of the train rows: nothing is fitted, these are known. `standardize`
    is for held-out rows that never were, where the train rows are: it takes their own mean and
    deviation, two fitted numbers a channel. Each is tried only where the statistics look so.
    """

    name: ClassVar[str] = "normalize"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP, Kind.COLUMNS})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return what would make pixels, or standardised values, of the held-out rows."""
        train, heldout = context.train, context.heldout
        found = [] if context.kind is Kind.COLUMNS else _pairs(train, heldout)
        if context.kind is not Kind.IMAGE and _standard(train) != _standard(heldout):
            word, rows = ("standardize", heldout) if _standard(train) else ("restore", train)
            deviations = torch.where(rows.std > 0, rows.std, 1.0)  # as scikit-learn does
            found.append(f"{word} {written(rows.mean.tolist())}:{written(deviations.tolist())}")
        return [self.parse(argument) for argument in found]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of one of the four forms; means and deviations are one a channel."""
        source, arrow, target = argument.partition("->")
        if arrow:
            taken, given = PixelRange.parse(source), PixelRange.parse(target)
            label = f"normalised as {given.title} instead of {taken.title}"
            return self._made(argument, label, lambda x: given.ready(taken.pixels(x)))
        word, _, rest = argument.partition(" ")
        if argument.endswith(" twice"):
            pair = PixelRange.parse(argument.removesuffix(" twice"))
            return self._made(
                argument, f"one of two normalisations undone: {pair.title}", pair.pixels
            )
        if word not in ("restore", "standardize") or rest.count(":") != 1:
            raise ValueError(_USAGE)
        means, deviations = (numbers(side) for side in rest.split(":"))
        if len(means) != len(deviations) or min(deviations) <= 0:
            raise ValueError("takes as many deviations above zero as means")
        if word == "restore":
            label = "standardisation undone"
            return self._made(argument, label, _affine(means, deviations, forth=False))
        label, fitted = "standardised, channel by channel", 2 * len(means)
        return self._made(argument, label, _affine(means, deviations, forth=True), fitted)

    def _made(self, argument: str, label: str, undo: Transform, fitted: int = 0) -> Candidate:
        return Candidate(self.name, argument, label, fitted, undo=undo)


def _pairs(train: Statistics, heldout: Statistics) -> list[str]:
    """The pairs in place of which the train rows' own may stand, and their own twice."""
    own = PixelRange.of(train)
    usual = _deviation(train, own)
    scales = {"none", "bytes"}  # from one to the other is `rescale_input`
    found = [
        f"{name} -> {own.text}"
        for name in pairs_for(len(train.mean))
        if name != own.text
        and not {name, own.text} <= scales
        and _are_pixels(heldout, [PixelRange.parse(name)], usual)
    ]
    if own.text not in scales and _are_pixels(heldout, [own, own], usual):
        found.append(f"{own.text} twice")
    return found


def _are_pixels(rows: Statistics, undone: list[PixelRange], usual: float) -> bool:
    """Whether rows look like pixels once these are undone: a mean in 0–1, a usual deviation."""
    mean = rows.mean.reshape(1, -1)
    for pair in undone:
        mean = pair.pixels(mean)
    inside = bool(((mean > -0.05) & (mean < 1.05)).all())
    return inside and usual / 3 < _deviation(rows, *undone) < usual * 3


def _deviation(rows: Statistics, *undone: PixelRange) -> float:
    """Return the mean deviation of the channels once these are undone."""
    ends = torch.stack([rows.mean, rows.mean + rows.std])
    for pair in undone:
        ends = pair.pixels(ends)
    return float((ends[1] - ends[0]).mean())


def _standard(rows: Statistics) -> bool:
    """Whether most channels have mean 0 and deviation 1, or are constant at 0."""
    centred = rows.mean.abs() < 0.3
    scaled = ((rows.std > 0.6) & (rows.std < 1.6)) | (rows.std == 0)
    varied = bool((rows.std > 0).any())
    return varied and float((centred & scaled).float().mean()) >= 0.8


def _affine(means: tuple[float, ...], deviations: tuple[float, ...], *, forth: bool) -> Transform:
    def undo(batch: torch.Tensor) -> torch.Tensor:
        mean, deviation = per_channel(means, batch), per_channel(deviations, batch)
        return (batch - mean) / deviation if forth else batch * deviation + mean

    return undo
