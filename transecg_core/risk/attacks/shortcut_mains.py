"""Shortcut: windows without the hum of the mains, then identified again."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.attacks.shortcut_harmonised import as_they_are
from transecg_core.risk.matching import Cosines, cosines
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import THIN, normed, thinned, without_mains


def _run(given: Given) -> Cosines:
    embed = given.released_model.embed
    few, some, _, _ = thinned(given.gallery, given.probes)
    if not (np.isfinite(few.x_NL).all() and np.isfinite(some.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    first, second = (normed(without_mains(x_NL)) for x_NL in (few.x_NL, some.x_NL))
    return cosines(embed(first), embed(second), few, some)


MAINS = Beside(
    name=f"{SHORTCUT}mains notched",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=_run,
    reference=as_they_are,
    gain="gain in rank-1 over the same windows as they are",
    conclusion=f"{THIN} windows of each record, without the hum that fits within 1.25 Hz of 50 and of 60 Hz: a large loss "
    "means that records are told by the hum of the place where they were made",
)
