"""What a report says it can't say about where training started."""

from __future__ import annotations

import pytest

from transecg_core.config import parse
from transecg_core.report.limits import LimitFacts, limits

FACTS = LimitFacts(
    controls=14, at_two_sites=0, epsilon_at_two_sites=None, people=28, second_day=10, splits=()
)


def said(**options: object) -> str:
    return " ".join(limits(parse({key.replace("_", "-"): v for key, v in options.items()}), FACTS, [], None))


def test_pretraining_is_told_and_an_easy_case_is_marked() -> None:
    text = said(privacy="participant")
    assert "pretrained on synthetic people, which costs no privacy budget" in text
    assert "ECG-ID and mitdb informed" in text
    assert "In-distribution pretraining" in text
    assert "not evidence for real data" in text
    assert "random weights" not in text


@pytest.mark.parametrize(
    "cohort", [{"cohort": "real", "data_root": "/x"}, {"cohort": "node", "sites": "a,b"}]
)
def test_elsewhere_the_start_is_told_without_the_mark(cohort: dict[str, str]) -> None:
    text = said(privacy="participant", **cohort)
    assert "ECG-ID and mitdb informed" in text
    assert "In-distribution" not in text


def test_a_random_start_under_privacy_is_no_use_and_without_privacy_no_news() -> None:
    assert "random weights" in said(privacy="participant", start="random")
    assert "weights" not in said()
    assert "pretrained on synthetic people" in said(start="synthetic")
