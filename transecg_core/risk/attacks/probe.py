"""A linear probe on frozen embeddings: what is known of some people, inferred about others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression

from transecg_core.risk.artefacts import Given, KnownLabels
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.matching import first_of, group_means
from transecg_core.risk.rows import NotMeasurable
from transecg_core.training.local import MISSING

Trait = Literal["sex", "age", "site"]
STRENGTH = 0.1
"""Inverse penalty of the logistic regression (`C`), with one unit of weight per person."""
MIN_FIT_PEOPLE = 5
_TINY = 1e-9


@dataclass(frozen=True)
class Inference(Attack):
    """An attack that infers a trait of people from their embeddings.

    `run` returns the log-probability of every class (C) for each query and then for each enrolled
    person, (Q + G, C); minus infinity for a class that nobody known has.

    Attributes
    ----------
    trait
        What is inferred.
    """

    trait: Trait = "sex"


def infer(given: Given, centre: bool) -> np.ndarray:
    """Fit the probe on gallery records of people whose class is known; judge all queries and enrolled people.

    Every person counts once in the fit, and every class as much as every other.

    Parameters
    ----------
    centre
        Whether each site's mean embedding is taken off first, so that a device's offset can't
        stand for the people who happen to be recorded with it.

    Raises
    ------
    NotMeasurable
        Where too few people are known, or embeddings say nothing.
    """
    gallery, probes, known = given.gallery, given.probes, given.known_labels
    embed = given.released_model.embed
    gallery_z, probe_z = embed(gallery.x_NL), embed(probes.x_NL)
    if not (np.isfinite(gallery_z).all() and np.isfinite(probe_z).all()):
        raise NotMeasurable("the embeddings are not finite")
    record_RD = group_means(gallery_z, gallery.record_N, int(gallery.record_N.max()) + 1)
    query_QD = group_means(probe_z, probes.query_N, len(probes.site_Q)) if len(probe_z) else record_RD[:0]
    entry_R = first_of(gallery.entry_N, gallery.record_N, len(record_RD))
    person_GD = group_means(record_RD, entry_R, len(gallery.site_G))
    if centre:
        sites = int(max(gallery.site_G.max(), probes.site_Q.max(initial=0))) + 1
        mean_SD = _site_means(person_GD, gallery.site_G, known.code_G != MISSING, sites)
        record_RD = record_RD - mean_SD[gallery.site_G[entry_R]]
        query_QD, person_GD = query_QD - mean_SD[probes.site_Q], person_GD - mean_SD[gallery.site_G]
    return _fit(record_RD, entry_R, known, np.concatenate([query_QD, person_GD]))


def _site_means(person_GD: np.ndarray, site_G: np.ndarray, known_G: np.ndarray, sites: int) -> np.ndarray:
    """Return each site's mean (S, D) over the people known there; over its gallery where nobody is.

    A mean that held the person being judged would push them away from their own class.
    """
    mean_SD = np.zeros((sites, person_GD.shape[1]))
    for site in np.unique(site_G):
        own_G = site_G == site
        mean_SD[site] = person_GD[own_G & known_G if (own_G & known_G).any() else own_G].mean(axis=0)
    return mean_SD


def _fit(record_RD: np.ndarray, entry_R: np.ndarray, known: KnownLabels, asked_UD: np.ndarray) -> np.ndarray:
    use_R = known.code_G[entry_R] != MISSING
    z_RD, own_R = record_RD[use_R], entry_R[use_R]
    people_C = np.bincount(known.code_G[np.unique(own_R)], minlength=known.classes)
    present = np.flatnonzero(people_C)
    if len(present) < 2 or people_C[present].min() < MIN_FIT_PEOPLE:
        raise NotMeasurable(
            f"the probe learns from other people, {MIN_FIT_PEOPLE} in each of two classes; "
            f"they have {', '.join(map(str, people_C))}"
        )
    mean_D, spread_D = z_RD.mean(axis=0), z_RD.std(axis=0)
    if spread_D.max() <= _TINY * max(1.0, float(np.abs(z_RD).max())):
        raise NotMeasurable("the embeddings are all alike")

    def standard(z_UD: np.ndarray) -> np.ndarray:
        return np.where(spread_D > _TINY, (z_UD - mean_D) / np.maximum(spread_D, _TINY), 0.0)

    code_R = known.code_G[own_R]
    each_R = 1.0 / np.bincount(own_R)[own_R]
    weight_R = each_R / np.bincount(code_R, weights=each_R)[code_R] * len(np.unique(own_R)) / len(present)
    probe = LogisticRegression(C=STRENGTH, max_iter=1000).fit(standard(z_RD), code_R, sample_weight=weight_R)
    out_UC = np.full((len(asked_UD), known.classes), -np.inf)
    out_UC[:, present] = probe.predict_log_proba(standard(asked_UD))
    return out_UC
