"""Who is it, by named features: a tree model per site, trained on the gallery and judged on probes.

One row per stretch of a record (the median of about five consecutive beats): a person has often one
gallery record, and a model must see how far a person's own beats lie apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from transecg_core.attribution.fiducial_shap import own_class_shap
from transecg_core.risk.artefacts import ModelAccess
from transecg_core.risk.cases import Case
from transecg_core.risk.matching import cosines, first_of, group_means
from transecg_core.risk.protocols import judged_by
from transecg_core.risk.rows import POOLED, NotMeasurable
from transecg_core.risk.table import CROSS_SITE
from transecg_core.seeds import seed_for
from transecg_core.signals.fiducials import record_fiducials

TREES = 100
BEATS = 5
"""Beats behind a row. Single beats and whole records identify worse on real records."""
EXPLAINED = 2
"""Stretches of a probe record that are explained, evenly spaced; all are judged."""
MOST_EXPLAINED = 50
"""People per site and protocol who are explained, evenly spaced; all are judged. Cost grows with their number."""


@dataclass(frozen=True)
class Stretches:
    """Features (R, F) of stretches of records, and which group (record, query) each is of (R,)."""

    x_RF: np.ndarray
    group_R: np.ndarray


def stretches(x_NL: np.ndarray, component_NL: np.ndarray, group_N: np.ndarray) -> Stretches:
    """Cut each group's windows, which are in order of time, into stretches of about `BEATS`.

    Parameters
    ----------
    group_N
        Record or query of each window: dense indices, each with a window.
    """
    stretch_N, group_R = np.zeros(len(group_N), dtype=np.int64), list[int]()
    for group in range(int(group_N.max()) + 1 if len(group_N) else 0):
        rows = np.flatnonzero(group_N == group)
        count = max(1, round(len(rows) / BEATS))
        stretch_N[rows] = len(group_R) + np.arange(len(rows)) * count // len(rows)
        group_R += [group] * count
    return Stretches(record_fiducials(x_NL, component_NL, stretch_N), np.array(group_R, dtype=np.int64))


@dataclass(frozen=True)
class Identified:
    """What became of the probe records that were judged (K queries).

    Attributes
    ----------
    site_K, person_K, protocol_K
        Where, whose and under which protocol.
    hit_K, vit_hit_K
        Whether the right person came first, by features and by the encoder; a tie counts its share.
    chance_K
        1 / people enrolled at the site.
    strength_KF
        Absolute SHAP values of the right person's probability; NaN of queries that are not explained.
    judged
        Site (or `POOLED`) -> the protocol it is judged by.
    """

    site_K: np.ndarray
    person_K: np.ndarray
    protocol_K: np.ndarray
    hit_K: np.ndarray
    vit_hit_K: np.ndarray
    chance_K: np.ndarray
    strength_KF: np.ndarray
    judged: Mapping[str, str]

    def rows(self, case: Case, site: str) -> np.ndarray:
        """Return the queries (indices into K) behind a site's figure, or the pooled one."""
        here_K = np.ones(len(self.site_K), dtype=bool)
        if site != POOLED:
            here_K = self.site_K == case.site_names.index(site)
        return np.flatnonzero(here_K & (self.protocol_K == self.judged.get(site, "")))


def identified(case: Case, encoder: ModelAccess, seed: int) -> Identified:
    """Identify every probe record among the people enrolled at its site, by features and by the encoder.

    Both know the gallery records of everybody at the site: the tree model is trained on them, the
    encoder's templates are made of them.

    Raises
    ------
    NotMeasurable
        If no gallery record shows a QRS complex, or no site has probes of people who can be confused.
    """
    gallery, probes, drawn = case.gallery, case.probes, case.delineation
    known = stretches(gallery.x_NL, drawn.gallery_NL, gallery.record_N)
    if not np.isfinite(known.x_RF).any():
        raise NotMeasurable("no gallery record shows a QRS complex that was delineated")
    asked = stretches(probes.x_NL, drawn.probes_NL, probes.query_N)
    query_K = np.flatnonzero(_askable(case))
    if not len(query_K):
        raise NotMeasurable("no site has probes of one of two or more enrolled people")
    protocol_K, site_K = case.protocol_Q[query_K], probes.site_Q[query_K]
    judged = _judged(case, query_K)
    hit_K, vit_hit_K, chance_K = np.zeros((3, len(query_K)))
    strength_KF = np.full((len(query_K), known.x_RF.shape[1]), np.nan)
    person_K = case.person_Q[query_K]
    out = Identified(site_K, person_K, protocol_K, hit_K, vit_hit_K, chance_K, strength_KF, judged)
    entry_R = first_of(gallery.entry_N, gallery.record_N, int(gallery.record_N.max()) + 1)[known.group_R]
    for site in np.unique(site_K):
        own_R = gallery.site_G[entry_R] == site
        person_R = case.person_G[entry_R[own_R]]
        forest = grown(known.x_RF[own_R], person_R, seed_for(seed, "participant", case.site_names[site]))
        here = np.flatnonzero(site_K == site)
        out.chance_K[here] = 1.0 / len(forest.classes_)
        _judge(forest, asked, query_K, here, out)
        for protocol in sorted({judged[case.site_names[site]], judged[POOLED]}):
            _explain(forest, asked, query_K, _some(here[protocol_K[here] == protocol], out), out)
    _match(case, encoder, query_K, out)
    return out


