"""Spectrograms of the reporting part: power of 32 bands in 24 frames.

Chirps that rise or fall, chords of a low or a high voice, noise that is beaten fast or slowly, two
tones of which the second is higher or lower: played backwards, half of the classes turn into
others. Raw samples are linear power; the pipeline takes decibels.
"""

from __future__ import annotations

import numpy as np

from tests.clinic.sources.drawn import Drawn, labels_of

CLASSES = ("rise", "fall", "low voice", "high voice", "slow beat", "fast beat", "up", "down")
BANDS, FRAMES = 32, 24


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return rows of the pool or of held-out; `shift` is another room: echo, hum, muffled."""
    seed = {"pool": 71, "heldout": 72}[part]
    labels = labels_of(rows, len(CLASSES), priors, [seed, 0])
    rng = np.random.default_rng([seed, 1])
    power = np.zeros((rows, BANDS, FRAMES))
    for kind in range(4):
        for second in range(2):
            index = np.flatnonzero(labels == 2 * kind + second)
            power[index] = _KINDS[kind](rng, len(index), second)
    power = power * rng.uniform(0.1, 1.0, (rows, 1, 1))
    power = _in_room(rng, power, shift)
    floor = 10.0 ** rng.uniform(-2.0, -1.1, (rows, 1, 1))
    heard = power + floor * rng.exponential(1.0, power.shape)
    gain = 10.0 ** rng.uniform(-0.4, 0.4, (rows, 1, 1))
    return Drawn(np.asarray(gain * heard * rng.gamma(4, 0.25, heard.shape), np.float32), labels)


_F = np.arange(BANDS, dtype=float).reshape(1, BANDS, 1)
_T = np.arange(FRAMES, dtype=float).reshape(1, 1, FRAMES)


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values)[:, None, None]


def _line(centre: np.ndarray, width: float = 1.0) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * ((_F - centre) / width) ** 2))


def _during(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    return np.asarray((_column(start) <= _T) & (_column(stop) > _T), dtype=float)


def _chirp(rng: np.random.Generator, n: int, falling: int) -> np.ndarray:
    start, length = rng.uniform(0, 8, n), rng.uniform(8, 16, n)
    low, span = rng.uniform(3, 14, n), np.abs(rng.normal(7, 4, n)) + 0.5
    share = np.clip((_T - _column(start)) / _column(length), 0, 1)
    share = 1 - share if falling else share
    heard = _line(_column(low) + _column(span) * share) * _during(start, start + length)
    return np.asarray(heard)


def _voice(rng: np.random.Generator, n: int, high: int) -> np.ndarray:
    spacing = rng.normal(5.0 if high else 3.6, 0.55, n)
    wobble = rng.uniform(0, 0.5, n)
    drift = _column(wobble) * np.sin(_T / 3 + _column(rng.uniform(0, 6.28, n)))
    chord = np.zeros((n, BANDS, FRAMES))
    for k in range(1, 6):
        chord = chord + 0.75**k * _line(k * _column(spacing) + drift, 0.8)
    start = rng.uniform(0, 6, n)
    return np.asarray(chord * _during(start, start + rng.uniform(12, 18, n)))


def _beat(rng: np.random.Generator, n: int, fast: int) -> np.ndarray:
    period = rng.normal(4.0 if fast else 6.5, 0.9, n).clip(2.5)
    phase = rng.uniform(0, 6.28, n)
    envelope = np.maximum(np.sin(2 * np.pi * _T / _column(period) + _column(phase)), 0) ** 2
    band = _line(_column(rng.uniform(8, 24, n)), 6.0)
    return np.asarray(band * envelope * rng.exponential(1.0, (n, BANDS, FRAMES)) * 0.6)


def _tones(rng: np.random.Generator, n: int, down: int) -> np.ndarray:
    first, step = rng.uniform(8, 22, n), np.abs(rng.normal(3.2, 2.0, n)) + 0.3
    second = first - step if down else first + step
    start, half = rng.uniform(0, 5, n), rng.uniform(5, 9, n)
    one = _line(_column(first)) * _during(start, start + half)
    return np.asarray(one + _line(_column(second)) * _during(start + half, start + 2 * half))


_KINDS = (_chirp, _voice, _beat, _tones)


def _in_room(rng: np.random.Generator, power: np.ndarray, shift: float) -> np.ndarray:
    """Echo smears along time, hum fills low bands, high bands are muffled."""
    decay = np.minimum(0.15 + 0.7 * shift * rng.uniform(0.5, 1.0, (len(power), 1)), 0.95)
    heard = np.empty_like(power)
    last = np.zeros(power.shape[:2])
    for frame in range(FRAMES):
        last = power[:, :, frame] + decay * last
        heard[:, :, frame] = last
    muffled = np.exp(-shift * 0.06 * _F)
    hum = 0.5 * shift * _line(np.full((1, 1, 1), 3.0), 1.5)
    return np.asarray(heard * muffled + hum * rng.uniform(0.3, 1.0, (len(power), 1, 1)))
