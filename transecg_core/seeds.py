"""Where every random choice comes from."""

from __future__ import annotations

import hashlib


def seed_for(seed: int, *labels: str | int) -> int:
    """Return a 63-bit seed for one purpose, independent of every other purpose.

    Parameters
    ----------
    seed
        The run's seed.
    labels
        What the stream is for, for example ``("batches", site, round)``.
    """
    text = "\x1f".join([str(seed), *(f"{type(label).__name__}:{label}" for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
