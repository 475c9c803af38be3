"""The rows of a privacy ledger, and the chain of hashes that ties each to the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from transecg_core.privacy.accounting import Mechanism

START = "0" * 64
"""What the first charge is chained to; the head of an empty ledger."""


class ReleaseKey(NamedTuple):
    """What makes a release the same release."""

    run_id: str
    round: int
    site: str
    code_hash: str
    input_hash: str


@dataclass(frozen=True)
class Charge:
    """One committed charge.

    Attributes
    ----------
    number
        Position in the ledger, from 1.
    unix_time
        When it was committed, by the site's own clock; no sum depends on it.
    update_hash
        SHA-256 of the stored bytes.
    chain
        SHA-256 over the charge before and everything in this one.
    """

    number: int
    key: ReleaseKey
    mechanism: Mechanism
    steps: int
    unix_time: float
    update_hash: str
    chain: str


def link(previous: str, charge: Charge) -> str:
    """Return the chain hash of `charge` after `previous`; its own ``chain`` doesn't enter."""
    key, mech = charge.key, charge.mechanism
    content = [
        *(previous, charge.number, *key),
        *(mech.unit, repr(mech.q), repr(mech.sigma), mech.max_windows, charge.steps),
        *(repr(charge.unix_time), charge.update_hash),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def head(charges: Sequence[Charge]) -> str:
    """Return the last hash: noted elsewhere, it shows charges cut off the end."""
    return charges[-1].chain if charges else START


def broken_at(charges: Sequence[Charge]) -> int | None:
    """Return the position of the first charge that doesn't follow from the one before; None if all do."""
    previous = START
    for position, charge in enumerate(charges, start=1):
        if charge.number != position or link(previous, charge) != charge.chain:
            return position
        previous = charge.chain
    return None


def clock_steps_back(charges: Sequence[Charge]) -> tuple[int, ...]:
    """Return the numbers of charges that the site's clock puts before the charge they follow."""
    return tuple(later.number for earlier, later in pairwise(charges) if later.unix_time < earlier.unix_time)
