"""Which units enter a private step, and which of their windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from transecg_core.privacy.accounting import Mechanism, Unit
from transecg_core.privacy.noise import RandomSource
from transecg_core.training.local import TrainingSet, augment

SMALLEST_CLIP = 1e-9
"""Squares of numbers below 1e-19 vanish in float32; gradients that small must not need clipping."""


@dataclass(frozen=True)
class PrivateSpec:
    """One private step.

    Attributes
    ----------
    unit, q, sigma, max_windows
        See `transecg_core.privacy.accounting.Mechanism`. ``sigma`` 0 is the reference arm: clipped,
        no noise, no guarantee.
    clip_norm
        L2 bound on one unit's gradient.
    expected
        Fixed public number that the noised sum is divided by, normally q times the number of units.
    windows_per_draw
        How many of a drawn participant's windows enter the step; 1 for the window unit.
    """

    unit: Unit
    sigma: float
    clip_norm: float
    q: float
    expected: float
    windows_per_draw: int
    max_windows: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.clip_norm) and self.clip_norm > 0):
            raise ValueError(f"clip norm {self.clip_norm} is not a positive number")
        if self.clip_norm < SMALLEST_CLIP:
            raise ValueError(
                f"clip norm {self.clip_norm} is below {SMALLEST_CLIP}, where float32 norms vanish"
            )
        if not (np.isfinite(self.expected) and self.expected > 0):
            raise ValueError(f"expected count {self.expected} is not a positive number")
        if self.windows_per_draw < 1:
            raise ValueError(f"windows per draw {self.windows_per_draw} is not at least 1")
        self.mechanism  # noqa: B018  (validates unit, q, sigma and max_windows)

    @property
    def mechanism(self) -> Mechanism:
        """What one step costs."""
        return Mechanism(self.unit, self.q, self.sigma, self.max_windows)

    @property
    def group(self) -> int:
        """Rows that one unit takes in a batch."""
        return self.windows_per_draw if self.unit == "participant" else 1


def draw_units(data: TrainingSet, spec: PrivateSpec, source: RandomSource, step: int) -> list[np.ndarray]:
    """Return the rows of every drawn unit: Poisson over units, then some of a drawn person's windows."""
    if spec.unit == "window":
        drawn = np.flatnonzero(source.uniform(len(data), "draw", step) < spec.q)
        return list(drawn[:, None])
    people = np.flatnonzero(source.uniform(data.participants, "draw", step) < spec.q)
    participant_N = data.participant_N.numpy()
    by_person_N = np.argsort(participant_N, kind="stable")
    first, last = np.searchsorted(participant_N[by_person_N], [people, people + 1])
    groups = []
    for person, start, end in zip(people.tolist(), first, last, strict=True):
        rows = by_person_N[start:end]
        if len(rows) > spec.windows_per_draw:
            # One stream per person: who else is there changes nothing in which windows are taken.
            order = np.argsort(source.uniform(len(rows), "windows", step, person))
            rows = rows[np.sort(order[: spec.windows_per_draw])]
        groups.append(rows)
    return [rows for rows in groups if len(rows)]


MAX_WINDOWS_PER_PASS = 128
"""Larger draws are accumulated in equal passes of at most this many windows, to bound memory."""

MIN_ROWS = 32
"""Least rows of a pass: a small draw is filled up with rows of weight 0.

Matrix kernels take other paths for a few rows, and round otherwise. Who else was drawn must not
decide how a person's own gradient is rounded: weights can be made that turn a last bit into any
gradient, and the server makes the weights. From 16 rows on, no such difference was found.
"""


def pad_units(groups: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row indices and weights (U, G): each unit's mean; padding has weight 0.

    There are more units than groups where these would have fewer than `MIN_ROWS` rows.
    """
    missing = max(0, -(-MIN_ROWS // size) - len(groups))
    rows_UG, weight_UG = _side_by_side(groups, size)
    filler = np.full((missing, size), rows_UG[0, 0])
    return np.concatenate([rows_UG, filler]), np.concatenate([weight_UG, np.zeros((missing, size))])


def _side_by_side(groups: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    count_U1 = np.array([len(g) for g in groups])[:, None]
    first_U1 = np.cumsum(count_U1)[:, None] - count_U1
    place_G = np.arange(size)
    rows = np.concatenate(groups)[first_U1 + np.where(place_G < count_U1, place_G, 0)]
    return rows, np.where(place_G < count_U1, 1.0 / count_U1, 0.0)


@dataclass(frozen=True)
class Batch:
    """What one pass computes: B rows, equally many consecutive ones of every unit.

    Attributes
    ----------
    x_BL
        Augmented windows.
    targets_B
        Task -> int64 targets.
    weight_B
        What each row's loss counts for its unit: one over the unit's windows, 0 for padding.
    units
        Units, padding included.
    """

    x_BL: Tensor
    targets_B: Mapping[str, Tensor]
    weight_B: Tensor
    units: int


def passes(groups: Sequence[np.ndarray], spec: PrivateSpec) -> list[Sequence[np.ndarray]]:
    """Return the drawn units in equal parts of at most `MAX_WINDOWS_PER_PASS` rows; none of an empty draw."""
    count = math.ceil(len(groups) / max(1, MAX_WINDOWS_PER_PASS // spec.group))
    edges = [len(groups) * i // count for i in range(count + 1)] if count else []
    return [groups[start:end] for start, end in pairwise(edges)]


def unit_batch(data: TrainingSet, groups: Sequence[np.ndarray], spec: PrivateSpec, seed: int | None) -> Batch:
    """Return the batch of some drawn units; `seed` is that of the augmentation, None for none."""
    rows_UG, weight_UG = pad_units(groups, spec.group)
    rows_B = torch.from_numpy(rows_UG.ravel())
    x_BL = data.x_NL[rows_B]
    if seed is not None:
        x_BL = augment(x_BL, torch.Generator().manual_seed(seed))
    targets_B = {task: target[rows_B] for task, target in data.targets.items()}
    return Batch(x_BL, targets_B, torch.from_numpy(weight_UG.ravel()).to(x_BL.dtype), len(rows_UG))


def check_cap(data: TrainingSet, spec: PrivateSpec) -> None:
    """Refuse data in which somebody has more windows than the public cap, which the claim rests on.

    Raises
    ------
    ValueError
        If a participant exceeds ``max_windows``.
    """
    if len(data) and int(torch.bincount(data.participant_N).max()) > spec.max_windows:
        raise ValueError(f"a participant has more than max_windows={spec.max_windows} windows")
