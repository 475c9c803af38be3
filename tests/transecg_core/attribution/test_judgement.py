from __future__ import annotations

import numpy as np
import pytest

from transecg_core.attribution.checks import knockout_agreement
from transecg_core.attribution.competence import Competence
from transecg_core.attribution.faithfulness import rank_correlation
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.judgement import SHOWS_THE_SIGNAL, judge, leader, passes
from transecg_core.attribution.methods import BY_COMPONENT, METHODS

GOOD, BAD = Competence(True, "balanced accuracy is fine"), Competence(False, "the model is near chance")
FAITHFUL, COVERS_ZERO = Estimate(0.2, 0.1, 0.3), Estimate(0.2, -0.01, 0.4)
MODEL = {"randomised_correlation": 0.49, "permuted_correlation": 0.0, "knockout_agreement": 0.01}
NAN = Estimate(float("nan"), float("nan"), float("nan"))


@pytest.mark.parametrize(
    ("method", "people", "competence", "faithful", "shifted", "shown", "words"),
    [
        ("occlusion", 20, GOOD, FAITHFUL, FAITHFUL, True, "0.20 [0.10, 0.30]"),
        ("occlusion", 20, GOOD, COVERS_ZERO, FAITHFUL, False, "no better than random"),
        ("occlusion", 20, GOOD, Estimate(-0.2, -0.3, -0.1), FAITHFUL, False, "no better than random"),
        ("occlusion", 20, GOOD, FAITHFUL, COVERS_ZERO, False, "no better than itself moved in time"),
        ("occlusion", 20, GOOD, NAN, NAN, False, "no better than random"),
        ("occlusion", 20, BAD, FAITHFUL, FAITHFUL, False, "near chance"),
        ("occlusion", 9, GOOD, FAITHFUL, FAITHFUL, False, "too few people: 9"),
        ("random", 20, GOOD, FAITHFUL, FAITHFUL, False, "negative control: random scores fail"),
        ("rollout", 20, GOOD, FAITHFUL, FAITHFUL, True, "no claim"),
    ],
)
def test_a_map_is_shown_only_with_people_skill_and_faithfulness(
    method, people, competence, faithful, shifted, shown, words
):
    got, reason = judge(method, people, competence, faithful, shifted, False, MODEL, 0.4)
    assert got is shown
    assert words in reason


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("randomised_correlation", SHOWS_THE_SIGNAL, "looks like the map of a re-initialised model"),
        ("randomised_correlation", -SHOWS_THE_SIGNAL, "looks like the map of a re-initialised model"),
        ("permuted_correlation", 1.0, "looks like the map of a model trained on permuted labels"),
        ("knockout_agreement", 0.0, "does not agree with knock-out (0.00)"),
        ("knockout_agreement", -0.3, "does not agree with knock-out (-0.30)"),
    ],
)
def test_a_map_that_shows_the_signal_and_not_the_model_is_greyed(key, value, words):
    for method in METHODS:
        shown, reason = judge(method, 20, GOOD, FAITHFUL, FAITHFUL, False, MODEL | {key: value}, 0.4)
        few_levels = method in BY_COMPONENT and key != "knockout_agreement"
        assert shown is few_levels
        assert few_levels or method == "random" or words in reason


def test_what_was_not_measured_greys_nothing():
    assert judge("occlusion", 20, GOOD, FAITHFUL, FAITHFUL, False, dict.fromkeys(MODEL), 0.4)[0]


def test_every_reason_against_a_map_is_said():
    _, reason = judge("occlusion", 3, BAD, COVERS_ZERO, COVERS_ZERO, False, MODEL, 0.4)
    for words in (
        "too few people: 3",
        "near chance",
        "better than random",
        "better than itself moved in time",
    ):
        assert words in reason


def test_random_scores_that_pass_take_every_map_with_them():
    for method in METHODS:
        shown, reason = judge(method, 20, GOOD, FAITHFUL, FAITHFUL, True, MODEL, 0.4)
        assert not shown
        assert "random scores pass the same test" in reason


@pytest.mark.parametrize(
    ("faithful", "shifted", "expected"),
    [
        (FAITHFUL, FAITHFUL, True),
        (COVERS_ZERO, FAITHFUL, False),
        (FAITHFUL, COVERS_ZERO, False),
        (NAN, NAN, False),
    ],
)
def test_a_map_passes_only_with_both_gains(faithful, shifted, expected):
    assert passes(faithful, shifted) is expected


def test_undefined_never_leads():
    parts = {"QRS": {"enrichment": 2.0}, "P": {"enrichment": 1.0}, "undefined": {"enrichment": 5.0}}
    assert leader(parts) == "QRS"
    assert leader({"undefined": {"enrichment": 1.0}, "P": {"enrichment": None}}) is None
    assert leader({"QRS": {"enrichment": 0.0}}) is None


def test_why_maps_of_few_levels_are_not_held_to_null_models():
    """Unrelated maps of six levels often correlate by .5 or more over the tokens; maps by patch never do."""
    rng, code_T = np.random.default_rng(0), np.repeat(np.arange(6), (5, 3, 5, 4, 9, 14))
    by_wave = [rank_correlation(rng.random(6)[code_T][None], rng.random(6)[code_T][None]) for _ in range(300)]
    by_patch = [rank_correlation(rng.random((1, 40)), rng.random((1, 40))) for _ in range(300)]
    assert np.mean(np.abs(by_wave) >= SHOWS_THE_SIGNAL) > 0.15
    assert np.mean(np.abs(by_patch) >= SHOWS_THE_SIGNAL) < 0.02


def test_agreement_above_zero_is_a_weak_test():
    """A map that has nothing to do with the drops agrees with them half of the time."""
    rng, code_L = np.random.default_rng(0), np.repeat(np.arange(6, dtype=np.uint8), 5)
    passed = 0
    for _ in range(200):
        wave_K, drop_K = rng.random(6), rng.random(7)
        map_BL = wave_K[code_L] + 0.05 * rng.random((20, 30))
        drop_BK = drop_K + 0.05 * rng.random((20, 7))
        passed += knockout_agreement(map_BL, drop_BK, np.tile(code_L, (20, 1)), np.arange(20)) > 0
    assert 70 <= passed <= 130
