"""Comparisons: arms, refusals before anything runs, resuming, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simulations.campaign as campaign
from simulations.campaign import arms, compare, read_numbers
from transecg_core.errors import UserError

TINY = {
    "participants-per-site": "4", "num-server-rounds": "2", "local-steps": "2", "patch": "10", "profile": "quick",
    "batch-size": "8", "sites": "synth-a,synth-b",
}  # fmt: skip


def test_arms_hold_everything_equal_but_privacy() -> None:
    named = {arm.name: dict(arm.options) for arm in arms("participant", [1.0, 8.0], "sex,beat")}
    assert list(named) == ["best", "matched", "identity", "epsilon=1", "epsilon=8"]
    assert {options["tasks"] for name, options in named.items() if name != "identity"} == {"sex,beat"}
    assert named["matched"]["noise"] == "off"
    assert named["identity"]["tasks"] == "participant,sex,beat"
    assert named["epsilon=8"] == {"privacy": "participant", "target-epsilon": "8", "tasks": "sex,beat"}


@pytest.mark.parametrize("text", ["", "1,,2", "one", "1,1"])
def test_bad_lists_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--epsilons"):
        read_numbers(text, "epsilons", float)


@pytest.mark.parametrize(
    ("pairs", "epsilons", "unit", "words"),
    [
        ({"seed": "3"}, [8.0], "participant", "--seeds"),
        ({"tasks": "participant"}, [8.0], "participant", "identity"),
        ({}, [-1.0], "participant", "target-epsilon"),
        ({}, [8.0], "hospital", "privacy"),
        ({"lerning-rate": "1"}, [8.0], "participant", "learning-rate"),
    ],
)
def test_an_impossible_comparison_ends_before_any_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pairs: dict, epsilons: list[float], unit: str, words: str
) -> None:
    monkeypatch.setattr(campaign, "launch", lambda *a: pytest.fail("a run was started"))
    with pytest.raises(UserError, match=words):
        compare({**TINY, "output-dir": str(tmp_path), **pairs}, epsilons, [0], unit, "inline", 1, None)


def test_resuming_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(campaign, "launch", lambda *a: pytest.fail("a run was started"))
    with pytest.raises(UserError, match="no comparison was started there"):
        compare(
            {**TINY, "output-dir": str(tmp_path)}, [8.0], [0], "participant", "inline", 1, tmp_path / "nope"
        )


def test_a_comparison_is_written_and_resumed_without_repeating_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = {**TINY, "output-dir": str(tmp_path)}
    page = compare(pairs, [8.0], [0, 1], "participant", "inline", 1, None)
    assert page.is_file()
    document = json.loads(page.with_suffix(".json").read_text())
    assert [arm["name"] for arm in document["arms"]][:2] == ["best", "matched"]
    assert "run 8/8" in capsys.readouterr().out
    first = page.with_suffix(".json").read_bytes()
    page.unlink()
    monkeypatch.setattr(campaign, "launch", lambda *a: pytest.fail("a finished run was repeated"))
    again = compare(pairs, [8.0], [0, 1], "participant", "inline", 1, page.parent)
    assert again == page
    assert page.with_suffix(".json").read_bytes() == first
