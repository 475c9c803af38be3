"""A: matching on what a cardiologist could name: intervals, heights, slopes and areas of the median beat.

The features are `transecg_core.signals.fiducials`. Each is standardised by its mean and spread over
the gallery people of the probe's own site, so that no probe and no other site's device takes part,
and clipped: one misplaced boundary must not decide a match. What a record does not show is put at the
gallery's median, and a flag per wave says so: having no P wave is a feature itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transecg_core.risk.artefacts import Gallery, Given, Probes
from transecg_core.risk.attacks.attack import ANYBODY, GALLERY_WORDS, Attack
from transecg_core.risk.matching import first_of, group_means, match
from transecg_core.risk.rows import NotMeasurable
from transecg_core.signals.fiducials import FIDUCIALS, record_fiducials

CLIP = 3.0
"""Largest standardised value, in standard deviations."""
_FLAT = 1e-9


def _run(given: Given) -> np.ndarray:
    gallery, probes, delineation = given.gallery, given.probes, given.delineation
    enrolled_RF = record_fiducials(gallery.x_NL, delineation.gallery_NL, gallery.record_N)
    asked_QF = record_fiducials(probes.x_NL, delineation.probes_NL, probes.query_N)
    if not np.isfinite(enrolled_RF).any():
        raise NotMeasurable("no gallery record shows a QRS complex that was delineated")
    records = np.arange(len(enrolled_RF))
    entry_R = first_of(gallery.entry_N, gallery.record_N, len(records))
    site_R = gallery.site_G[entry_R]
    enrolled, asked = _flagged(enrolled_RF), _flagged(asked_QF)
    enrolled_z, asked_z = np.zeros_like(enrolled), np.zeros_like(asked)
    for site in np.unique(gallery.site_G):
        own_R, own_Q = site_R == site, probes.site_Q == site
        standard = _standard(enrolled[own_R], entry_R[own_R])
        enrolled_z[own_R], asked_z[own_Q] = standard(enrolled[own_R]), standard(asked[own_Q])
    by_record = Gallery(enrolled_z, entry_R, records, site_R, gallery.site_G)
    by_query = Probes(asked_z, np.arange(len(asked)), probes.site_Q)
    return match(enrolled_z, asked_z, by_record, by_query)


def _flagged(value_RF: np.ndarray) -> np.ndarray:
    """Return the features and, per wave, whether the record shows nothing of it."""
    waves = np.array([feature.wave for feature in FIDUCIALS])
    missing = [np.isnan(value_RF[:, waves == wave]).all(axis=1) for wave in np.unique(waves)]
    return np.column_stack([value_RF, *(flag.astype(np.float64) for flag in missing)])


def _standard(value_RF: np.ndarray, entry_R: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what standardises features by one site's gallery; every enrolled person counts once."""
    entries, dense_R = np.unique(entry_R, return_inverse=True)
    known = np.isfinite(value_RF)
    middle_F = np.array([np.median(column[ok]) if ok.any() else 0.0
                         for column, ok in zip(value_RF.T, known.T, strict=True)])  # fmt: skip
    person_GF = group_means(np.where(known, value_RF, middle_F), dense_R, len(entries))
    mean_F, spread_F = person_GF.mean(axis=0), person_GF.std(axis=0)

    def standard(new_RF: np.ndarray) -> np.ndarray:
        z_RF = np.where(np.isfinite(new_RF), new_RF, middle_F) - mean_F
        z_RF = np.where(spread_F > _FLAT, z_RF / np.maximum(spread_F, _FLAT), 0.0)
        return np.clip(z_RF, -CLIP, CLIP)

    return standard


FIDUCIAL = Attack(
    name="fiducial",
    kind="A",
    observer=ANYBODY,
    auxiliary_data=f"{GALLERY_WORDS}; a delineator that finds P, QRS and T in them",
    artefacts=("gallery", "probes", "delineation"),
    measure="linkage",
    run=_run,
)
