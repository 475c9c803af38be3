"""Balanced accuracy: by hand, its interval, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.estimate import wilson
from transecg_core.risk.rows import NotMeasurable


def test_it_is_the_textbook_one_and_its_interval_is_plausible():
    truth = np.array([0] * 30 + [1] * 10)
    guess = np.array([0] * 30 + [1] * 5 + [0] * 5)
    found = balanced_accuracy(truth, guess, np.arange(40), 400, 0)
    assert found.value == pytest.approx(0.75)
    assert found.value == pytest.approx(balanced_accuracy_score(truth, guess))
    assert 0.5 < found.ci95[0] < 0.66
    assert 0.84 < found.ci95[1] < 0.95
    assert found.n == 40


@pytest.mark.parametrize(("guess", "value"), [(0, 0.5), (None, 1.0)], ids=["majority", "perfect"])
def test_agreement_of_all_resamples_is_not_certainty(guess, value):
    truth = np.array([0] * 14 + [1] * 6)
    found = balanced_accuracy(truth, truth if guess is None else truth * guess, np.arange(20), 200, 0)
    assert found.value == value
    assert found.ci95 == pytest.approx(wilson(20 * value, 20))


def test_people_and_not_windows_are_resampled():
    rng = np.random.default_rng(1)
    right = rng.random(20) < 0.7
    truth = np.arange(20) % 2
    guess = np.where(right, truth, 1 - truth)
    alone = balanced_accuracy(truth, guess, np.arange(20), 2000, 0)
    copied = balanced_accuracy(*(np.repeat(v, 9) for v in (truth, guess, np.arange(20))), 2000, 0)
    assert copied.value == pytest.approx(alone.value)
    assert copied.ci95 == pytest.approx(alone.ci95)
    assert copied.n == 20


def test_a_resample_without_a_class_is_left_out():
    """Five people hold a class of their own: about 1 resample in 150 has none of them."""
    truth = np.array([0] * 400 + [1] * 5)
    found = balanced_accuracy(truth, truth * (np.arange(405) != 404), np.arange(405), 3000, 0)
    assert found.value == pytest.approx(0.9)
    assert np.isfinite(found.ci95).all()


@pytest.mark.parametrize(
    ("truth", "person", "words"),
    [
        ([0] * 9, range(9), "one class only"),
        ([], [], "no labelled people"),
        ([0] * 9 + [1] * 4, range(13), "4 people in the smallest class, and 5 are needed"),
        ([0] * 9 + [1] * 40, [*range(9), *([9, 10, 11, 12] * 10)], "4 people in the smallest class"),
    ],
    ids=["one class", "nobody", "four people", "four people, forty windows"],
)
def test_too_little_is_a_reason(truth, person, words):
    truth = np.array(truth, dtype=np.int64)
    with pytest.raises(NotMeasurable, match=words):
        balanced_accuracy(truth, truth, np.array(list(person), dtype=np.int64), 50, 0)
