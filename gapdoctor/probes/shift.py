"""Shift: do held-out data come from somewhere else?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import (
    Claim,
    Evidence,
    Finding,
    Floats,
    Interval,
    Returned,
    Side,
    Skipped,
)
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.input_statistics import looked_at, mended_batches, mended_statistics
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.observe.untrained import untrained
from gapdoctor.probes._base import Probe
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.stats.reweighting import (
    Weights,
    density_weights,
    prior_weights,
    reweighted_return,
)
from gapdoctor.stats.two_sample import LabelTest, compare_components, compare_labels

VARIANT = "student with untrained weights"
WIDE = 256
"""Untrained features beyond which they are projected at random: a test looks at eight of them."""
Positions = dict[Split, NDArray[np.int64]]


@dataclass(frozen=True)
class Shift(Probe):
    """Do the held-out data come from another distribution than the train data?

    Both splits go through the train pipeline, mended by what was proven before. Two-sample tests
    (Kolmogorov–Smirnov a component, Bonferroni; Rabanser et al. 2019, arXiv 1810.11953) compare the
    features of an untrained student and simple input statistics. Nothing there has seen the train
    labels: the softmax of a trained teacher differs between the rows it was trained on and others
    without any shift. The class mix is compared by χ²; where it differs, the features are compared
    on as many rows of each class from both splits.

    A shift that is detected need not be harmful. What it explains is what reweighting the held-out
    rows to the train distribution returns (a cross-fitted classifier, Cai et al. 2023, arXiv
    2303.02011; class priors by their ratio), told only where at least a tenth of the rows still
    counts and it returns something; else it may take up the excess gap, and it is said so.
    """

    name: ClassVar[str] = "shift"
    order: ClassVar[int] = 60

    least: int = 500
    """Rows (or groups) of each split below which nothing is told of their features."""
    least_priors: int = 100
    """Rows (or groups) of each split below which nothing is told of their class mix; the χ² test
    merges classes that are too rare for it (Cochran 1954), so few rows only show less."""
    p_value: float = 0.001
    """Of either test, after Bonferroni: both are asked, on every healthy pair too."""
    prior_distance: float = 0.1
    """Total variation distance of the class mixes below which a prior shift is negligible."""
    effective: float = 0.1
    """Share of the rows that must still count after reweighting by a classifier."""
    least_effective: float = 20.0
    """Rows that must still count after reweighting by the class mix: these weights are known, and
    the interval tells the rest."""
    large: float = 0.1
    """Kolmogorov–Smirnov distance from which a shift of the features is large."""
    strength: float = 4.0
    """Log-odds of a large shift of the features, where the mirror has compared the pipelines."""
    unmirrored: float = 2.0
    """The same where it could not: another preprocessing shifts the features, too."""
    small_strength: float = 1.5
    """Log-odds of a smaller one: with many rows a harmless shift shows, too."""
    prior_strength: float = 4.5
    """Log-odds of a shift of the class priors that returns more than h/2."""
    weak_prior_strength: float = 1.5
    """Log-odds of one that returns something."""
    against: float = -2.0
    """Log-odds where neither features nor priors shift."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Compare inputs, untrained features and class mixes of both splits."""
        rows = {split: _independent(seen, split) for split in Split}
        count = min(len(positions) for positions in rows.values())
        if count < self.least_priors:
            held = seen.rows(Split.HELDOUT)
            what = "rows" if held.groups is None else "rows or groups"
            return Skipped(
                self.name, f"{count} {what} of a split; a shift of the class mix shows from "
                f"{self.least_priors} on, one of the features from {self.least} on: give more",
            )  # fmt: skip
        labels = [seen.rows(split).labels[rows[split]] for split in (Split.TRAIN, Split.HELDOUT)]
        mix = compare_labels(labels[0], labels[1], len(seen.classes))
        priors = self._priors(seen, mix)
        features = (
            None
            if count < self.least
            else self._features(seen, rows, mix, told=priors is not None and bool(priors.returned))
        )
        if count < self.least and priors is None:
            return Skipped(
                self.name, f"{count} rows of a split show no other class mix; a shift of the "
                f"features shows from {self.least} on: give more",
            )  # fmt: skip
        return Finding(self.name, tuple(c for c in (priors, features) if c is not None))

    # -- class priors ------------------------------------------------------------------------

    def _priors(self, seen: Observations, test: LabelTest) -> Claim | None:
        if test.p_value > self.p_value or test.distance < self.prior_distance:
            return None
        held = seen.rows(Split.HELDOUT)
        weights = prior_weights(
            seen.rows(Split.TRAIN).labels, held.labels[held.in_gap], len(seen.classes)
        )
        counting = weights.effective_share * len(weights.heldout)
        told = self._returned(seen, weights, held.in_gap)
        if counting < self.least_effective or told is None:
            return None
        returned, back = told
        limit = limit_now(seen)
        evidence = Evidence(
            self.name,
            f"The class mix differs (total variation {test.distance:.2f}, p = {test.p_value:.1g}); "
            f"held-out rows weighted to the train mix give the student back {back.value:.3g} nats "
            f"more than the teacher ({back.low:.3g} to {back.high:.3g}).",
            back.value, limit, "nats", "for" if back.low > 0 else "against",
        )  # fmt: skip
        if back.low <= 0:
            return Claim(Cause.DISTRIBUTION_SHIFT, 0.0, "class priors", (evidence,))
        strength = self.prior_strength if back.low > limit / 2 else self.weak_prior_strength
        return Claim(
            Cause.DISTRIBUTION_SHIFT, strength, "class priors", (evidence,), returned=returned,
            summary="The held-out classes come in another mix than the train classes.",
        )  # fmt: skip

    # -- features ----------------------------------------------------------------------------

    def _features(
        self, seen: Observations, rows: Positions, mix: LabelTest, told: bool
    ) -> Claim | None:
        """`told`: the class priors have returned what reweighting can return."""
        if mix.p_value < self.p_value:
            rows = _one_mix(seen, rows)
            if min(len(positions) for positions in rows.values()) < self.least / 2:
                return None
        features = {split: _looks(seen, split, rows[split]) for split in Split}
        tests = [compare_components(*pair) for pair in zip(*features.values(), strict=True)]
        p_value = min(1.0, len(tests) * min(t.p_value for t in tests))
        distance = max((float(t.statistics.max(initial=0.0)) for t in tests), default=0.0)
        shifted = p_value < self.p_value
        evidence = Evidence(
            self.name,
            "Inputs and untrained features of both splits "
            + (
                f"differ (p = {p_value:.1g}; distance {distance:.2f} of 1)."
                if shifted
                else f"look alike (p = {p_value:.2g})."
            ),
            p_value, self.p_value, "p-value", "for" if shifted else "against",
        )  # fmt: skip
        compared = seen.missing(frozenset({Need.PIPELINES})) is None
        large = self.strength if compared else self.unmirrored
        strength = large if distance >= self.large else self.small_strength
        claim = Claim(
            Cause.DISTRIBUTION_SHIFT, strength if shifted else self.against, "features",
            (evidence,), side=Side.EXCESS_GAP, valid_unless=_voids(seen, shifted),
        )  # fmt: skip
        asked = shifted and not told and measure_left(seen).excess_gap.low > 0
        return self._explained(seen, claim) if asked else claim

    def _explained(self, seen: Observations, claim: Claim) -> Claim:
        """Add what reweighting returns, where it returns anything."""
        held = seen.rows(Split.HELDOUT)
        b = np.flatnonzero(held.reporting)
        train = np.concatenate(_looks(seen, Split.TRAIN, _independent(seen, Split.TRAIN)), axis=1)
        features = np.concatenate(_looks(seen, Split.HELDOUT, b), axis=1)
        groups = None if held.groups is None else held.groups[b]
        if not np.isfinite(features).all():
            return claim
        try:
            weights = density_weights(train, features, seen.rng("density"), groups)
        except ValueError:  # too few groups for cross-fitting
            return claim
        if weights.effective_share < self.effective:
            return claim
        told = self._returned(seen, weights, held.reporting)
        if told is None or told[1].low <= 0:
            return claim
        returned, back = told
        evidence = Evidence(
            self.name,
            "Held-out rows weighted to look like train rows give the student back "
            f"{back.value:.3g} nats more than the teacher ({back.low:.3g} to {back.high:.3g}).",
            back.value, limit_now(seen), "nats", "for",
        )  # fmt: skip
        return Claim(
            claim.cause, claim.strength, claim.topic, (*claim.evidence, evidence),
            returned=returned, valid_unless=claim.valid_unless,
        )  # fmt: skip

    def _returned(
        self, seen: Observations, weights: Weights, rows: NDArray[np.bool_]
    ) -> tuple[Returned, Interval] | None:
        """What weights of some held-out rows return on half B, and how much more to the student."""
        held = seen.rows(Split.HELDOUT)
        b = held.reporting
        weight = np.zeros(len(b))
        weight[rows] = weights.heldout
        if not weight[b].any():
            return None
        student, teacher = (
            reweighted_return(seen.current(m, Split.HELDOUT).loss[b], weight[b]) for m in Model
        )
        groups = None if held.groups is None else held.groups[b]
        more = mean_interval(student - teacher, seen.rng("reweighted"), groups=groups)
        return Returned(student, teacher), more


