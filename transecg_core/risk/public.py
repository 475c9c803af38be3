"""The public people that an attacker may learn from, as windows."""

from __future__ import annotations

from functools import cache

import numpy as np

from transecg_core.cohorts.public_people import public_source
from transecg_core.risk.artefacts import Public
from transecg_core.signals.cache import cached_windows

WINDOWS_PER_RECORD = 5


@cache
def public_people() -> Public:
    """Return evenly spaced windows of every record of the public people; made once per machine and cached.

    Raises
    ------
    UserError
        If the cache folder can't be written.
    """
    windows = cached_windows(public_source())
    rows = np.concatenate(
        [_spread(np.flatnonzero(windows.record_N == r)) for r in range(len(windows.records))]
    )
    recorder_P = np.array([int(name.split("/")[0]) for name in windows.participants])
    person_N = windows.participant_N[rows].astype(np.int64)
    return Public(np.array(windows.x_NL[rows]), person_N, recorder_P[person_N])


def _spread(rows: np.ndarray) -> np.ndarray:
    count = min(len(rows), WINDOWS_PER_RECORD)
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)])
