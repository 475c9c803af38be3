"""Privacy loss distributions of noisy steps, for a window and for a person.

dp-accounting's, discretised pessimistically (connect-the-dots). Every tail that is left out is charged: it
comes off the delta that is spent on the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from dp_accounting import NeighboringRelation
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.privacy_loss_mechanism import GaussianPrivacyLoss, MixtureGaussianPrivacyLoss
from scipy import stats

Unit = Literal["window", "participant"]

_GRID = 4000
"""Points of one step's discretised loss; four times as many move epsilon by less than 0.1 %."""
_COARSEST = 20.0
"""A person's loss that needs a wider grid than this is unprotected; a closed bound is enough."""
_TAIL_SHARE = 1e-6
"""Share of delta given to every truncated tail; it is charged, never dropped."""
_LEAST_MISS = 1e-9
"""A unit that is passed over more rarely counts as always drawn: dp-accounting fails on chances next to 1."""
_LEAST_CHANCE, _LAST_BITS = 1e-13, 1e-15
"""dp-accounting takes 1 minus the chances of a shift for the chance of none, and fails on what rounding leaves of it."""


@dataclass(frozen=True)
class Mechanism:
    """One step of DP-SGD by Poisson sampling.

    Attributes
    ----------
    unit
        What is sampled and clipped.
    q
        Probability that a unit is drawn for a step.
    sigma
        Noise multiplier: noise standard deviation / clip norm. 0 is no noise, epsilon infinite.
    max_windows
        Public cap on a person's windows; decides the person's cost when `unit` is a window.
    """

    unit: Unit
    q: float
    sigma: float
    max_windows: int

    def __post_init__(self) -> None:
        if self.unit not in ("window", "participant"):
            raise ValueError(f"unit {self.unit!r}: window or participant")
        if not 0 < self.q <= 1:
            raise ValueError(f"sampling rate {self.q} is not in (0, 1]")
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"noise multiplier {self.sigma} is not a finite number >= 0")
        if self.max_windows < 1:
            raise ValueError(f"max_windows {self.max_windows} is not at least 1")


Charges = Sequence[tuple[Mechanism, int]]
"""Mechanisms with the number of steps each ran."""


def merged(mech_steps: Charges) -> tuple[tuple[Mechanism, int], ...]:
    """Return the charges with equal mechanisms added up: ten rounds cost what one long run costs."""
    total: dict[Mechanism, int] = {}
    for mechanism, steps in mech_steps:
        if steps < 0:
            raise ValueError(f"{steps} steps")
        total[mechanism] = total.get(mechanism, 0) + steps
    pairs = sorted(
        total.items(), key=lambda pair: (pair[0].unit, pair[0].q, pair[0].sigma, pair[0].max_windows)
    )
    return tuple((mechanism, steps) for mechanism, steps in pairs if steps)


def epsilon_at(composed: pld.PrivacyLossDistribution, delta: float) -> float:
    """Return the smallest epsilon whose hockey-stick divergence is at most `delta`.

    dp-accounting finds it through e^epsilon, which overflows above 709 and then reads as infinite;
    the divergence itself does not overflow, so beyond that it is searched for.
    """
    with np.errstate(over="ignore"):
        found = float(composed.get_epsilon_for_delta(delta))
    if math.isfinite(found):
        return found
    high = 1024.0
    while composed.get_delta_for_epsilon(high) > delta:
        high *= 2
        if high > 1e6:  # the infinite losses alone exceed delta: nothing is claimed
            return math.inf
    low = 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if composed.get_delta_for_epsilon(middle) <= delta else (middle, high)
    return high


def no_sampling_mu(charges: tuple[tuple[Mechanism, int], ...], delta: float, person: bool) -> float:
    """Return the shift, in noise deviations, of one Gaussian step that bounds the charges as if nobody were sampled."""
    tail = _tail(charges, delta)
    return math.sqrt(sum(steps * (_shifts(m, tail, person)[0][-1] / m.sigma) ** 2 for m, steps in charges))


def _tail(charges: tuple[tuple[Mechanism, int], ...], delta: float) -> float:
    return delta * _TAIL_SHARE / sum(steps for _, steps in charges)