def _voids(seen: Observations, shifted: bool) -> frozenset[Cause]:
    """What a pipeline undid is no longer there to look like a shift; a correction leaves traces."""
    kinds = {i.kind for i in seen.stack.interventions}
    mended = "pipeline" in kinds or ("correction" in kinds and not shifted)
    return frozenset() if mended else frozenset({Cause.PREPROCESSING_MISMATCH})


def _independent(seen: Observations, split: Split) -> NDArray[np.int64]:
    """Positions of the rows that are compared: finite ones, one a group."""
    rows = seen.rows(split)
    positions = looked_at(seen, split)
    finite = np.asarray(np.isfinite(mended_statistics(seen, split)).all(axis=1))
    if rows.groups is None:
        return positions[finite]
    _, first = np.unique(rows.groups[positions].astype(str), return_index=True)
    return positions[np.sort(first[finite[first]])]


def _one_mix(seen: Observations, rows: Positions) -> Positions:
    """As many rows of each class from both splits, the first ones."""
    labels = {split: seen.rows(split).labels[positions] for split, positions in rows.items()}
    kept: dict[Split, list[NDArray[np.int64]]] = {split: [] for split in rows}
    for label in range(len(seen.classes)):
        of = {split: rows[split][labels[split] == label] for split in rows}
        count = min(len(positions) for positions in of.values())
        for split, positions in of.items():
            kept[split].append(positions[:count])
    return {split: np.sort(np.concatenate(parts)) for split, parts in kept.items()}


def _looks(seen: Observations, split: Split, positions: NDArray[np.int64]) -> list[Floats]:
    """Input statistics and, where the student can be built anew, its untrained features."""
    found = [mended_statistics(seen, split, positions)]
    if seen.once("untrained student", lambda: _offered(seen)):
        labels = np.zeros(len(positions), dtype=np.int64)
        batches = mended_batches(seen, split, positions)
        outputs = seen.score(Model.STUDENT, batches, labels, variant=VARIANT)
        features = outputs.features if outputs.features is not None else outputs.logits
        found.append(_narrow(features.astype(np.float64), seen.rng("projection")))
    return found


def _narrow(features: Floats, rng: np.random.Generator) -> Floats:
    """Project wide features at random (Johnson & Lindenstrauss 1984): their test costs k³."""
    if features.shape[1] <= WIDE:
        return features
    return features @ rng.normal(size=(features.shape[1], WIDE // 2))


def _offered(seen: Observations) -> bool:
    twin = untrained(seen)
    if twin is not None:
        seen.offer(VARIANT, module=twin)
    return twin is not None
