"""Shortcut: the colour of the noise. Whether records of one person share it, beats taken out.

The spectrum of what is left between 8 and 40 Hz: below, beats that vary in height leave their
slow waves.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines, cosines, group_means
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import by_record, without_beats
from transecg_core.signals.schema import FS_HZ

BAND_HZ = (8.0, 40.0)
_FLOOR = 1e-4


def _run(given: Given) -> Cosines:
    gallery, probes = given.gallery, given.probes
    if not (np.isfinite(gallery.x_NL).all() and np.isfinite(probes.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    first = colour(gallery.x_NL, gallery.record_N, int(gallery.record_N.max()) + 1)
    second = colour(probes.x_NL, probes.query_N, len(probes.site_Q))
    return cosines(first, second, *by_record(gallery, probes))


def colour(x_NL: np.ndarray, record_N: np.ndarray, records: int) -> np.ndarray:
    """Return the log share of the noise's power at each frequency of the band, per record (R, F)."""
    power_NF = np.abs(np.fft.rfft(without_beats(x_NL, record_N), axis=1)) ** 2
    hz_F = np.fft.rfftfreq(x_NL.shape[1], 1 / FS_HZ)
    power_NF = power_NF[:, (hz_F >= BAND_HZ[0]) & (hz_F <= BAND_HZ[1])]
    total_N1 = power_NF.sum(axis=1, keepdims=True)
    share_NF = np.where(total_N1 > 1e-12, power_NF / np.maximum(total_N1, 1e-12), 1.0 / power_NF.shape[1])
    return np.asarray(np.log(group_means(share_NF, record_N, records) + _FLOOR))


NOISE_SPECTRUM = Beside(
    name=f"{SHORTCUT}noise spectrum",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes"),
    measure="beside",
    run=_run,
    conclusion="every record's own median beat is taken out: what links records here is noise, the recorder, or how "
    "beats vary, not their shape",
)
