"""Comparisons: arms, refusals before anything runs, resuming, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simulations.campaign as campaign
from simulations.campaign import Request, arms, read_numbers
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
    assert named["epsilon=8"] == {
        "privacy": "participant", "target-epsilon": "8", "tasks": "sex,beat", "start": "random",
    }  # fmt: skip
    assert {options["start"] for options in named.values()} == {"random"}


def test_all_arms_share_a_pretrained_start_and_one_shows_what_it_is_worth(tmp_path: Path) -> None:
    plan = Request({**TINY, "start": "synthetic"}, (1.0, 8.0), (0,), "participant").runs(tmp_path)
    named = {arm.name: options for arm, _, options in plan}
    assert list(named) == ["best", "matched", "identity", "epsilon=1", "epsilon=8", "scratch"]
    assert {options["start"] for name, options in named.items() if name != "scratch"} == {"synthetic"}
    assert (named["scratch"]["start"], named["scratch"]["target-epsilon"]) == ("random", "8")
    usual = Request({**TINY, "profile": "default"}, (8.0,), (0,), "window").runs(tmp_path)
    assert {options["start"] for arm, _, options in usual if arm.name != "scratch"} == {"synthetic"}


@pytest.mark.parametrize("text", ["", "1,,2", "one", "1,1"])
def test_bad_lists_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--epsilons"):
        read_numbers(text, "epsilons", float)


@pytest.mark.parametrize(
    ("pairs", "epsilons", "unit", "words"),
    [
        ({"seed": "3"}, (8.0,), "participant", "--seeds"),
        ({"tasks": "participant"}, (8.0,), "participant", "identity"),
        ({}, (-1.0,), "participant", "target-epsilon"),
        ({}, (float("nan"),), "participant", "target-epsilon"),
        ({}, (8.0,), "hospital", "--unit hospital"),
        ({"lerning-rate": "1"}, (8.0,), "participant", "learning-rate"),
    ],
)
def test_an_impossible_comparison_leaves_nothing_behind(
    tmp_path: Path, pairs: dict, epsilons: tuple[float, ...], unit: str, words: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=words):
        campaign.start(Request({**TINY, "output-dir": str(out), **pairs}, epsilons, (0,), unit), tmp_path)
    assert not out.exists()


def test_two_comparisons_in_one_second_get_two_folders(tmp_path: Path) -> None:
    request = Request({**TINY, "output-dir": str(tmp_path), "delta": "1e-6"}, (8.0,), (0,), "participant")
    first, second = campaign.start(request, tmp_path), campaign.start(request, tmp_path)
    assert first != second
    assert campaign.reopen(first) == campaign.reopen(second) == request


def test_a_comparison_keeps_its_sites_and_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "participants.csv").touch()
    request = Request({"cohort": "folder", "data-root": "data"}, (8.0,), (0,), "participant")
    folder = campaign.start(request, tmp_path)
    (tmp_path / "data" / "c").mkdir()
    (tmp_path / "data" / "c" / "participants.csv").touch()
    kept = campaign.reopen(folder).options
    assert kept == {"cohort": "folder", "data-root": str(tmp_path / "data"), "sites": "a,b"}
    plan = campaign.reopen(folder).runs(folder)
    assert {(options["sites"], options["data-root"]) for _, _, options in plan} == {
        ("a,b", str(tmp_path / "data"))
    }


def test_resuming_a_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no comparison was started there"):
        campaign.reopen(tmp_path / "nope")
    assert not (tmp_path / "nope").exists()


@pytest.mark.audit
def test_a_comparison_is_written_and_resumed_without_repeating_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request({**TINY, "output-dir": str(tmp_path)}, (8.0,), (0, 1), "participant")
    folder = campaign.start(request, tmp_path)
    page = campaign.carry_on(folder, "inline", 1)
    document = json.loads(page.with_suffix(".json").read_text())
    assert [arm["name"] for arm in document["arms"]][:2] == ["best", "matched"]
    assert "run 8/8" in capsys.readouterr().out
    first = page.with_suffix(".json").read_bytes()
    page.unlink()
    monkeypatch.setattr(campaign, "launch", lambda *a: pytest.fail("a finished run was repeated"))
    assert campaign.carry_on(folder, "inline", 1) == page
    assert page.with_suffix(".json").read_bytes() == first
