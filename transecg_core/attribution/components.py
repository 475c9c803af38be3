"""From relevance per sample to relevance per heartbeat component."""

from __future__ import annotations

from typing import Any

import numpy as np

from transecg_core.attribution.intervals import percentiles, person_means, resample_counts
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS
from transecg_core.risk.estimate import expanded_tail

UNDEFINED = COMPONENT_CODE["undefined"]

NOTHING = 1e-6
"""A share that is nothing but rounding, of maps in single precision."""


def shares(relevance_BL: np.ndarray, component_BL: np.ndarray) -> np.ndarray:
    """Return each component's net relevance, as a share of all of the window's relevance, (B, K).

    What speaks against the target counts against: the sizes of a row sum to 1 at most, so that every window
    has the same weight, and a component that speaks for the target here and against it there cancels in a
    mean. A window without any relevance is NaN.
    """
    relevance_BL = relevance_BL.astype(np.float64)
    total_B = np.abs(relevance_BL).sum(axis=1)
    by_component = [(relevance_BL * (component_BL == code)).sum(axis=1) for code in range(len(COMPONENTS))]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(by_component, axis=1) / np.where(total_B > 0, total_B, np.nan)[:, None]


def in_favour(share_RK: np.ndarray) -> np.ndarray:
    """Return the shares of what speaks for the target in mean `shares`, (R, K).

    Components that on the whole speak against it have 0, the others sum to 1; all are 0 where none speaks for it.
    The sign is cut off here and no earlier: cut off per window or person, what is nothing on the whole
    would count by how much it varies (and a long component, of which there is most, most of all).
    """
    positive_RK = np.clip(share_RK, 0, None)
    total_R1 = positive_RK.sum(axis=1, keepdims=True)
    found_RK: np.ndarray = np.where(total_R1 > NOTHING, positive_RK / np.maximum(total_R1, NOTHING), 0.0)
    return found_RK


def left_in_favour(share_PK: np.ndarray) -> float:
    """Return how much of all relevance, for and against, is left in favour of the target over people, 0 to 1.

    Shares are of this; where little is left, little speaks for anything.
    """
    return float(np.clip(share_PK.mean(axis=0), 0, None).sum()) if len(share_PK) else 0.0


def enrichment(share_RK: np.ndarray, duration_RK: np.ndarray) -> np.ndarray:
    """Return share in favour / share of the time, (R, K), of mean `shares`; NaN where there is no such component."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(duration_RK > NOTHING, in_favour(share_RK) / duration_RK, np.nan)


def durations(component_BL: np.ndarray) -> np.ndarray:
    """Return the share of each window's samples per component, (B, K); rows sum to 1."""
    return np.stack([(component_BL == code).mean(axis=1) for code in range(len(COMPONENTS))], axis=1)


