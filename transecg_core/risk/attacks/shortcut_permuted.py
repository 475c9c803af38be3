"""Check of the audit itself: identification against a gallery whose names were shuffled must be at chance."""

from __future__ import annotations

import zlib

import numpy as np

from transecg_core.risk.artefacts import Gallery, Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.attacks.identification import run
from transecg_core.risk.matching import Cosines


def _run(given: Given) -> Cosines:
    found = run(given)
    return Cosines(found.query_QD, found.person_GD[shuffled(given.gallery)])


def shuffled(gallery: Gallery) -> np.ndarray:
    """Return whose template each entry gets (G,): one of the same site, itself as often as anybody.

    The draw follows from the windows, so that other people get another one.
    """
    rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(gallery.x_NL).tobytes()))
    whose_G = np.arange(len(gallery.site_G))
    for site in np.unique(gallery.site_G):
        at = np.flatnonzero(gallery.site_G == site)
        whose_G[at] = rng.permutation(at)
    return whose_G


PERMUTED = Beside(
    name=f"{SHORTCUT}names permuted",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=_run,
    conclusion="the names of each site's gallery are shuffled, so there is nothing to find: an interval clear of chance "
    "more often than one time in twenty would mean that something besides a person's recordings tells the audit "
    "who they are",
)
