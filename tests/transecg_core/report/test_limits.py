"""What a report says it can't say about where training started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from transecg_core.config import parse
from transecg_core.report.limits import LimitFacts, limits

FACTS = LimitFacts(
    controls=14, at_two_sites=0, epsilon_at_two_sites=None, people=28, second_day=10, splits=()
)


def said(rounds: Sequence[dict[str, Any]] = (), falling: bool | None = None, **options: object) -> str:
    cfg = parse({key.replace("_", "-"): v for key, v in options.items()})
    return " ".join(limits(cfg, FACTS, list(rounds), falling))


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
def test_elsewhere_the_start_is_told_without_the_mark(cohort: dict[str, Any]) -> None:
    text = said(privacy="participant", **cohort)
    assert "ECG-ID and mitdb informed" in text
    assert "In-distribution" not in text


def test_a_random_start_under_privacy_is_no_use_and_without_privacy_no_news() -> None:
    assert "random weights" in said(privacy="participant", start="random")
    assert "weights" not in said()
    assert "pretrained on synthetic people" in said(start="synthetic")


def test_under_privacy_a_site_that_missed_rounds_is_said_to_pay_for_what_was_planned() -> None:
    rounds: list[dict[str, Any]] = [{"absent": {"synth-c": "no answer"}}, {"absent": {}}, {"absent": {}}]
    words = "Its privacy row is planned; took part in 2 of 3 rounds"
    assert words in said(rounds, privacy="participant")
    arms: list[dict[str, object]] = [{}, {"privacy": "participant", "noise": "off"}]
    for options in arms:  # nothing is charged there
        text = said(rounds, None, **options)
        assert "Site synth-c missed 1 of 3 rounds (no answer)." in text
        assert words not in text
