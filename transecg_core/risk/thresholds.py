"""Thresholds at 5 % FPR from controls that are not tested against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transecg_core.risk.membership import Scores

FPR = 0.05
MIN_CONTROLS = 40
"""Fewest controls for a TPR at 5 % FPR: two halves of 20, the least that can hold 5 %."""
_SPLITS = 50


def halvable(scores: Scores) -> np.ndarray:
    """Return the people of sites with at least four controls, two for each half."""
    keep_T = np.zeros(len(scores.site_T), dtype=bool)
    for site in np.unique(scores.site_T):
        own = scores.site_T == site
        keep_T |= own & ((own & ~scores.member_T).sum() >= 4)
    return keep_T


def half_threshold_hits(score_T: np.ndarray, scores: Scores, rng: np.random.Generator) -> np.ndarray:
    """Return who exceeds a threshold set on controls that are not tested, (S thresholds, T people).

    Each of 50 splits deals every site's controls into two halves of equal size; either
    half in turn gives the site medians and the conformal (1 - FPR) threshold, members and
    the *other* half are tested. 1 or 0; NaN for the controls that set the threshold. Each of
    those is held against the median of its site's others: a little wider than the tested
    people's, so the threshold errs on the high side.
    """
    hits = []
    for _ in range(_SPLITS):
        first_T = np.zeros(len(score_T), dtype=bool)
        spare = int(rng.integers(2))
        for site in np.unique(scores.site_T):
            own = rng.permutation(np.flatnonzero((scores.site_T == site) & ~scores.member_T))
            # Sites with an odd number of controls give the spare one to either half in turn.
            first_T[own[: (len(own) + spare) // 2]] = True
            spare = (spare + len(own)) % 2
        halves = (first_T, ~scores.member_T & ~first_T)
        hits += [_hits(score_T, scores.site_T, half) for half in halves]
    return np.stack(hits)


def _hits(score_T: np.ndarray, site_T: np.ndarray, calibrate_T: np.ndarray) -> np.ndarray:
    relative_T = np.empty(len(score_T))
    for site in np.unique(site_T):
        own, known = site_T == site, np.flatnonzero((site_T == site) & calibrate_T)
        relative_T[own] = score_T[own] - np.median(score_T[known])
        # A median that holds the control itself would draw it in, and set the threshold too low for others.
        others = np.broadcast_to(score_T[known], (len(known), len(known)))[~np.eye(len(known), dtype=bool)]
        relative_T[known] = score_T[known] - np.median(others.reshape(len(known), -1), axis=1)
    reference = np.sort(relative_T[calibrate_T])
    # Conformal: with m calibration controls the k-th smallest, k = ceil((1 - FPR)(m + 1)).
    k = int(np.ceil((1 - FPR) * (len(reference) + 1) - 1e-9))
    hit_T = (relative_T > reference[k - 1]).astype(np.float64)
    hit_T[calibrate_T] = np.nan
    return hit_T