def of_people(
    relevance_BL: np.ndarray, component_BL: np.ndarray, person_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which windows have any relevance (B,), and each of their people's mean `shares` and durations, (P, K)."""
    share_BK = shares(relevance_BL, component_BL)
    usable_B = np.isfinite(share_BK[:, 0])
    person_U = person_B[usable_B]
    return (
        usable_B,
        person_means(share_BK[usable_B], person_U),
        person_means(durations(component_BL[usable_B]), person_U),
    )


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
    and a map without any preference has enrichment 1 everywhere. ``joint95`` holds for all components at once: what
    is named because it is largest needs no less. ``behind`` is the interval of how much more
    the most enriched component has, in the same resamples of people. What isn't defined is None: the enrichment
    of a component that no window has, the leader's ``behind``. Empty where nothing speaks for the target.
    A component that only a few people show (fewer than `MIN_PEOPLE`) has no figure at all, as it would be
    theirs; its share and time count as ``undefined``, so that shares still sum to 1.

    Parameters
    ----------
    person_B
        Person index per window; people are resampled, and weigh the same.
    """
    _, share_PK, duration_PK = of_people(relevance_BL, component_BL, person_B)
    return summary(share_PK, duration_PK, resamples, seed)


def summary(
    share_PK: np.ndarray, duration_PK: np.ndarray, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return what `summarise` does, from each person's mean shares and durations."""
    if not len(share_PK):
        return {}
    people_K = (duration_PK > 0).sum(axis=0)
    few_K = (people_K > 0) & (people_K < MIN_PEOPLE) & (np.arange(len(COMPONENTS)) != UNDEFINED)
    share_PK, duration_PK = folded(share_PK, few_K), folded(duration_PK, few_K)
    share_K = in_favour(share_PK.mean(axis=0)[None])[0]
    if not share_K.any():
        return {}
    counts_RP = resample_counts(len(share_PK), resamples, seed) / len(share_PK)
    enrichment_RK = enrichment(counts_RP @ share_PK, counts_RP @ duration_PK)
    # What is left over of few people keeps its share and time, which follow from the others', but no more.
    told_K = (duration_PK > 0).sum(axis=0) >= MIN_PEOPLE
    duration_K = duration_PK.mean(axis=0)
    value_K = np.where(told_K, enrichment(share_K[None], duration_K[None])[0], np.nan)
    meant_K = told_K & (np.arange(len(COMPONENTS)) != UNDEFINED)
    first = int(np.where(meant_K, value_K, -1.0).argmax())
    joint_K2 = joint_intervals(enrichment_RK, value_K, meant_K, len(share_PK))
    rows: dict[str, dict[str, Any]] = {}
    for code, name in enumerate(COMPONENTS):
        rows[name] = dict.fromkeys(("share", "duration", "enrichment", "ci95", "joint95", "behind"))
        if not few_K[code]:
            rows[name] |= {"share": float(share_K[code]), "duration": float(duration_K[code])}
        if told_K[code]:
            interval = percentiles(enrichment_RK[:, code], len(share_PK))
            rows[name] |= {"enrichment": float(value_K[code]), "ci95": list(interval)}
        if meant_K[code]:
            rows[name]["joint95"] = [float(limit) for limit in joint_K2[code]]
        if meant_K[code] and code != first:
            more_R = enrichment_RK[:, first] - enrichment_RK[:, code]
            rows[name]["behind"] = list(percentiles(more_R, len(share_PK)))
    return rows


def joint_intervals(
    enrichment_RK: np.ndarray, value_K: np.ndarray, meant_K: np.ndarray, people: int
) -> np.ndarray:
    """Return intervals that hold for all the components meant at once, 95 times in 100, (K, 2).

    The half-width in standard deviations is the 95 % quantile, over resamples, of the largest deviation of any component
    (max-T: Romano and Wolf 2005, "Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing", JASA 100),
    with the level widened for few people as everywhere.
    """
    sd_K = np.nan_to_num(np.nanstd(enrichment_RK[:, meant_K], axis=0))
    off_RK = np.abs(enrichment_RK[:, meant_K] - value_K[meant_K]) / np.where(sd_K > 0, sd_K, 1.0)
    largest_R = np.nan_to_num(off_RK).max(axis=1, initial=0.0)
    out_K2 = np.full((len(value_K), 2), np.nan)
    half_K = np.quantile(largest_R, 1 - 2 * expanded_tail(people)) * sd_K
    out_K2[meant_K] = np.stack(
        [np.maximum(value_K[meant_K] - half_K, 0.0), value_K[meant_K] + half_K], axis=1
    )
    return out_K2


def folded(value_PK: np.ndarray, few_K: np.ndarray) -> np.ndarray:
    """Return the values with those of the marked components added to ``undefined``, before any sign is cut off."""
    out_PK = np.where(few_K, 0.0, value_PK)
    out_PK[:, UNDEFINED] += value_PK[:, few_K].sum(axis=1)
    return out_PK