@lru_cache(maxsize=64)
def composed_loss(
    charges: tuple[tuple[Mechanism, int], ...], delta: float, person: bool
) -> tuple[pld.PrivacyLossDistribution | None, float]:
    """Return the composed PLD and the delta left for it, or None where the grid would be too wide."""
    tail = _tail(charges, delta)
    spare = delta - delta * _TAIL_SHARE
    shifts = [_shifts(mechanism, tail, person) for mechanism, _ in charges]
    width = max(_spread(m.sigma, shift, tail) for (m, _), shift in zip(charges, shifts, strict=True)) / _GRID
    if width > _COARSEST:
        return None, spare
    total = pld.identity(width)
    for (mechanism, steps), shift in zip(charges, shifts, strict=True):
        step = _step_pld(mechanism.sigma, shift, width, tail)
        # It cuts the tails by the best of forty Chernoff bounds; one that overflows is infinite and passed over.
        with np.errstate(over="ignore"):
            steps_loss = step.self_compose(steps, delta * _TAIL_SHARE)
        total = total.compose(steps_loss, delta * _TAIL_SHARE)
    # The counts that `_shifts` left out are treated as certain disclosure: their probability is
    # an infinite loss of the step, so it comes off delta once per step. In the other direction, from with to
    # without the person, renormalising the rest moves a loss by -log(1 - tail): 1e-6 delta over all steps.
    return total, spare


Shifts = tuple[tuple[float, ...], tuple[float, ...]]
"""Shifts of the sum in clip norms, and their probabilities."""


def _shifts(mechanism: Mechanism, tail: float, person: bool) -> Shifts:
    """Return how far one unit can move a step's sum, leaving out counts with probability `tail` in all."""
    q = mechanism.q if 1 - mechanism.q >= _LEAST_MISS else 1.0  # being drawn always costs no less
    if not person or mechanism.unit == "participant" or mechanism.max_windows == 1:
        return ((0.0, 1.0), (1 - q, q)) if q < 1 else ((1.0,), (1.0,))
    draws = stats.binom(mechanism.max_windows, q)
    counts = np.arange(int(draws.ppf(tail / 2)), int(draws.isf(tail / 2)) + 1)
    chances = draws.pmf(counts)
    if counts[0] == 0 and len(counts) > 1 and chances[0] < _LEAST_CHANCE:
        # A larger shift in its place costs more: the likelihood ratio rises with the sum, so the best test is a
        # threshold, and every threshold tells the larger shift better.
        chances[1] += chances[0]
        chances[0] = 0.0
    keep = chances > 0
    counts, chances = counts[keep], chances[keep] / chances[keep].sum()
    if counts[0] > 0 and len(counts) > 1:
        chances = chances * (1 + _LAST_BITS)
    return tuple(map(float, counts)), tuple(map(float, chances))


def _is_single(shift: Shifts) -> bool:
    """Return whether a unit shifts the sum by one fixed amount or not at all: the subsampled Gaussian."""
    return sum(amount > 0 for amount in shift[0]) == 1


def _spread(sigma: float, shift: Shifts, tail: float) -> float:
    """Return the width of one step's loss range, `tail` left out."""
    log_tail = math.log(tail)
    loss = (
        GaussianPrivacyLoss(sigma, shift[0][-1], True, log_tail, shift[1][-1])
        if _is_single(shift)
        else MixtureGaussianPrivacyLoss(sigma, shift[0], shift[1], log_mass_truncation_bound=log_tail)
    )
    bounds = loss.connect_dots_bounds()
    return float(bounds.epsilon_upper - bounds.epsilon_lower)


@lru_cache(maxsize=64)
def _step_pld(sigma: float, shift: Shifts, width: float, tail: float) -> pld.PrivacyLossDistribution:
    if _is_single(shift):
        return pld.from_gaussian_mechanism(
            sigma,
            shift[0][-1],
            value_discretization_interval=width,
            log_mass_truncation_bound=math.log(tail),
            sampling_prob=shift[1][-1],
            neighboring_relation=NeighboringRelation.REPLACE_SPECIAL,
        )
    return pld.from_mixture_gaussian_mechanism(
        sigma,
        shift[0],
        shift[1],
        value_discretization_interval=width,
        log_mass_truncation_bound=math.log(tail),
    )
