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
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from dp_accounting import get_epsilon_gaussian
from scipy import optimize, stats

from transecg_core.config_checks import max_delta, max_delta_words
from transecg_core.errors import UserError
from transecg_core.privacy.losses import (
    Charges,
    Mechanism,
    Unit,
    composed_loss,
    epsilon_at,
    merged,
    no_sampling_mu,
)

__all__ = [
    "ACCOUNTANT",
    "ADJACENCY",
    "SMALLEST_DELTA",
    "Account",
    "Charges",
    "Mechanism",
    "Unit",
    "calibrate_sigma",
    "check_delta",
    "epsilon",
    "epsilon_participant",
    "participant_account",
    "trade_off",
]

ADJACENCY = "zero-out"
ACCOUNTANT = "dp-accounting 0.6.0 PLD, pessimistic connect-the-dots"

_SMALLEST_SIGMA = 0.05
SMALLEST_DELTA = 1e-10
"""Below it, sums of probabilities in float64 are too coarse for an upper bound (they fail from 1e-13 on)."""


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
    if delta > max_delta(participants):
        raise UserError(
            f"delta={delta:g} is too large for {participants} participants; {max_delta_words(participants)}"
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
    charges = merged(mech_steps)
    if not charges:
        return 1 - fpr
    if any(mechanism.sigma == 0 for mechanism, _ in charges):
        return np.zeros_like(fpr)
    delta = 1e-9
    composed, spare = composed_loss(charges, delta, person=True)
    if composed is None:
        curve = stats.norm.cdf(stats.norm.isf(fpr) - no_sampling_mu(charges, delta, person=True))
        return np.clip(curve - (delta - spare), 0.0, 1.0)
    reach = max(epsilon_at(composed, spare), 1e-3)
    grid = np.linspace(-min(reach, 500.0), min(reach, 500.0), 1001)
    deltas = np.array([float(composed.get_delta_for_epsilon(e)) for e in grid]) + (delta - spare)
    tpr = (np.exp(grid) * fpr[..., None] + deltas).min(axis=-1)
    return np.clip(1 - tpr, 0.0, 1 - fpr)


def _account(mech_steps: Charges, delta: float, *, person: bool) -> Account:
    if not SMALLEST_DELTA <= delta < 1:
        raise ValueError(f"delta {delta} is not in [{SMALLEST_DELTA:g}, 1)")
    charges = merged(mech_steps)
    if not charges:
        return Account(0.0, "PLD")
    if any(mechanism.sigma == 0 for mechanism, _ in charges):
        return Account(math.inf, "PLD")
    composed, spare = composed_loss(charges, delta, person)
    if composed is None:
        # As if every step drew the largest count kept: each hockey-stick divergence of the mixture
        # is at most that of its largest shift, and such Gaussian steps compose to one Gaussian.
        bound = get_epsilon_gaussian(1 / no_sampling_mu(charges, delta, person), spare)
        return Account(float(bound), "closed bound without sampling")
    return Account(epsilon_at(composed, spare), "PLD")
