"""Whether a lead was recorded at all: flat and clipped signals."""

from __future__ import annotations

import numpy as np

from transecg_core.cohorts.leads import UnsafeRecord

CLIPPED_SHARE, RAILED_SHARE = 0.005, 0.5
CLIPPED = f"record kept: clipped (over {CLIPPED_SHARE:.1%} of its samples at an extreme value)"
RAILED = f"record: railed (over {RAILED_SHARE:.0%} of its samples at an extreme value)"
FLAT = "record: flat"


def judge(signal_mv: np.ndarray) -> tuple[str, ...]:
    """Return what to note about a lead, shape (T,).

    Raises
    ------
    UnsafeRecord
        If it is empty or flat, or sits at its highest or lowest value for most of the time: an electrode
        off, or an amplifier at its rail.
    """
    if signal_mv.size == 0 or signal_mv.max() == signal_mv.min():
        raise UnsafeRecord(FLAT)
    share = max(np.mean(signal_mv == signal_mv.max()), np.mean(signal_mv == signal_mv.min()))
    if share > RAILED_SHARE:
        raise UnsafeRecord(RAILED)
    return (CLIPPED,) if share > CLIPPED_SHARE else ()
