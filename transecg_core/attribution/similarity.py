"""The participant task at the server: probes against gallery templates.

A participant head never leaves its site, so identification is explained by the embedding: the
similarity of a probe window to its person's gallery template. Galleries are per site and centred
per site; otherwise the map would explain how the recorders differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.attribution.cohort import AuditCohort, local_people
from transecg_core.attribution.relevance import embed
from transecg_core.attribution.targets import SimilarityTarget
from transecg_core.model.encoder import Encoder
from transecg_core.risk.context import AuditContext

GALLERY_WINDOWS = 8
"""Gallery windows per person behind a template, evenly spaced."""


@dataclass(frozen=True)
class Identification:
    """Probe-gallery similarity of the audit cohort under one encoder.

    Attributes
    ----------
    usable_B
        Whether the window's person has a template and at least one impostor at the site.
    above_B
        Share of the site's other people whose template is less similar to the window than
        its own person's (ties count half); chance .5. NaN where not usable.
    target
        The similarity to explain; rows that aren't usable mean nothing.
    """

    usable_B: np.ndarray
    above_B: np.ndarray
    target: SimilarityTarget


def identify(ctx: AuditContext, cohort: AuditCohort, encoder: Encoder) -> Identification:
    """Compare every window of the audit cohort with the templates of the people in it."""
    z_BD = embed(encoder, cohort.x_BL).double().numpy()
    usable_B = np.zeros(len(cohort), dtype=bool)
    above_B = np.full(len(cohort), np.nan)
    template_BD, centre_BD = np.zeros_like(z_BD), np.zeros_like(z_BD)
    for number, site in enumerate(ctx.sites):
        rows = np.flatnonzero(cohort.site_B == number)
        people = list(local_people(site, cohort.person_B[rows], ctx))
        if len(people) < 2:
            continue
        template_JD = np.stack(
            [_template(encoder, site.windows.x_NL, gallery_rows) for _, gallery_rows in people]
        )
        centre_D = template_JD.mean(axis=0)
        template_JD = template_JD - centre_D
        place = {person: j for j, (person, _) in enumerate(people)}
        rows = rows[[int(p) in place for p in cohort.person_B[rows]]]
        own = np.array([place[int(p)] for p in cohort.person_B[rows]], dtype=np.int64)
        usable_B[rows] = True
        template_BD[rows], centre_BD[rows] = template_JD[own], centre_D
        above_B[rows] = _above_impostors(_cosine(z_BD[rows] - centre_D, template_JD), own)
    return Identification(usable_B, above_B, SimilarityTarget(template_BD, centre_BD))


def _template(encoder: Encoder, x_NL: np.ndarray, rows: np.ndarray) -> np.ndarray:
    few = rows[np.unique(np.linspace(0, len(rows) - 1, GALLERY_WINDOWS).round().astype(np.int64))]
    template_D: np.ndarray = embed(encoder, np.asarray(x_NL[few])).double().numpy().mean(axis=0)
    return template_D


def _cosine(one_BD: np.ndarray, other_JD: np.ndarray) -> np.ndarray:
    norm_B1 = np.linalg.norm(one_BD, axis=1, keepdims=True)
    norm_1J = np.linalg.norm(other_JD, axis=1)[None]
    cosine_BJ: np.ndarray = one_BD @ other_JD.T / np.maximum(norm_B1 * norm_1J, 1e-12)
    return cosine_BJ


def _above_impostors(cosine_BJ: np.ndarray, own_B: np.ndarray) -> np.ndarray:
    genuine_B1 = np.take_along_axis(cosine_BJ, own_B[:, None], axis=1)
    ties_B = (cosine_BJ == genuine_B1).sum(axis=1) - 1  # without the own template
    below_B: np.ndarray = (cosine_BJ < genuine_B1).sum(axis=1) + 0.5 * ties_B
    share_B: np.ndarray = below_B / (cosine_BJ.shape[1] - 1)
    return share_B
