"""B: `open_world` by somebody who also knows sex, age band and heart rate: who does not fit is ruled out.

A rule can be wrong: a heart beats faster on another day, an age band ends. The right person is then
ruled out as well, and that counts against the attacker.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Gallery, Given, Recordings
from transecg_core.risk.attacks.attack import RELEASED_MODEL, Attack
from transecg_core.risk.attacks.identification import run
from transecg_core.risk.attacks.open_world import OPEN_WORLD
from transecg_core.risk.attributes import Attributes
from transecg_core.risk.matching import first_of
from transecg_core.training.local import MISSING

RULED_OUT = -2.0
"""Below any cosine."""
MARGIN_BPM = 15.0
"""How far a probe's heart rate may lie outside the range of the enrolled records."""


def _run(given: Given) -> np.ndarray:
    gallery, attributes = given.gallery, given.attributes
    scores_QG = np.asarray(run(given))
    return np.where(_fits(attributes) & _beats_alike(gallery, given.recordings), scores_QG, RULED_OUT)


def _fits(known: Attributes) -> np.ndarray:
    """Return who may be whom by sex and age band, bool (Q, G); what is not known rules nobody out."""
    fits_QG = np.ones((len(known.sex_Q), len(known.sex_G)), dtype=bool)
    for asked_Q, enrolled_G in ((known.sex_Q, known.sex_G), (known.age_Q, known.age_G)):
        unknown_QG = (asked_Q[:, None] == MISSING) | (enrolled_G[None, :] == MISSING)
        fits_QG &= unknown_QG | (asked_Q[:, None] == enrolled_G[None, :])
    return fits_QG


def _beats_alike(gallery: Gallery, recordings: Recordings) -> np.ndarray:
    """Return whose heart rate is near the range of the enrolled records, bool (Q, G)."""
    rate_R, rate_Q = _rates(recordings.rr_R), _rates(recordings.rr_Q)
    entry_R = first_of(gallery.entry_N, gallery.record_N, len(rate_R))
    low_G, high_G = np.full(len(gallery.site_G), np.inf), np.full(len(gallery.site_G), -np.inf)
    known = np.isfinite(rate_R)
    np.minimum.at(low_G, entry_R[known], rate_R[known])
    np.maximum.at(high_G, entry_R[known], rate_R[known])
    near_QG = rate_Q[:, None] >= low_G[None, :] - MARGIN_BPM
    near_QG &= rate_Q[:, None] <= high_G[None, :] + MARGIN_BPM
    return near_QG | np.isnan(rate_Q)[:, None] | np.isinf(low_G)[None, :]


def _rates(rr: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the heart rate (bpm) of each record by its median RR interval (s); NaN without one."""
    return np.array([60.0 / np.median(intervals) if len(intervals) else np.nan for intervals in rr])


OPEN_WORLD_AUXILIARY = Attack(
    name="open-world with attributes",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=f"{OPEN_WORLD.auxiliary_data}; sex, age band and heart rate of enrolled people and probe",
    artefacts=("gallery", "probes", "released-model", "attributes", "recordings"),
    measure="open-world",
    run=_run,
)