def grown(
    x_RF: np.ndarray, class_R: np.ndarray, seed: int, weight_R: np.ndarray | None = None, *,
    leaf: int = 1, features: str | float = "sqrt",
) -> ExtraTreesClassifier:  # fmt: skip
    """Return extremely randomised trees, deterministic in the seed.

    Chosen before random forests (worse here, and dearer with many people) and gradient boosting
    (refuses a feature that no record shows): it takes missing values as they are, and TreeSHAP is
    exact on it. Source: Geurts, Ernst and Wehenkel 2006, "Extremely randomized trees".
    """
    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=leaf, max_features=features, random_state=seed % 2**32
    )
    with warnings.catch_warnings():
        # A person is a class, and may have a single row.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return forest.fit(x_RF, class_R, sample_weight=weight_R)


def _askable(case: Case) -> np.ndarray:
    """Return which queries are of a person enrolled at the same site beside others: bool (Q,)."""
    gallery, probes = case.gallery, case.probes
    asked_Q = case.protocol_Q != CROSS_SITE
    for site in range(len(case.site_names)):
        enrolled = np.unique(case.person_G[gallery.site_G == site])
        here_Q = probes.site_Q == site
        asked_Q[here_Q] &= np.isin(case.person_Q[here_Q], enrolled) & (len(enrolled) > 1)
    return np.asarray(asked_Q, dtype=bool)


def _judged(case: Case, query_K: np.ndarray) -> dict[str, str]:
    """Return the hardest protocol with enough people, of every site and of all together."""
    out = {}
    for site in (*case.site_names, POOLED):
        rows = query_K if site == POOLED else query_K[
            case.probes.site_Q[query_K] == case.site_names.index(site)]  # fmt: skip
        protocols = case.protocol_Q[rows]
        people = {
            name: len(np.unique(case.person_Q[rows[protocols == name]])) for name in sorted(set(protocols))
        }
        chosen = judged_by(people)
        if chosen is not None:
            out[site] = chosen
    return out


def _judge(
    forest: ExtraTreesClassifier, asked: Stretches, query_K: np.ndarray, here: np.ndarray, out: Identified
) -> None:
    rows = np.flatnonzero(np.isin(asked.group_R, query_K[here]))
    order = np.searchsorted(query_K[here], asked.group_R[rows])
    score_KC = group_means(forest.predict_proba(asked.x_RF[rows]), order, len(here))
    out.hit_K[here] = first(score_KC, forest.classes_[None] == out.person_K[here, None])


def _some(here: np.ndarray, out: Identified) -> np.ndarray:
    """Return the queries of at most `MOST_EXPLAINED` people."""
    people = np.unique(out.person_K[here])
    few = np.unique(
        np.linspace(0, len(people) - 1, min(len(people), MOST_EXPLAINED)).round().astype(np.int64)
    )
    return here[np.isin(out.person_K[here], people[few])]


def _explain(
    forest: ExtraTreesClassifier, asked: Stretches, query_K: np.ndarray, here: np.ndarray, out: Identified
) -> None:
    if not len(here):
        return
    rows, owner = list[int](), list[int]()
    for k in here:
        own = np.flatnonzero(asked.group_R == query_K[k])
        few = own[np.unique(np.linspace(0, len(own) - 1, EXPLAINED).round().astype(np.int64))]
        rows += few.tolist()
        owner += [int(k)] * len(few)
    shap_RF, _ = own_class_shap(forest, asked.x_RF[rows], out.person_K[owner])
    _, order = np.unique(owner, return_inverse=True)
    out.strength_KF[here] = np.abs(group_means(shap_RF, order, len(here)))


def _match(case: Case, encoder: ModelAccess, query_K: np.ndarray, out: Identified) -> None:
    """Find the nearest gallery template of the encoder; NaN where its embeddings are not finite."""
    gallery, probes = case.gallery, case.probes
    try:
        scores = cosines(encoder.embed(gallery.x_NL), encoder.embed(probes.x_NL), gallery, probes)
    except NotMeasurable:
        out.vit_hit_K[:] = np.nan
        return
    for site in np.unique(out.site_K):
        here, enrolled = np.flatnonzero(out.site_K == site), np.flatnonzero(gallery.site_G == site)
        right_KG = case.person_G[enrolled][None] == out.person_K[here, None]
        out.vit_hit_K[here] = first(scores[query_K[here]][:, enrolled], right_KG)


def first(score_KC: np.ndarray, right_KC: np.ndarray) -> np.ndarray:
    """Return the chance that a right column comes first (K,): its share of those with the highest score."""
    top_KC = score_KC >= score_KC.max(axis=1, keepdims=True) - 1e-9
    return np.asarray((top_KC & right_KC).sum(axis=1) / top_KC.sum(axis=1))
