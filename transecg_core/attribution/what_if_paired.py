"""One attack before and after a change: the difference, paired by person."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.estimate import Estimate, difference, percentile, resamples
from transecg_core.risk.problems import Outcome
from transecg_core.risk.verification import Verification, eer


def paired(
    before: Outcome, after: Outcome, metric: str, bootstrap: int, rng: np.random.Generator
) -> Estimate:
    """Return after minus before, paired by person, with its interval over people."""
    if metric == "EER":
        return _eer_difference(before.rates, after.rates, bootstrap, rng)
    return difference(after.rank1_P - before.rank1_P, bootstrap, rng)


def _eer_difference(
    before: Verification, after: Verification, bootstrap: int, rng: np.random.Generator
) -> Estimate:
    """Return the difference of two EERs of the same people; every resample draws the same people for both."""
    n = len(before.frr_PT)
    weight_BP = np.concatenate([np.ones((1, n)), resamples(n, bootstrap, rng)])
    draws = eer(*after.curves(weight_BP)) - eer(*before.curves(weight_BP))
    low, high = percentile(draws[1:])
    if high - low < 1e-12:  # as `difference` where all people agree
        slack = 1 - 0.05 ** (1 / n)
        low, high = max(-1.0, draws[0] - slack), min(1.0, draws[0] + slack)
    return Estimate(float(draws[0]), (min(low, float(draws[0])), max(high, float(draws[0]))), n)
