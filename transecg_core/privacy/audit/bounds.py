"""From counts to an epsilon that code provably exceeds, at a stated confidence.

Sources: Clopper-Pearson limits on a test's true and false positive rate, as in Jagielski, Ullman and
Oprea 2020 (arXiv 2006.07709); and Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), Theorem 5.2
and Appendix D, for many canaries in one run.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special, stats

_LARGEST = 60.0
"""Epsilon above which the search stops: nobody claims it."""


def epsilon_lower_bound(hits_in: int, hits_out: int, draws: int, delta: float, confidence: float) -> float:
    """Return the epsilon exceeded with `confidence`, from hits among `draws` draws of each world.

    Both limits are two-sided at `confidence`, so that together they fail at most as often as allowed.
    """
    tpr = stats.binomtest(hits_in, draws).proportion_ci(confidence, "exact").low
    fpr = stats.binomtest(hits_out, draws).proportion_ci(confidence, "exact").high
    return max(0.0, math.log(max(tpr - delta, 1e-300) / fpr))


def one_run_p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return a bound on P[at least `correct` of `guesses` right] for any (epsilon, delta)-private run.

    Parameters
    ----------
    canaries
        All that had a coin, m; abstentions are ``canaries - guesses``.

    Notes
    -----
    Steinke, Nasr and Jagielski 2023, Theorem 5.2: with W ~ Binomial(r, e^eps / (1 + e^eps)), the count
    of right guesses exceeds v with probability at most P[W >= v] + 2 m delta max_i P[v - i <= W < v] / i,
    i from 1 to m. (Pure privacy: W dominates the count of right guesses.)
    """
    _check(canaries, guesses, correct, delta)
    if not epsilon >= 0:
        raise ValueError(f"epsilon {epsilon} is not at least 0")
    w = stats.binom(guesses, special.expit(epsilon))
    shortfall = np.cumsum(w.pmf(np.arange(correct - 1, -1, -1)))
    steepest = float((shortfall / np.arange(1, correct + 1)).max()) if correct else 0.0
    return min(1.0, float(w.sf(correct - 1)) + 2 * canaries * delta * steepest)


def one_run_lower_bound(canaries: int, guesses: int, correct: int, delta: float, confidence: float) -> float:
    """Return the largest epsilon whose `one_run_p_value` is below 1 - `confidence`: the code exceeds it."""
    level = 1 - confidence

    def excess(epsilon: float) -> float:
        return one_run_p_value(canaries, guesses, correct, epsilon, delta) - level

    if excess(0.0) >= 0:
        return 0.0
    if excess(_LARGEST) < 0:
        return _LARGEST
    # The low end of the bracket: rounding may make the bound smaller, never larger.
    return max(0.0, float(optimize.brentq(excess, 0.0, _LARGEST, xtol=1e-6)) - 1e-6)


def _check(canaries: int, guesses: int, correct: int, delta: float) -> None:
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(f"need 0 <= correct <= guesses <= canaries: {correct}, {guesses}, {canaries}")
    if not 0 <= delta < 1:
        raise ValueError(f"delta {delta} is not in [0, 1)")
