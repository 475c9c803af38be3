"""C: a person's likelihood, over what models of the recipe give them, held against other people's.

RMIA (Zarifzadeh et al., arXiv 2312.03262, its online attack), with a person in the place of an example:
p(x | model) is the geometric mean of the right labels' probabilities over a person's windows, p(x)
its average over the reference models that the person trained and those that they didn't, in equal parts.
The score of x is the share of people z of the site with p(x | model) / p(x) >= gamma p(z | model) / p(z).
It needs fewer models than LiRA, because it estimates one mean per person and no spread.
"""

from __future__ import annotations

import warnings

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import RELEASED_MODEL, Attack
from transecg_core.risk.attacks.shadow_statistics import SHADOW_WORDS, check_enough, score_of
from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS

GAMMA = 1.0
"""Fixed: nothing here is tuned on the people it is tested on."""
LEAST = 2
"""Fewest reference models."""
_ROUNDING = 1e-9
"""Of log ratios: people who differ by less are alike."""


def _run(given: Given) -> np.ndarray:
    targets, known = given.targets, given.audit_models
    check_enough(len(known.models), LEAST)
    log_p_T = score_of(SHARED_HEAD_LOSS, targets, given.released_model)
    log_p_RT = np.stack([score_of(SHARED_HEAD_LOSS, targets, model) for model in known.models])
    return pairwise(log_p_T - log_prior(log_p_RT, known.trained_RT), targets.site_T)


def log_prior(log_p_RT: np.ndarray, trained_RT: np.ndarray) -> np.ndarray:
    """Return log p(x) (T,): the mean over both kinds of models, each in half; NaN where one kind is missing."""
    means = []
    for value in (1.0, 0.0):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)  # NaN says just that
            means.append(np.nanmean(np.where(trained_RT == value, np.exp(log_p_RT), np.nan), axis=0))
    return np.asarray(np.log(np.maximum((means[0] + means[1]) / 2, np.finfo(float).tiny)))


def pairwise(log_ratio_T: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return the share of the site's other people whose ratio is exceeded `GAMMA`-fold (T,); NaN where alone."""
    out_T = np.full(len(log_ratio_T), np.nan)
    for site in np.unique(site_T):
        own = np.flatnonzero((site_T == site) & np.isfinite(log_ratio_T))
        if len(own) > 1:
            over_XZ = log_ratio_T[own][:, None] - log_ratio_T[own][None, :] >= np.log(GAMMA) - _ROUNDING
            out_T[own] = (over_XZ.sum(axis=1) - np.diag(over_XZ)) / (len(own) - 1)
    return out_T


SHADOW_RMIA = Attack(
    name="shadow-rmia",
    kind="C",
    observer=RELEASED_MODEL,
    auxiliary_data=SHADOW_WORDS.format(own="with their labels")
    + "the person's own gallery windows, and the same of the site's other people",
    artefacts=("targets", "released-model", "audit-models"),
    measure="shadow-membership",
    run=_run,
)
