"""What a sequence of noisy steps costs, for a window and for a person.

The claim is computed with dp-accounting's privacy loss distributions (PLD), discretised
pessimistically (connect-the-dots), so every number here is an upper bound.

**Adjacency** is zero-out: one unit's data is replaced by nothing, while the number of units,
the sampling rate and the expected count stay public constants. For Poisson sampling and a sum
of clipped vectors, dp-accounting calls this ``REPLACE_SPECIAL`` and its worst-case pair is the
add-or-remove pair: N(0, sigma^2) against (1 - q) N(0, sigma^2) + q N(1, sigma^2), in both
directions. It is *not* replace-one, whose sensitivity would be twice as large.

**A person under window sampling** owns up to ``max_windows`` windows, each drawn with
probability q on its own: the step shifts the sum by up to J clip norms, J ~ Binomial(max_windows,
q), the mixture of Gaussians of Charles et al. (arXiv 2407.07737). The window
epsilon times the number of windows would understate it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from dp_accounting import NeighboringRelation, get_epsilon_gaussian
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.privacy_loss_mechanism import GaussianPrivacyLoss, MixtureGaussianPrivacyLoss
from scipy import optimize, stats

from transecg_core.errors import UserError

Unit = Literal["window", "participant"]

ADJACENCY = "zero-out"
ACCOUNTANT = "dp-accounting 0.6.0 PLD, pessimistic connect-the-dots"

_GRID = 4000
"""Points of one step's discretised loss; four times as many move epsilon by less than 0.1 %."""
_COARSEST = 20.0
"""A person's loss that needs a wider grid than this is unprotected; a closed bound is enough."""
_SMALLEST_SIGMA = 0.05
SMALLEST_DELTA = 1e-10
"""Below it, sums of probabilities in float64 are too coarse for an upper bound (they fail from 1e-13 on)."""
_TAIL_SHARE = 1e-6
"""Share of delta given to every truncated tail; it is charged, never dropped."""


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


@dataclass(frozen=True)
class Account:
    """An upper bound on epsilon, and how it was found."""

    epsilon: float
    method: Literal["PLD", "closed bound without sampling"]


def check_delta(delta: float, participants: int) -> None:
    """Refuse a delta under which releasing one whole person at random would be allowed, or no bound would hold.

    Raises
    ------
    UserError
        If `delta` exceeds 1 / (10 participants), or is below `SMALLEST_DELTA`.
    """
    if delta < SMALLEST_DELTA:
        raise UserError(f"delta={delta:g} is too small to compute with; use at least {SMALLEST_DELTA:g}")
    if delta > 1 / (10 * participants):
        raise UserError(
            f"delta={delta:g} is too large for {participants} participants; "
            f"use at most 1/(10 n) = {1 / (10 * participants):.3g}"
        )


def epsilon(mech_steps: Charges, delta: float) -> float:
    """Return the run's epsilon for the mechanisms' own unit, composed over all steps.

    Raises
    ------
    ValueError
        If the charges mix units (only `epsilon_participant` covers both), or for a bad delta.
    """
    if len({mechanism.unit for mechanism, _ in mech_steps}) > 1:
        raise ValueError("window and participant charges have no common unit but the participant")
    return _account(mech_steps, delta, person=False).epsilon


def epsilon_participant(mech_steps: Charges, delta: float) -> float:
    """Return the run's epsilon for a person, whatever unit was sampled."""
    return participant_account(mech_steps, delta).epsilon


def participant_account(mech_steps: Charges, delta: float) -> Account:
    """Return `epsilon_participant` together with the method that bounded it."""
    return _account(mech_steps, delta, person=True)


@lru_cache(maxsize=256)
def calibrate_sigma(
    unit: Unit, q: float, steps: int, target_epsilon: float, delta: float, max_windows: int
) -> float:
    """Return the smallest noise multiplier (to 0.01 %, at least 0.05) that keeps a run within `target_epsilon`.

    Parameters
    ----------
    steps
        Steps of the *whole run*, all rounds together.
    """
    if target_epsilon <= 0:
        raise ValueError(f"target epsilon {target_epsilon} is not positive")

    def cost(sigma: float) -> float:
        return epsilon([(Mechanism(unit, q, sigma, max_windows), steps)], delta)

    low, high = _SMALLEST_SIGMA, 1.0
    if cost(low) <= target_epsilon:
        return low
    while cost(high) > target_epsilon:
        low, high = high, 2 * high
    # Epsilon falls nearly like a power of sigma, so the search is on logarithms.
    sigma = math.exp(
        optimize.brentq(
            lambda log_sigma: math.log(max(cost(math.exp(log_sigma)), 1e-9) / target_epsilon),
            math.log(low),
            math.log(high),
            xtol=4e-5,
        )
    )
    while cost(sigma) > target_epsilon:
        sigma *= 1 + 4e-5
    return sigma


