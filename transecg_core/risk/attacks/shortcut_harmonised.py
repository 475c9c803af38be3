"""Shortcut: all windows filtered, quantised and scaled alike, then identified again."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.matching import Cosines, cosines
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import THIN, harmonised, thinned


def _run(given: Given) -> Cosines:
    embed = given.released_model.embed
    few, some, _, _ = thinned(given.gallery, given.probes)
    if not (np.isfinite(few.x_NL).all() and np.isfinite(some.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    return cosines(embed(harmonised(few.x_NL)), embed(harmonised(some.x_NL)), few, some)


def as_they_are(given: Given) -> Cosines:
    """Return identification by a few windows of each record, nothing done to them (Q, G)."""
    embed = given.released_model.embed
    few, some, first, second = thinned(given.gallery, given.probes)
    return cosines(embed(given.gallery.x_NL)[first], embed(given.probes.x_NL)[second], few, some)


HARMONISED = Beside(
    name=f"{SHORTCUT}harmonised devices",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=_run,
    reference=as_they_are,
    gain="gain in rank-1 over the same windows as they are",
    conclusion=f"{THIN} windows of each record, all in one band (1-25 Hz), one step, one scale: a large loss means that "
    "identity lay in what devices do to the rest, or in the detail that the band cuts off",
)
