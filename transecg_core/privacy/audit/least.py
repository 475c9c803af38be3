"""The least that charges cost a worst-case person: a lower bound on epsilon that rounding cannot lift.

Calibration and ledger round every loss up; an audit that did the same could exceed a right claim by its grid
alone. Here every loss is rounded down and every tail left out, so a right claim is never below the bound.

What the rounding took is given back as far as it is certain. If one step's loss is W F + R with F whole and R
in [0, W), the R of n independent steps add up to at least n E[R] - t except with probability
exp(-2 t^2 / (n W^2)) (Hoeffding 1963, Theorem 2), and that probability is added to delta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from dp_accounting.pld import common
from scipy import optimize, signal, special, stats

from transecg_core.privacy.accounting import Mechanism, Unit

Charges = tuple[tuple[Mechanism, int], ...]

_FINENESS = 1e-3
"""Grid of the loss, as a part of one step's standard deviation."""
_MOST_POINTS = 2**20
"""Of one step's loss; a wider loss has a coarser grid, and so a lower bound."""
_CELLS, _MIXTURE_CELLS = 2**18, 2**16
"""Into which the noise is cut; a mixture costs as many passes over them as it has parts."""
_REACH = 9.0
"""Noise beyond this many sigma is left out."""
_SHARE = 1e-3
"""Part of delta spent on tails and on Hoeffding's bound."""


@dataclass(frozen=True)
class _Loss:
    """One step's loss rounded down: its probabilities over cells, and how many such steps there are."""

    loss_C: np.ndarray
    chance_C: np.ndarray
    steps: int

    @property
    def variance(self) -> float:
        mean = self.chance_C @ self.loss_C
        return float(self.chance_C @ (self.loss_C - mean) ** 2)


def shifts(mechanism: Mechanism, unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many clip norms one `unit` may shift a step's sum, and with what chance."""
    if mechanism.unit == unit or mechanism.max_windows == 1:
        return np.array([0.0, 1.0]), np.array([1 - mechanism.q, mechanism.q])
    # A person's windows are drawn one by one: the sum shifts by as many clip norms as were drawn.
    count_J = np.arange(mechanism.max_windows + 1)
    chance_J = stats.binom(mechanism.max_windows, mechanism.q).pmf(count_J)
    kept = chance_J > 0
    return count_J[kept].astype(float), chance_J[kept] / chance_J[kept].sum()


@lru_cache(maxsize=64)
def least_epsilon(charges: Charges, delta: float, unit: Unit) -> float:
    """Return a lower bound on the epsilon of these charges at `delta`; infinite without noise.

    The larger of adding and removing a unit, each a lower bound by itself.
    """
    taken = [(mechanism, steps) for mechanism, steps in charges if steps]
    if any(mechanism.sigma == 0 for mechanism, _ in taken):
        return math.inf
    if not taken:
        return 0.0
    ways = zip(*(_losses(mechanism, steps, unit) for mechanism, steps in taken), strict=True)
    return max(_least(way, delta) for way in ways)


def _losses(mechanism: Mechanism, steps: int, unit: Unit) -> tuple[_Loss, _Loss]:
    """Return one step's loss with the unit removed and with it added.

    The loss at x is log of sum_j p_j N(x; s_j, sigma^2) / N(x; 0, sigma^2), which rises with x; the noise is cut
    into cells, each of which is given the smallest loss in it.
    """
    shift_J, chance_J = shifts(mechanism, unit)
    shift_J, chance_J = shift_J[chance_J > 0], chance_J[chance_J > 0]
    sigma, cells = mechanism.sigma, _CELLS if len(shift_J) <= 2 else _MIXTURE_CELLS
    edge_E = np.linspace(-_REACH * sigma, shift_J[-1] + _REACH * sigma, cells + 1)
    log_E = np.full(cells + 1, -np.inf)
    mixed_C = np.zeros(cells)
    for shift, chance in zip(shift_J, chance_J, strict=True):
        np.logaddexp(log_E, math.log(chance) + shift * (edge_E - shift / 2) / sigma**2, out=log_E)
        mixed_C += chance * _cell_chances((edge_E - shift) / sigma)
    alone_C = _cell_chances(edge_E / sigma)
    return _Loss(log_E[:-1], mixed_C, steps), _Loss(-log_E[1:], alone_C, steps)


def _cell_chances(z_E: np.ndarray) -> np.ndarray:
    # By the nearer tail: a difference of numbers close to 1 has lost its digits.
    return np.where(z_E[:-1] > 0, -np.diff(special.ndtr(-z_E)), np.diff(special.ndtr(z_E)))


def _least(losses: tuple[_Loss, ...], delta: float) -> float:
    """Return the lower bound for one direction."""
    steps = sum(one.steps for one in losses)
    width = _FINENESS * math.sqrt(sum(one.steps * one.variance for one in losses) / steps)
    width = max(width, max(float(np.ptp(one.loss_C)) for one in losses) / _MOST_POINTS)
    start, chance_G, rest = 0, np.ones(1), 0.0
    tail = delta * _SHARE / (4 * len(losses))
    for one in losses:
        floor_C = np.floor(one.loss_C / width)
        rest += one.steps * float(one.chance_C @ (one.loss_C - floor_C * width))
        lowest = int(floor_C.min())
        once_G = np.bincount((floor_C - lowest).astype(np.int64), weights=one.chance_C)
        # It cuts the tails by the best of forty Chernoff bounds; one that overflows is infinite and passed over.
        with np.errstate(over="ignore"):
            offset, all_G = common.self_convolve(once_G, one.steps, tail)
        start += lowest * one.steps + offset
        chance_G = signal.fftconvolve(chance_G, np.asarray(all_G))
    # Truncation folds no more than its own mass back into the range; Hoeffding has the other half of the share.
    slack = width * math.sqrt(steps * math.log(2 / (_SHARE * delta)) / 2)
    loss_G = (start + np.arange(len(chance_G))) * width + rest - slack
    return _epsilon(loss_G, chance_G, delta * (1 + _SHARE))


def _epsilon(loss_G: np.ndarray, chance_G: np.ndarray, delta: float) -> float:
    """Return the epsilon at which sum of p (1 - exp(epsilon - loss)) over larger losses is `delta`, or 0."""

    def excess(epsilon: float) -> float:
        above = loss_G > epsilon
        return float(chance_G[above] @ -np.expm1(epsilon - loss_G[above])) - delta

    if excess(0.0) <= 0:
        return 0.0
    found = optimize.brentq(excess, 0.0, float(loss_G[-1]), rtol=1e-9)
    return max(0.0, float(found) * (1 - 1e-8))  # the root's own error
