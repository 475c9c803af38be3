"""From relevance per sample to relevance per heartbeat component."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.attribution.intervals import percentiles, person_means, resample_counts
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS

UNDEFINED = COMPONENT_CODE["undefined"]


def shares(relevance_BL: np.ndarray, component_BL: np.ndarray) -> np.ndarray:
    """Return the share of each window's relevance per component, (B, K).

    Only relevance that speaks *for* the target counts (negative values are set to zero), and
    every window has the same weight. Rows sum to 1; a window without any positive relevance is NaN.
    """
    positive_BL = np.clip(relevance_BL.astype(np.float64), 0, None)
    total_B = positive_BL.sum(axis=1)
    by_component = [(positive_BL * (component_BL == code)).sum(axis=1) for code in range(len(COMPONENTS))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(by_component, axis=1) / np.where(total_B > 0, total_B, np.nan)[:, None]


def durations(component_BL: np.ndarray) -> np.ndarray:
    """Return the share of each window's samples per component, (B, K); rows sum to 1."""
    return np.stack([(component_BL == code).mean(axis=1) for code in range(len(COMPONENTS))], axis=1)


def shown_by_few(component_BL: np.ndarray, person_B: np.ndarray) -> np.ndarray:
    """Return which components 1 to 9 people show, bool (K,): no figure may rest on them alone."""
    people_K = np.array([
        len(np.unique(person_B[(component_BL == code).any(axis=1)])) for code in range(len(COMPONENTS))
    ])  # fmt: skip
    few_K: np.ndarray = (people_K > 0) & (people_K < MIN_PEOPLE)
    return few_K


def summarise(
    relevance_BL: np.ndarray, component_BL: np.ndarray, person_B: np.ndarray, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return component -> share, duration share, enrichment and its 95 % interval over people.

    Enrichment is share / duration share: long components collect relevance by their length alone,
    and a map without any preference has enrichment 1 everywhere. What isn't defined is None:
    the enrichment of a component that no window has, everything where no map has positive relevance.
    A component that only a few people show (fewer than `MIN_PEOPLE`) has no figure at all, as it would be
    theirs; its share and time count as ``undefined``, so that shares still sum to 1.

    Parameters
    ----------
    person_B
        Person index per window; people are resampled, and weigh the same.
    """
    share_BK = shares(relevance_BL, component_BL)
    usable_B = np.isfinite(share_BK[:, 0])
    if not usable_B.any():
        return {}
    share_PK = person_means(share_BK[usable_B], person_B[usable_B])
    duration_PK = person_means(durations(component_BL[usable_B]), person_B[usable_B])
    return summary(share_PK, duration_PK, resamples, seed)


def summary(
    share_PK: np.ndarray, duration_PK: np.ndarray, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return what `summarise` does, from each person's mean shares and durations."""
    people_K = (duration_PK > 0).sum(axis=0)
    few_K = (people_K > 0) & (people_K < MIN_PEOPLE) & (np.arange(len(COMPONENTS)) != UNDEFINED)
    share_PK, duration_PK = _folded(share_PK, few_K), _folded(duration_PK, few_K)
    counts_RP = resample_counts(len(share_PK), resamples, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        enrichment_RK = (counts_RP @ share_PK) / (counts_RP @ duration_PK)
    return {
        name: dict.fromkeys(("share", "duration", "enrichment", "ci95"))
        if few_K[code]
        else _row(share_PK[:, code], duration_PK[:, code], enrichment_RK[:, code])
        for code, name in enumerate(COMPONENTS)
    }


def _folded(value_PK: np.ndarray, few_K: np.ndarray) -> np.ndarray:
    """Return the values with those of the marked components added to ``undefined``."""
    out_PK = np.where(few_K, 0.0, value_PK)
    out_PK[:, UNDEFINED] += value_PK[:, few_K].sum(axis=1)
    return out_PK


def _row(share_P: np.ndarray, duration_P: np.ndarray, enrichment_R: np.ndarray) -> dict[str, Any]:
    share, duration = float(share_P.mean()), float(duration_P.mean())
    # What is left over of few people keeps its share and time, which follow from the others', but no more.
    told = int((duration_P > 0).sum()) >= MIN_PEOPLE
    return {
        "share": share,
        "duration": duration,
        "enrichment": share / duration if told else None,
        "ci95": list(percentiles(enrichment_R, len(share_P))) if told else None,
    }
