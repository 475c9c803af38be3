"""A: correlation of median beats. No model, no fitting: what the waveform alone gives away.

Windows are R-aligned and z-normed, so heart rate and amplitude take no part.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.matching import group_medians, match


def _run(given: Given) -> np.ndarray:
    def zero_mean(x_NL: np.ndarray) -> np.ndarray:
        return np.asarray(x_NL - x_NL.mean(axis=1, keepdims=True))

    gallery, probes = given.gallery, given.probes
    return match(
        zero_mean(gallery.x_NL),
        zero_mean(probes.x_NL),
        gallery,
        probes,
        centre=False,
        template=group_medians,
    )


RAW_CORRELATION = Attack(
    name="raw-correlation",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes"),
    measure="linkage",
    run=_run,
)