def trade_off(mech_steps: Charges, fpr: np.ndarray) -> np.ndarray:
    """Return a lower bound f(FPR) on any membership test's false negative rate, for a person.

    For every real epsilon, TPR <= e^epsilon FPR + delta(epsilon), delta being the larger of add
    and remove; f is the best such bound: the weaker curve, or their hull where they cross.
    """
    fpr = np.asarray(fpr, dtype=np.float64)
    charges = _merged(mech_steps)
    if not charges:
        return 1 - fpr
    if any(mechanism.sigma == 0 for mechanism, _ in charges):
        return np.zeros_like(fpr)
    delta = 1e-9
    composed, spare = _composed(charges, delta, person=True)
    if composed is None:
        curve = stats.norm.cdf(stats.norm.isf(fpr) - _no_sampling_mu(charges, delta, person=True))
        return np.clip(curve - (delta - spare), 0.0, 1.0)
    reach = max(_epsilon_at(composed, spare), 1e-3)
    grid = np.linspace(-min(reach, 500.0), min(reach, 500.0), 1001)
    deltas = np.array([float(composed.get_delta_for_epsilon(e)) for e in grid]) + (delta - spare)
    tpr = (np.exp(grid) * fpr[..., None] + deltas).min(axis=-1)
    return np.clip(1 - tpr, 0.0, 1 - fpr)


def _merged(mech_steps: Charges) -> tuple[tuple[Mechanism, int], ...]:
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


def _account(mech_steps: Charges, delta: float, *, person: bool) -> Account:
    if not SMALLEST_DELTA <= delta < 1:
        raise ValueError(f"delta {delta} is not in [{SMALLEST_DELTA:g}, 1)")
    charges = _merged(mech_steps)
    if not charges:
        return Account(0.0, "PLD")
    if any(mechanism.sigma == 0 for mechanism, _ in charges):
        return Account(math.inf, "PLD")
    composed, spare = _composed(charges, delta, person)
    if composed is None:
        # As if every step drew the largest count kept: each hockey-stick divergence of the mixture
        # is at most that of its largest shift, and such Gaussian steps compose to one Gaussian.
        bound = get_epsilon_gaussian(1 / _no_sampling_mu(charges, delta, person), spare)
        return Account(float(bound), "closed bound without sampling")
    return Account(_epsilon_at(composed, spare), "PLD")


def _epsilon_at(composed: pld.PrivacyLossDistribution, delta: float) -> float:
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


def _no_sampling_mu(charges: tuple[tuple[Mechanism, int], ...], delta: float, person: bool) -> float:
    tail = _tail(charges, delta)
    return math.sqrt(sum(steps * (_shifts(m, tail, person)[0][-1] / m.sigma) ** 2 for m, steps in charges))


def _tail(charges: tuple[tuple[Mechanism, int], ...], delta: float) -> float:
    return delta * _TAIL_SHARE / sum(steps for _, steps in charges)


@lru_cache(maxsize=64)
def _composed(
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
        total = total.compose(step.self_compose(steps, delta * _TAIL_SHARE), delta * _TAIL_SHARE)
    # The counts that `_shifts` left out are treated as certain disclosure: their probability is
    # an infinite loss of the step, so it comes off delta once per step.
    return total, spare


Shifts = tuple[tuple[float, ...], tuple[float, ...]]
"""Shifts of the sum in clip norms, and their probabilities."""


def _shifts(mechanism: Mechanism, tail: float, person: bool) -> Shifts:
    """Return how far one unit can move a step's sum, leaving out counts with probability `tail` in all."""
    q = mechanism.q
    if not person or mechanism.unit == "participant" or mechanism.max_windows == 1:
        return ((0.0, 1.0), (1 - q, q)) if q < 1 else ((1.0,), (1.0,))
    draws = stats.binom(mechanism.max_windows, q)
    counts = np.arange(int(draws.ppf(tail / 2)), int(draws.isf(tail / 2)) + 1)
    probabilities = draws.pmf(counts)
    keep = probabilities > 0
    probabilities = probabilities[keep] / probabilities[keep].sum()
    return tuple(map(float, counts[keep])), tuple(map(float, probabilities))


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
