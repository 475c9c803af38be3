from __future__ import annotations

import pytest

from transecg_core.attribution.competence import Competence
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.judgement import judge, leader, passes
from transecg_core.attribution.methods import METHODS

GOOD, BAD = Competence(True, "balanced accuracy is fine"), Competence(False, "the model is near chance")
FAITHFUL, COVERS_ZERO = Estimate(0.2, 0.1, 0.3), Estimate(0.2, -0.01, 0.4)
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
    got, reason = judge(method, people, competence, faithful, shifted, False)
    assert got is shown
    assert words in reason


def test_every_reason_against_a_map_is_said():
    _, reason = judge("occlusion", 3, BAD, COVERS_ZERO, COVERS_ZERO, False)
    for words in (
        "too few people: 3",
        "near chance",
        "better than random",
        "better than itself moved in time",
    ):
        assert words in reason


def test_random_scores_that_pass_take_every_map_with_them():
    for method in METHODS:
        shown, reason = judge(method, 20, GOOD, FAITHFUL, FAITHFUL, True)
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
