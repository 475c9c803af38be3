"""B: an attacker who adapts: embeddings rescaled by what public people teach about one heart's changes.

Cosine similarity weighs all directions of the embedding alike. Whoever holds the encoder can do
better without anybody's data: generate public people, embed two days of each, and divide by how much
the embedding of one person varies (within-class covariance normalisation, Hatch et al., Interspeech
2006). A model that looks harmless under the cosine may not be under this.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given, Public
from transecg_core.risk.attacks.attack import GALLERY_WORDS, RELEASED_MODEL
from transecg_core.risk.attacks.beside import Beside
from transecg_core.risk.attacks.identification import run as identify
from transecg_core.risk.matching import Cosines, cosines, group_means
from transecg_core.risk.rows import NotMeasurable

SHRINKAGE = 0.01
"""Share of the average variance that is put into every direction: keeps the scatter invertible."""
_TINY = 1e-12


def _run(given: Given) -> Cosines:
    gallery, probes, embed = given.gallery, given.probes, given.released_model.embed
    head_DD = head(embed(given.public.x_NL), given.public)
    return cosines(embed(gallery.x_NL) @ head_DD, embed(probes.x_NL) @ head_DD, gallery, probes)


def head(z_ND: np.ndarray, public: Public) -> np.ndarray:
    """Return what public embeddings (N, D) are multiplied by so that people vary alike in all directions (D, D).

    Raises
    ------
    NotMeasurable
        If an embedding is not finite, or none differs from another of its person.
    """
    if not np.isfinite(z_ND).all():
        raise NotMeasurable("the embeddings are not finite")
    z_ND = z_ND.astype(np.float64)
    people = int(public.person_N.max()) + 1
    within_ND = z_ND - group_means(z_ND, public.person_N, people)[public.person_N]
    weight_N1 = 1.0 / np.bincount(public.person_N)[public.person_N][:, None] / people
    scatter_DD = (within_ND * weight_N1).T @ within_ND
    average = float(np.trace(scatter_DD)) / len(scatter_DD)
    if average <= _TINY * max(1.0, float(np.abs(z_ND).max()) ** 2):
        raise NotMeasurable("the encoder maps all windows of a public person to one point")
    scatter_DD = (1 - SHRINKAGE) * scatter_DD + SHRINKAGE * average * np.eye(len(scatter_DD))
    variance_D, turn_DD = np.linalg.eigh(scatter_DD)
    return np.asarray(turn_DD / np.sqrt(variance_D))


ADAPTIVE = Beside(
    name="adaptive identification",
    kind="B",
    observer=RELEASED_MODEL,
    auxiliary_data=f"{GALLERY_WORDS}; public people (synthetic, drawn apart from every federation's) to fit a head on",
    artefacts=("gallery", "probes", "public", "released-model"),
    measure="beside",
    run=_run,
    reference=identify,
    gain="gain in rank-1 over identification",
    conclusion="where this exceeds identification, the cosine of plain embeddings understates what the model gives",
    cross_site=True,
)
