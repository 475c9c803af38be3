"""Where noise and sampling randomness come from.

A deployment draws everything from the operating system's cryptographic generator: coins directly,
noise through ChaCha20 (RFC 8439), keyed afresh at every call with 256 bits of that generator. Linux's
own is the same cipher, but answers an order of magnitude more slowly. The key is kept nowhere. A
seeded source exists for simulations only: whoever knows the seed can subtract the noise, so its runs carry
``simulation_noise: true`` and no guarantee. Against an adversary who cannot break the cipher, the
guarantee is the stated one; it is computational, as with any generator.

Floating point: the Gaussian is made in float64 and each sample is a scaled sum of four (Holohan
and Braghin, arXiv 2107.10138), which no other sample shares random bits with, added to the clipped
sum in float64 and rounded to float32 once. That removes the published attack on the gaps between
representable Gaussians; it is not a proof over the reals, which only a discrete mechanism would give.
"""

from __future__ import annotations

import math
import os
from typing import Protocol

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from torch import Tensor

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
    """Fresh numbers at every call, from the operating system or a cipher that it keys; labels are ignored."""

    def uniform(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        bits = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(11)
        return bits * 2.0**-53

    def normal(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        out = torch.empty(count, dtype=torch.float64)
        stream = Keystream(os.urandom(32))
        for start in range(0, count, _CACHED):
            part = out[start : start + _CACHED]
            _box_muller_sums(stream.words(4 * len(part)), part)
        noise: np.ndarray = out.numpy()
        return noise

    def seed(self, *labels: str | int) -> int:
        """See `RandomSource`."""
        return int.from_bytes(os.urandom(8), "big") >> 1


_CACHED = 16384
"""Samples made at a time, so that the work stays in a core's cache."""


def _box_muller_sums(words: Tensor, out: Tensor) -> None:
    """Write half the sum of four standard normal samples, made from 4 random words, which are overwritten.

    Two Box-Muller pairs per number; no two numbers share a word. torch's float64 logarithm, sine
    and cosine (SLEEF, within 1 ulp) are vectorised, which NumPy's are not everywhere.
    """
    radius_W, angle_W = words.chunk(2)
    # (0, 1] in steps of 2^-53, each exact in float64; the angle uses all 64 bits, as (-pi, pi).
    uniform_W = radius_W.bitwise_and_((1 << 53) - 1).to(torch.float64).add_(1.0).mul_(2.0**-53)
    length_W = uniform_W.log_().mul_(-0.5).sqrt_()
    turn_W = angle_W.to(torch.float64).mul_(2.0**-63 * math.pi)
    pair_W = turn_W.sin().add_(turn_W.cos_()).mul_(length_W)
    torch.add(*pair_W.chunk(2), out=out)


class Keystream:
    """ChaCha20's keystream under one 256-bit key, from the first block, with nonce 0: never reuse a key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def words(self, count: int) -> Tensor:
        """Return the next `count` words of 64 bits, as int64."""
        words = np.zeros(count, dtype=np.int64)
        if count:
            view = words.data.cast("B")
            self._cipher.update_into(view, view)
        return torch.from_numpy(words)


def source_for(seed: int | None) -> RandomSource:
    """Return the secure source for None, the seeded one for a seed (simulations only)."""
    return SecureSource() if seed is None else SeededSource(seed)
