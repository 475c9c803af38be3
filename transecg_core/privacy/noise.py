"""Where noise and sampling randomness come from.

A deployment draws everything from ChaCha20 (RFC 8439), keyed afresh at every call with 256 bits of
the operating system's cryptographic generator; Linux's own generator is the same cipher, but
answers an order of magnitude more slowly. The key is kept nowhere. A seeded source exists for
simulations only: whoever knows the seed can subtract the noise, so its runs carry
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
    """Fresh numbers at every call, from a cipher keyed by the operating system; labels are ignored."""

    def uniform(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        out: np.ndarray = (_fresh_53_bits(count) * 2.0**-53).numpy()
        return out

    def normal(self, count: int, *labels: str | int) -> np.ndarray:
        """See `RandomSource`."""
        # Box-Muller: four samples from two pairs, summed and halved. torch's log, sine and cosine
        # (SLEEF, within 1 ulp) are vectorised in float64, which NumPy's are not everywhere.
        bits_RAN = _fresh_53_bits(4 * count).reshape(2, 2, count)
        length_RN = ((bits_RAN[0] + 1.0) * 2.0**-53).log_().mul_(-2.0).sqrt_()
        turn_RN = bits_RAN[1].mul_(2.0**-53 * 2.0 * math.pi)
        pair_RN = turn_RN.sin().add_(turn_RN.cos_()).mul_(length_RN)
        total: np.ndarray = (pair_RN[0] + pair_RN[1]).mul_(0.5).numpy()
        return total

    def seed(self, *labels: str | int) -> int:
        """See `RandomSource`."""
        return int.from_bytes(os.urandom(8), "big") >> 1


def _fresh_53_bits(count: int) -> Tensor:
    """Return `count` uniform integers in [0, 2^53) as float64, which holds them exactly."""
    words = np.zeros(count, dtype=np.int64)
    keystream(os.urandom(32), words.data.cast("B"))
    return torch.from_numpy(words).bitwise_and_((1 << 53) - 1).to(torch.float64)


def keystream(key: bytes, zeros: memoryview) -> None:
    """Overwrite zeroed bytes with ChaCha20's keystream: the key's first block counter and nonce are 0."""
    if len(zeros):  # a key serves one call: at most 2^32 blocks of 64 bytes, and never a second nonce
        Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update_into(zeros, zeros)


def source_for(seed: int | None) -> RandomSource:
    """Return the secure source for None, the seeded one for a seed (simulations only)."""
    return SecureSource() if seed is None else SeededSource(seed)
