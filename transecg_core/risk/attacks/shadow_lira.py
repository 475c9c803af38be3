"""C: likelihood ratio of a person's score under models that they trained and models that they didn't.

LiRA (Carlini et al., arXiv 2112.03570, algorithm 1, with the fixed variance that the paper takes for few
models), with a person in the place of an example: the score is taken over all of a person's windows.
Each person's scores under the reference models give two means, one for "trained", one for "didn't";
the spread around them is shared by the people of a site, because a handful of models can't give everybody
their own. The means being estimates, the densities are those of a new model's score given the ones seen:
variance s^2 (1 + 1/n) where n models gave the mean.
"""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Given, ModelAccess, Targets
from transecg_core.risk.attacks.attack import RELEASED_MODEL, Attack
from transecg_core.risk.attacks.embedding_consistency import EMBEDDING_CONSISTENCY
from transecg_core.risk.attacks.shadow_statistics import (
    SHADOW_WORDS,
    Statistic,
    check_enough,
    score_of,
    within_site,
)
from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS

LEAST_EACH = 2
"""Fewest models with a person, and without them, that give the person a score."""
_CLOSEST = 1e-12
"""To a loss of 0, where a logit ends."""
_ROUNDING = 1e-9
"""Of scores: models that differ by less are the same."""


def _logit(targets: Targets, model: ModelAccess) -> np.ndarray:
    """Return log(p / (1 - p)) (T,), p the geometric mean of the right labels' probabilities."""
    loss_T = np.maximum(-score_of(SHARED_HEAD_LOSS, targets, model), _CLOSEST)
    return np.asarray(-loss_T - np.log(-np.expm1(-loss_T)))


def _consistency(targets: Targets, model: ModelAccess) -> np.ndarray:
    return score_of(EMBEDDING_CONSISTENCY, targets, model)


def _run(given: Given, statistic: Statistic) -> np.ndarray:
    targets, known = given.targets, given.audit_models
    check_enough(len(known.models), 2 * LEAST_EACH)
    site_T = targets.site_T
    x_T = within_site(statistic(targets, given.released_model), site_T)
    x_RT = np.stack([within_site(statistic(targets, model), site_T) for model in known.models])
    return likelihood_ratio(x_T, x_RT, known.trained_RT, site_T)


def likelihood_ratio(
    x_T: np.ndarray, x_RT: np.ndarray, trained_RT: np.ndarray, site_T: np.ndarray
) -> np.ndarray:
    """Return log p(x | trained) - log p(x | didn't) (T,); NaN with fewer than `LEAST_EACH` models of either kind.

    Where a site's scores don't differ at all between models there is nothing to tell: 0.
    """
    usable_RT = np.isfinite(x_RT) & np.isfinite(trained_RT)
    fits, residual_RT, groups_T = [], np.zeros(x_RT.shape), np.zeros(len(x_T))
    for value in (1.0, 0.0):
        own_RT = usable_RT & (trained_RT == value)
        n_T = own_RT.sum(axis=0)
        mean_T = np.where(own_RT, x_RT, 0.0).sum(axis=0) / np.maximum(n_T, 1)
        residual_RT = np.where(own_RT, x_RT - mean_T, residual_RT)
        groups_T += n_T > 0
        fits.append((mean_T, n_T))
    free_T = usable_RT.sum(axis=0) - groups_T
    out_T = np.full(len(x_T), np.nan)
    for site in np.unique(site_T):
        own = site_T == site
        variance = float((residual_RT[:, own] ** 2).sum() / max(free_T[own].sum(), 1.0))
        if variance <= (_ROUNDING * np.nanmax(np.abs(x_T[own]), initial=0.0)) ** 2:
            variance = 0.0
        log_p = [_log_density(x_T[own], mean_T[own], n_T[own], variance) for mean_T, n_T in fits]
        out_T[own] = log_p[0] - log_p[1]
    enough_T = np.minimum(fits[0][1], fits[1][1]) >= LEAST_EACH
    return np.where(enough_T & np.isfinite(x_T), out_T, np.nan)


def _log_density(x_T: np.ndarray, mean_T: np.ndarray, n_T: np.ndarray, variance: float) -> np.ndarray:
    """Return the log density of a new score, without the terms that both hypotheses share."""
    if variance <= 0:
        return np.zeros(len(x_T))
    wider_T = 1 + 1 / np.maximum(n_T, 1)
    return np.asarray(-0.5 * ((x_T - mean_T) ** 2 / (variance * wider_T) + np.log(wider_T)))


def _attack(name: str, statistic: Statistic, own: str) -> Attack:
    return Attack(
        name=name,
        kind="C",
        observer=RELEASED_MODEL,
        auxiliary_data=SHADOW_WORDS.format(own=own) + "the person's own gallery windows",
        artefacts=("targets", "released-model", "audit-models"),
        measure="shadow-membership",
        run=lambda given: _run(given, statistic),
    )


SHADOW_LIRA = _attack("shadow-lira", _logit, "with their labels")
SHADOW_LIRA_CONSISTENCY = _attack("shadow-lira-consistency", _consistency, "without labels")
