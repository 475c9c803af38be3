"""Fell, did not fall, had nothing to fall, did not resolve: each from the paired differences alone."""

from __future__ import annotations

import pytest

from transecg_core.report.compare import over_seeds
from transecg_core.report.compare_leakage import leakage_sentence, reading


def entry(best: list[float], private: list[float], ceiling: float | None = 0.7) -> dict:
    paired = [b - a for a, b in zip(best, private, strict=False)]
    arms = {
        "best": {"estimate": over_seeds(best), "against_best": None, "ceiling": None, "reference": 0.5},
        "epsilon=1": {
            "estimate": over_seeds(private), "against_best": over_seeds(paired), "ceiling": ceiling, "reference": 0.5,
        },
    }  # fmt: skip
    return {"about": "C", "label": "shared-head-loss, independent-coins", "metric": "AUC", "arms": arms}


HIGH = [0.80, 0.81, 0.82]


@pytest.mark.parametrize(
    ("best", "private", "said"),
    [
        (HIGH, [0.60, 0.62, 0.61], "fell"),
        (HIGH, [0.80, 0.81, 0.82], "stayed"),
        (HIGH, [0.79, 0.81, 0.82], "stayed"),
        (HIGH, [0.60, 0.95, 0.70], "open"),
        (HIGH[:1], [0.5], "open"),
        ([0.45, 0.52, 0.55], [0.50, 0.52, 0.49], "nothing"),
        ([], [0.6], "absent"),
        (HIGH, [], "absent"),
    ],
)
def test_the_reading_follows_the_intervals(best, private, said) -> None:
    assert reading(entry(best, private), "epsilon=1") == said


def test_sentences_name_the_attack_its_difference_and_its_ceiling() -> None:
    figures = [entry(HIGH, [0.60, 0.62, 0.61]), entry(HIGH, HIGH, None), entry(HIGH, HIGH, 1.0)]
    text = leakage_sentence(figures, "epsilon=1")
    assert text.startswith("Fell: the loss of the shared heads, AUC \N{MINUS SIGN}0.20 (")
    assert "(ceiling 0.70). Did not fall (a fall by half of what best gives away is excluded): " in text
    assert "(no ceiling); the loss of the shared heads" in text
    assert text.endswith("(its ceiling bounds nothing).")
    assert leakage_sentence([{**figures[0], "about": "B"}], "epsilon=1") == ""
