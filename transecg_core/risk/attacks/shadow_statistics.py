"""What shadow attacks read off one model: a score per person, remembered for as long as the model is.

Every audit model is a reference in all attacks but the one on itself, so each score is needed K times.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from transecg_core.risk.artefacts import Given, ModelAccess, Targets
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.rows import NotMeasurable

Statistic = Callable[[Targets, ModelAccess], np.ndarray]

SHADOW_WORDS = (
    "the recipe, which is public, and people of the same population, {own}: enough to train models as the sites "
    "did, and to know of each who trained it; "
)
"""What the attacker is assumed to hold beside the artefacts."""

_KEPT: WeakKeyDictionary[ModelAccess, dict[str, tuple[Targets, np.ndarray]]] = WeakKeyDictionary()


def score_of(base: Attack, targets: Targets, model: ModelAccess) -> np.ndarray:
    """Return a membership attack's score (T,) of every target on one model, NaN where there is none."""
    kept = _KEPT.setdefault(model, {})
    if base.name not in kept or kept[base.name][0] is not targets:
        held = {"targets": targets, "released-model": model}
        kept[base.name] = targets, np.asarray(base.run(Given(base.artefacts, held)), dtype=np.float64)
    return kept[base.name][1]


def within_site(score_T: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return scores minus the mean over the site's people, members or not: some models are better than others."""
    out = np.full(len(score_T), np.nan)
    for site in np.unique(site_T):
        own = (site_T == site) & np.isfinite(score_T)
        if own.any():
            out[own] = score_T[own] - score_T[own].mean()
    return out


def check_enough(references: int, least: int) -> None:
    """Refuse too few models to compare with.

    Raises
    ------
    NotMeasurable
        With fewer than `least`.
    """
    if references < least:
        raise NotMeasurable(f"{references} audit models to compare with, and {least} are needed")
