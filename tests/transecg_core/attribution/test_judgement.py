from __future__ import annotations

import pytest

from transecg_core.attribution.competence import Competence
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
