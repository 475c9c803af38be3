"""Who trains: an independent fair coin per person.

The coin depends on the seed and the canonical person alone, so that one person's two
local ids share a coin and nobody's coin depends on who else is there. The number of
members is therefore random; sampling rates and denominators must not be derived from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

AUDIT_SPLITS: tuple[str, ...] = ("halves", "none")


def coin(seed: int, person: str) -> bool:
    """Return the fair coin of a canonical person: True trains, False is a control.

    Parameters
    ----------
    seed
        The run's seed.
    person
        Canonical person id (`SiteSource.person`), never the local id.
    """
    digest = hashlib.sha256(f"membership\x1f{seed}\x1f{person}".encode()).digest()
    return bool(digest[0] & 1)


def members(
    source_person: Callable[[str], str], participants: Sequence[str], audit_split: str, seed: int
) -> np.ndarray:
    """Return which participants train, bool (P,).

    Parameters
    ----------
    source_person
        Local participant id -> canonical person id.
    participants
        Local participant ids.
    audit_split
        ``halves``: a fair coin per person; ``none``: everybody trains.
    seed
        The run's seed.

    Raises
    ------
    ValueError
        For an unknown `audit_split`.
    """
    if audit_split not in AUDIT_SPLITS:
        raise ValueError(f"audit-split '{audit_split}' is not one of {', '.join(AUDIT_SPLITS)}")
    if audit_split == "none":
        return np.ones(len(participants), dtype=bool)
    return np.array([coin(seed, source_person(name)) for name in participants], dtype=bool)
