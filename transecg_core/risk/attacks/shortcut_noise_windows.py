"""Shortcut: windows without their beats, given to the released encoder."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines, cosines
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import normed, thinned, without_beats


def _run(given: Given) -> Cosines:
    gallery, probes, embed = given.gallery, given.probes, given.released_model.embed
    if not (np.isfinite(gallery.x_NL).all() and np.isfinite(probes.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    few, some, first, second = thinned(gallery, probes)
    noise_NL = normed(without_beats(gallery.x_NL, gallery.record_N)[first])
    asked_NL = normed(without_beats(probes.x_NL, probes.query_N)[second])
    return cosines(embed(noise_NL), embed(asked_NL), few, some)


NOISE_WINDOWS = Beside(
    name=f"{SHORTCUT}noise-only windows",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=_run,
    conclusion="every record's own median beat is taken out: identity that the encoder still finds is not the beat's "
    "shape",
)
