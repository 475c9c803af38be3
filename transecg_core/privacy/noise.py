"""Where noise and sampling randomness come from.

A deployment draws everything from the operating system's cryptographic generator. A seeded
source exists for simulations only: whoever knows the seed can subtract the noise, so its runs
carry ``simulation_noise: true`` and no guarantee.

Floating point: the Gaussian is made in float64 and each sample is a scaled sum of four (Holohan
and Braghin, arXiv 2107.10138), added to the clipped sum in float64 and rounded to float32 once.
That removes the published attack on the gaps between representable Gaussians; it is not a proof
over the reals, which only a discrete mechanism would give.
"""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np

from transecg_core.seeds import seed_for


class RandomSource(Protocol):
    """Independent streams, one per sequence of labels."""

    def uniform(self, count: int, *labels: str | int) -> np.ndarray:
        """Return `count` float64 numbers in [0, 1)."""
        ...

    def normal(self, count: int, *labels: str | int) -> np.ndarray:
        """Return `count` standard normal float64 numbers."""
        ...

    def seed(self, *labels: str | int) -> int:
        """Return a 63-bit seed for randomness that protects nobody (augmentation)."""
        ...


class SeededSource:
    """The same numbers for the same seed and labels: simulations only."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        return np.random.default_rng(self.seed("uniform", *labels)).random(count)

    def normal(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        return np.random.default_rng(self.seed("normal", *labels)).standard_normal(count)

    def seed(self, *labels: str | int) -> int:
        """See `RandomSource`."""
        return seed_for(self._seed, *labels)


class SecureSource:
    """Fresh numbers from the operating system's generator at every call; labels are ignored."""

    def uniform(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        bits = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(11)
        return bits * 2.0**-53

    def normal(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        # Box-Muller: four independent samples from two pairs, summed and halved.
        radius, angle = self.uniform(4 * count).reshape(2, 2, count)
        length = np.sqrt(-2 * np.log1p(-radius))
        turn = 2 * np.pi * angle
        total: np.ndarray = (length * (np.cos(turn) + np.sin(turn))).sum(axis=0) / 2
        return total

    def seed(self, *labels: str | int) -> int:
        """See `RandomSource`."""
        return int.from_bytes(os.urandom(8), "big") >> 1


def source_for(seed: int | None) -> RandomSource:
    """Return the secure source for None, the seeded one for a seed (simulations only)."""
    return SecureSource() if seed is None else SeededSource(seed)
