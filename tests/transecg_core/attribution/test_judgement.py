from __future__ import annotations

import pytest

from transecg_core.attribution.competence import Competence
from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.judgement import claim, judge, leader

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
        ("random", 20, GOOD, FAITHFUL, FAITHFUL, False, "negative control"),
        ("rollout", 20, GOOD, FAITHFUL, FAITHFUL, True, "no claim"),
    ],
)
def test_a_map_is_shown_only_with_people_skill_and_faithfulness(
    method, people, competence, faithful, shifted, shown, words
):
    got, reason = judge(method, people, competence, faithful, shifted)
    assert got is shown
    assert words in reason


def test_every_reason_against_a_map_is_said():
    _, reason = judge("occlusion", 3, BAD, COVERS_ZERO, COVERS_ZERO)
    for words in (
        "too few people: 3",
        "near chance",
        "better than random",
        "better than itself moved in time",
    ):
        assert words in reason


def _entry(first="QRS", shown=True, low=1.5, kept=1.0, **changes):
    parts = {
        name: {"share": 0.1, "duration": 0.1, "enrichment": 1.0, "ci95": [0.8, 1.2]}
        for name in ("P", "QRS", "T")
    }
    if first:
        parts[first] = {"share": 0.2, "duration": 0.1, "enrichment": 2.0, "ci95": [low, 2.5]}
    parts["undefined"] = {"share": 0.5, "duration": 0.1, "enrichment": 5.0, "ci95": [4.0, 6.0]}
    stability = {"jitter": {}, "jitter_first": kept, "fills": None, "seeds": None}
    return {"components": parts, "shown": shown, "stability": stability, **changes}


BOTH = {"gradient-attention": _entry(), "component-occlusion": _entry(kept=None)}


def test_a_component_is_named_where_nothing_speaks_against_it():
    component, reason = claim(BOTH | {"rollout": _entry("T"), "occlusion": _entry("T", shown=False)})
    assert component == "QRS"  # neither blind maps nor greyed ones have a say
    assert "gradient-attention" in reason
    assert "100%" in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gradient-attention": _entry(shown=False)}, "no gradient map is shown"),
        ({"component-occlusion": _entry(shown=False)}, "no perturbation map is shown"),
        ({"component-occlusion": _entry("T", kept=None)}, "the maps disagree"),
        ({"integrated-gradients": _entry("T")}, "integrated-gradients says T"),
        ({"gradient-attention": _entry(low=0.9)}, "no component clearly above"),
        ({"gradient-attention": _entry(kept=0.79)}, "first in only 79%"),
        ({"gradient-attention": _entry(kept=None)}, "was not measured"),
        ({"gradient-attention": _entry(stability=None)}, "was not measured"),
        ({"occlusion": _entry(components={})}, "occlusion puts no component"),
    ],
)
def test_each_reason_against_a_claim(changes, words):
    component, reason = claim(BOTH | changes)
    assert component is None
    assert words in reason


def test_reports_before_these_checks_make_no_claim():
    old = {m: {k: v for k, v in _entry().items() if k != "stability"} for m in BOTH}
    assert claim(old)[0] is None
    assert claim({})[0] is None


def test_undefined_never_leads():
    assert leader(_entry()["components"]) == "QRS"
    assert leader({"undefined": {"enrichment": 1.0}, "P": {"enrichment": None}}) is None
