"""Shortcut: every window with the baseline wander of somebody else's, then identified again."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import SHORTCUT, Beside
from transecg_core.risk.attacks.shortcut_harmonised import as_they_are
from transecg_core.risk.matching import Cosines, cosines
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import THIN, normed, slow_L3, thinned, wander


def _run(given: Given) -> Cosines:
    gallery, probes, embed = given.gallery, given.probes, given.released_model.embed
    if not (np.isfinite(gallery.x_NL).all() and np.isfinite(probes.x_NL).all()):
        raise NotMeasurable("the windows are not finite")
    few, some, first, second = thinned(gallery, probes)
    known_N3, asked_M3 = wander(gallery.x_NL, gallery.record_N), wander(probes.x_NL, probes.query_N)
    site_M = probes.site_Q[probes.query_N]
    nobody_M = np.full(
        len(site_M), -1
    )  # who a probe is of is not known: it may be the donor's, one time in G
    lent_N = donors(gallery.site_N, gallery.entry_N, gallery.site_N[first], gallery.entry_N[first])
    lent_M = donors(gallery.site_N, gallery.entry_N, site_M[second], nobody_M[second])
    rows_L3 = slow_L3(gallery.x_NL.shape[1])
    change_NL = (known_N3[lent_N] - known_N3[first]) @ rows_L3.T
    change_ML = (known_N3[lent_M] - asked_M3[second]) @ rows_L3.T
    return cosines(embed(normed(few.x_NL + change_NL)), embed(normed(some.x_NL + change_ML)), few, some)


def donors(
    site_N: np.ndarray, entry_N: np.ndarray, wanted_site_K: np.ndarray, own_entry_K: np.ndarray
) -> np.ndarray:
    """Return for each of K windows a gallery window (K,) of the same site and of another entry, drawn at random.

    A window each, so that no record gets a wander of its own again.

    Raises
    ------
    NotMeasurable
        If a site has nobody else.
    """
    rng, lent_K = np.random.default_rng(0), np.zeros(len(wanted_site_K), dtype=np.int64)
    for site, own in np.unique(np.column_stack([wanted_site_K, own_entry_K]), axis=0):
        at = np.flatnonzero((wanted_site_K == site) & (own_entry_K == own))
        others = np.flatnonzero((site_N == site) & (entry_N != own))
        if not len(others):
            raise NotMeasurable("a site has nobody else whose wander could be lent")
        lent_K[at] = rng.choice(others, size=len(at))
    return lent_K


WANDER = Beside(
    name=f"{SHORTCUT}wander swapped",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=GALLERY_WORDS,
    artefacts=("gallery", "probes", "released-model"),
    measure="beside",
    run=_run,
    reference=as_they_are,
    gain="gain in rank-1 over the same windows as they are",
    conclusion=f"{THIN} windows of each record; offset, slope and bend of each window against its record's median one are "
    "replaced by another person's: a large loss means that records are told by how the baseline moves. What is the same in "
    "all windows of a record stays, as part of the beat's shape",
)
