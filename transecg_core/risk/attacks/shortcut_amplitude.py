"""Shortcut: amplitude alone. One number per record, in mV; windows that encoders see are z-normed."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines
from transecg_core.risk.shortcuts import by_record, nearness


def _run(given: Given) -> Cosines:
    told = given.recordings
    enrolled, asked = np.log(told.scale_R)[:, None], np.log(told.scale_Q)[:, None]
    return nearness(enrolled, asked, *by_record(given.gallery, given.probes))


AMPLITUDE = Beside(
    name=f"{SHORTCUT}amplitude",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; their amplitude in mV",
    artefacts=("gallery", "probes", "recordings"),
    measure="beside",
    run=_run,
    conclusion="one number per record, the standard deviation of its beats in mV; no encoder here is shown it",
)
