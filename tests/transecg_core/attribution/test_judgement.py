from __future__ import annotations

import pytest

from transecg_core.attribution.intervals import Estimate
from transecg_core.attribution.competence import Competence
from transecg_core.attribution.judgement import judge

GOOD, BAD = Competence(True, "balanced accuracy is fine"), Competence(False, "the model is near chance")
FAITHFUL, COVERS_ZERO = Estimate(0.2, 0.1, 0.3), Estimate(0.2, -0.01, 0.4)


@pytest.mark.parametrize(
    ("method", "people", "competence", "faithful", "shown", "words"),
    [
        ("occlusion", 20, GOOD, FAITHFUL, True, "0.20 [0.10, 0.30]"),
        ("occlusion", 20, GOOD, COVERS_ZERO, False, "no better than random"),
        ("occlusion", 20, GOOD, Estimate(-0.2, -0.3, -0.1), False, "no better than random"),
        ("occlusion", 20, BAD, FAITHFUL, False, "near chance"),
        ("occlusion", 9, GOOD, FAITHFUL, False, "too few people: 9"),
        ("random", 20, GOOD, FAITHFUL, False, "negative control"),
    ],
)
def test_a_map_is_shown_only_with_people_skill_and_faithfulness(
    method, people, competence, faithful, shown, words
):
    got, reason = judge(method, people, competence, faithful, FAITHFUL)
    assert got is shown
    assert words in reason
