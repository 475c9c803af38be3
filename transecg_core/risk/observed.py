"""What observers of the rounds saw: kept in memory by a simulation, for its own audit, and never written to disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from transecg_core.config import RunConfig

MOST_BYTES = 512 * 2**20
"""Memory for updates; of a run with more of them, evenly spaced rounds are kept."""

State = Mapping[str, "Tensor"]
"""Shared weights by name."""


@dataclass(frozen=True)
class RoundSeen:
    """One round.

    Attributes
    ----------
    number
        From 1.
    before, after
        Global weights that the round started from, and those it ended with.
    updates
        Site -> the weights it sent. A site that was absent or refused is missing.
    """

    number: int
    before: State
    after: State
    updates: Mapping[str, State]


@dataclass(frozen=True)
class Observed:
    """The kept rounds, ascending, and the public recipe that every observer knows."""

    cfg: RunConfig
    rounds: tuple[RoundSeen, ...]

    def spaced(self, most: int) -> tuple[RoundSeen, ...]:
        """Return at most `most` of the rounds, evenly spaced, the first and the last among them."""
        return tuple(self.rounds[i] for i in evenly(len(self.rounds), most))


def evenly(count: int, most: int) -> tuple[int, ...]:
    """Return up to `most` indices below `count`, evenly spaced, the first and the last among them."""
    if count <= most:
        return tuple(range(count))
    return tuple(np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist())


def kept_rounds(cfg: RunConfig, weights: State, most_bytes: int = MOST_BYTES) -> frozenset[int]:
    """Return the numbers of the rounds that a coordinator keeps: none outside a simulation.

    A pilot's server could do what the audit does, but holds nobody's ECG to judge it by.
    """
    if cfg.cohort == "node":
        return frozenset()
    per_round = sum(v.numel() * v.element_size() for v in weights.values()) * len(cfg.site_names)
    return frozenset(i + 1 for i in evenly(cfg.rounds, max(1, most_bytes // max(per_round, 1))))


def vector(state: State, names: Iterable[str]) -> np.ndarray:
    """Return the named arrays of a state as one float32 vector."""
    return np.concatenate([state[name].detach().numpy().ravel() for name in names])
