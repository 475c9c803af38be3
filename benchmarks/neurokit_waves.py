"""neurokit2's delineators as competitors: beat by beat over a record, and once on a tiled median beat.

Every function returns edges (B, 6) in seconds from R: P on, P off, QRS on, QRS off, T on, T off; NaN
where the method gives none.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter

import numpy as np

from transecg_core.signals import delineate, waves
from transecg_core.signals.schema import FS_HZ

EDGES = (("P_Onsets", "P_Offsets"), ("R_Onsets", "R_Offsets"), ("T_Onsets", "T_Offsets"))
BEFORE_S, AFTER_S = 0.4, 0.7
"""An edge further from a beat's R peak than this is another beat's."""
TILED_S, BEATS_GIVEN = 4.4, 4
"""neurokit2 refuses shorter signals, and needs this many beats to know the heart rate."""
raised: Counter[str] = Counter()
"""What its methods raised: method and error -> calls."""


def beat_by_beat(x_T: np.ndarray, r_B: np.ndarray, method: str) -> np.ndarray:
    """Delineate every beat; a beat's edge is the last found before R, or the first after."""
    edge_B6 = np.full((r_B.size, 6), np.nan)
    found = _found(x_T, r_B, method)
    for column, name in enumerate(name for pair in EDGES for name in pair):
        at_K = np.sort(np.asarray([at for at in found.get(f"ECG_{name}", ()) if not math.isnan(at)]))
        if not at_K.size:
            continue
        # P waves and QRS onsets precede R, the rest follows it.
        early = column < 3
        index_B = np.searchsorted(at_K, r_B, side="right" if early else "left") - early
        away_B = (at_K[np.clip(index_B, 0, at_K.size - 1)] - r_B) / FS_HZ
        good_B = (index_B >= 0) & (index_B < at_K.size)
        good_B &= (-BEFORE_S < away_B) & (away_B <= 0) if early else (away_B >= 0) & (away_B < AFTER_S)
        edge_B6[good_B, column] = away_B[good_B]
    return edge_B6


def median_beat(x_T: np.ndarray, r_B: np.ndarray, typical_K: np.ndarray) -> np.ndarray:
    """Tile the record's median beat, delineate that once by ``dwt``, and give every beat the result.

    An inverted T wave, which the method doesn't look for, is found on the flipped beat.
    """
    beat = waves.typical_beat(x_T, typical_K, delineate.median_rr(r_B))
    if beat is None:
        return np.full((r_B.size, 6), np.nan)
    rr = beat.x_R.size
    # Tiling must not add a step between two copies.
    x_R = beat.x_R - np.linspace(beat.x_R[0], beat.x_R[-1], rr)
    x_R = x_R * np.sign(x_R[beat.r])
    upright, flipped = (_tiled(sign * x_R, beat.r) for sign in (1, -1))
    after_R = x_R[beat.r + 25 : beat.r + 100]
    if after_R.size and -after_R.min() > after_R.max():
        upright[4:] = flipped[4:]
    return np.tile(upright, (r_B.size, 1))


def _tiled(x_R: np.ndarray, r: int) -> np.ndarray:
    rr = x_R.size
    copies = max(BEATS_GIVEN + 2, math.ceil(TILED_S * FS_HZ / rr))
    r_C = np.arange(1, BEATS_GIVEN + 1) * rr + r
    return np.asarray(beat_by_beat(np.tile(x_R, copies), r_C, "dwt")[BEATS_GIVEN // 2])


def _found(x_T: np.ndarray, r_B: np.ndarray, method: str) -> dict[str, list[float]]:
    import neurokit2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dict(neurokit2.ecg_delineate(x_T, r_B, sampling_rate=int(FS_HZ), method=method)[1])
        except Exception as error:
            # It raises all sorts on records it can't handle: those are records without an edge.
            raised[f"neurokit2 {method} raised {type(error).__name__}"] += 1
            return {}
