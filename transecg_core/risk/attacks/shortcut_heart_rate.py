"""Shortcut: heart rate alone. Median RR interval and its variability, no beat."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import by_record, nearness

MIN_INTERVALS = 3
_FLOOR_S = 0.005


def _run(given: Given) -> Cosines:
    told = given.recordings
    enrolled, asked = (
        np.array([rhythm(rr) for rr in part]).reshape(-1, 3) for part in (told.rr_R, told.rr_Q)
    )
    if not np.isfinite(enrolled).any() or not np.isfinite(asked).any():
        raise NotMeasurable(f"no record has {MIN_INTERVALS} RR intervals")
    return nearness(enrolled, asked, *by_record(given.gallery, given.probes))


def rhythm(rr_B: np.ndarray) -> tuple[float, float, float]:
    """Return the logarithms of median RR, SDNN and RMSSD (s); NaN with fewer than `MIN_INTERVALS` intervals."""
    if len(rr_B) < MIN_INTERVALS:
        return np.nan, np.nan, np.nan
    rmssd = np.sqrt(np.mean(np.diff(rr_B) ** 2))
    return (
        float(np.log(np.median(rr_B))),
        float(np.log(rr_B.std() + _FLOOR_S)),
        float(np.log(rmssd + _FLOOR_S)),
    )


HEART_RATE = Beside(
    name=f"{SHORTCUT}heart rate",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; their RR intervals",
    artefacts=("gallery", "probes", "recordings"),
    measure="beside",
    run=_run,
    conclusion="median RR, SDNN and RMSSD only, no beat: what links records of one day may be the day's heart rate",
)
