"""Balanced accuracy with an interval over people: utility and attribution share it."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, percentile, resamples, wilson
from transecg_core.risk.rows import NotMeasurable


def balanced_accuracy(
    truth_U: np.ndarray, guess_U: np.ndarray, person_U: np.ndarray, bootstrap: int, seed: int
) -> Estimate:
    """Estimate the mean recall over the classes present, with an interval over people.

    The bootstrap draws people with all their units; a resample without one of the classes is
    left out. Where all resamples agree, Wilson on the number of people (a bootstrap would then
    claim certainty).

    Parameters
    ----------
    truth_U, guess_U
        Class of each scored unit (a person, or a window).
    person_U
        Canonical person of each unit; several units of one person are resampled together.

    Raises
    ------
    NotMeasurable
        With one class only, or fewer than `MIN_PEOPLE` people in a class.
    """
    classes, people = np.unique(truth_U), np.unique(person_U)
    if len(classes) < 2:
        raise NotMeasurable("one class only: nothing to tell apart" if len(classes) else "no labelled people")
    hits_PC, totals_PC = _per_person(truth_U, guess_U, person_U)
    smallest = int((totals_PC > 0).sum(axis=0).min())
    if smallest < MIN_PEOPLE:
        raise NotMeasurable(f"{smallest} people in the smallest class, and {MIN_PEOPLE} are needed")
    value = float((hits_PC.sum(axis=0) / totals_PC.sum(axis=0)).mean())
    weight_BP = resamples(len(people), bootstrap, np.random.default_rng(seed))
    totals_BC = weight_BP @ totals_PC
    complete_B = (totals_BC > 0).all(axis=1)
    draws = ((weight_BP @ hits_PC)[complete_B] / totals_BC[complete_B]).mean(axis=1)
    low, high = percentile(draws) if len(draws) else (value, value)
    if high - low < 1e-12:
        low, high = wilson(value * len(people), len(people))
    return Estimate(value, (min(low, value), max(high, value)), len(people))


def _per_person(
    truth_U: np.ndarray, guess_U: np.ndarray, person_U: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return hits and totals per person and class present, (P, C) each."""
    classes, column_U = np.unique(truth_U, return_inverse=True)
    people, row_U = np.unique(person_U, return_inverse=True)
    hits_PC, totals_PC = np.zeros((2, len(people), len(classes)))
    np.add.at(totals_PC, (row_U, column_U), 1.0)
    np.add.at(hits_PC, (row_U, column_U), (truth_U == guess_U).astype(np.float64))
    return hits_PC, totals_PC


def balanced_difference(
    truth_U: np.ndarray,
    before_U: np.ndarray,
    after_U: np.ndarray,
    person_U: np.ndarray,
    bootstrap: int,
    seed: int,
) -> tuple[float, float, Estimate]:
    """Return two guesses' balanced accuracies on the same units, and the second less the first, paired by person.

    Every resample draws the same people for both. Where all resamples agree, the interval is that of
    `transecg_core.risk.estimate.difference` where all people agree.

    Raises
    ------
    NotMeasurable
        As `balanced_accuracy`.
    """
    before = balanced_accuracy(truth_U, before_U, person_U, bootstrap, seed)
    after = balanced_accuracy(truth_U, after_U, person_U, bootstrap, seed)
    value, people = after.value - before.value, before.n
    hits_PC, totals_PC = _per_person(truth_U, before_U, person_U)
    hits_PC = _per_person(truth_U, after_U, person_U)[0] - hits_PC
    weight_BP = resamples(people, bootstrap, np.random.default_rng(seed))
    totals_BC = weight_BP @ totals_PC
    complete_B = (totals_BC > 0).all(axis=1)
    draws = ((weight_BP @ hits_PC)[complete_B] / totals_BC[complete_B]).mean(axis=1)
    low, high = percentile(draws) if len(draws) else (value, value)
    if high - low < 1e-12:
        slack = 1 - 0.05 ** (1 / people)
        low, high = max(-1.0, value - slack), min(1.0, value + slack)
    return before.value, after.value, Estimate(value, (min(low, value), max(high, value)), people)
