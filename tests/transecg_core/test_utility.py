"""Utility on constructed people: who is scored, who counts once, and what is not measurable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.cohorts.schema import BEATS, UNKNOWN
from transecg_core.model.heads import CLASSES
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.schema import WINDOW, RecordInfo, Windows
from transecg_core.splits.protocols import split
from transecg_core.utility import utility

PEOPLE, WINDOWS = 20, 6


class Reader(nn.Module):
    """Reads sex and beat off the first samples; the prediction is as right as the windows are."""

    def forward(self, x_BL: Tensor) -> dict[str, Tensor]:
        sex_B, beat_B = (x_BL[:, 0] > 0).long(), x_BL[:, 1].long()
        score = {"sex": sex_B, "beat": beat_B}
        return {task: 9.0 * torch.nn.functional.one_hot(v, len(CLASSES[task])) for task, v in score.items()}


def build_site(name: str, right_P: np.ndarray, member_P: np.ndarray, beats: bool = True) -> AuditSite:
    """Return a site of people with alternating sex; the model is right about those of `right_P`."""
    count = PEOPLE * 2 * WINDOWS
    person_N = np.repeat(np.arange(PEOPLE), 2 * WINDOWS).astype(np.int32)
    record_N = np.repeat(np.arange(2 * PEOPLE), WINDOWS).astype(np.int32)
    beat_N = np.where(np.arange(count) % 3 == 0, BEATS.index("V"), BEATS.index("N")).astype(np.uint8)
    x_NL = np.random.default_rng(0).normal(size=(count, WINDOW)).astype(np.float32)  # no two windows alike
    x_NL[:, 0] = np.where((person_N % 2 == 1) == right_P[person_N], 1.0, -1.0)
    x_NL[:, 1] = beat_N
    names = tuple(f"p{p}" for p in range(PEOPLE))
    records = tuple(
        RecordInfo(names[r // 2], 1, f"r{r}", "I", 9.0, None, "FM"[r // 2 % 2], None)
        for r in range(2 * PEOPLE)
    )
    r_N = np.tile(np.arange(WINDOWS) * 250 + 75, 2 * PEOPLE)
    windows = Windows(
        x_NL, person_N, np.ones(count, np.int16), record_N,
        beat_N if beats else np.full(count, UNKNOWN, np.uint8), np.zeros((count, WINDOW), np.uint8),
        r_N, np.ones(count, np.float32), r_N, record_N, names, records, (),
    )  # fmt: skip
    return AuditSite(name, windows, split(windows, "auto", 0), tuple(f"{name}/{n}" for n in names), member_P)


def build(*sites: AuditSite, membership: bool = True, strangers: bool = False) -> AuditContext:
    return AuditContext(sites, Reader(), Reader(), ("sex", "beat"), membership, 300, 1, 0, None, strangers)  # type: ignore[arg-type]


EVERYBODY = np.ones(PEOPLE, dtype=bool)
FIRST = np.arange(PEOPLE) < 10


def test_only_people_never_trained_on_are_scored_where_there_are_some():
    rows = utility(build(build_site("a", FIRST, FIRST)))["sex"]  # right about its members alone
    assert (rows["a"]["value"], rows["a"]["n_participants"]) == (0.0, 10)
    assert rows["a"]["notes"] == "people never trained on"
    assert rows["a"]["majority"] == 0.5
    everybody = utility(build(build_site("a", FIRST, EVERYBODY), membership=False))["sex"]["a"]
    assert (everybody["value"], everybody["n_participants"]) == (0.5, 20)
    assert everybody["notes"] == "held-out windows of people who trained"
    assert 0.2 < everybody["ci95"][0] < 0.5 < everybody["ci95"][1] < 0.8


def test_strangers_are_scored_on_all_they_have():
    site = build_site("a", EVERYBODY, EVERYBODY)
    bare = replace(site, split=replace(site.split, probes={}))
    assert utility(build(bare, membership=False)) == {}
    row = utility(build(bare, membership=False, strangers=True))["sex"]["a"]
    assert (row["value"], row["n_participants"]) == (1.0, 20)
    assert row["notes"] == "synthetic people, never trained on"
    assert 0.8 < row["ci95"][0] < 1.0  # twenty people who agree are no certainty


def test_a_person_at_two_sites_counts_once():
    right = np.arange(PEOPLE) % 4 < 2
    one, two = (build_site(name, right, ~EVERYBODY) for name in "ab")
    apart = utility(build(one, two))["sex"]
    same = utility(build(one, replace(two, person_P=one.person_P)))["sex"]
    assert apart["pooled"]["n_participants"] == 40
    assert same["pooled"]["n_participants"] == 20
    assert same["pooled"]["value"] == apart["pooled"]["value"] == same["a"]["value"]

    def width(row):
        return row["ci95"][1] - row["ci95"][0]

    assert width(same["pooled"]) == pytest.approx(width(same["a"]), rel=0.15)
    assert width(apart["pooled"]) < 0.85 * width(same["pooled"])


def test_a_control_who_trained_at_another_site_is_not_scored():
    one = build_site("a", EVERYBODY, EVERYBODY)
    two = replace(build_site("b", EVERYBODY, ~EVERYBODY), person_P=one.person_P)
    assert utility(build(one, two)) == {}


def test_five_people_in_every_class_or_a_reason():
    site = build_site("a", EVERYBODY, ~EVERYBODY, beats=False)
    few = tuple(replace(r, sex="M" if i // 2 < 4 else "F") for i, r in enumerate(site.windows.records))
    row = utility(build(replace(site, windows=replace(site.windows, records=few))))["sex"]["a"]
    assert (row["value"], row["ci95"], row["majority"]) == (None, None, None)
    assert row["notes"] == "not measurable: 4 people in the smallest class, and 5 are needed"
    assert "beat" not in utility(build(site))


def test_beats_are_scored_by_window_and_need_people_too():
    site = build_site("a", EVERYBODY, ~EVERYBODY)
    row = utility(build(site))["beat"]["a"]
    assert (row["value"], row["majority"], row["n_participants"]) == (1.0, 0.5, 20)
    beat_N = np.where(site.windows.participant_N < 4, site.windows.beat_N, BEATS.index("N"))
    lonely = replace(site, windows=replace(site.windows, beat_N=beat_N.astype(np.uint8)))
    assert "4 people in the smallest class" in utility(build(lonely))["beat"]["a"]["notes"]


def test_a_pretrained_start_is_scored_on_the_same_people():
    site = build_site("a", FIRST, ~EVERYBODY)
    ctx = build(site)
    assert utility(ctx)["sex"]["a"]["start"] is None

    class Contrary(Reader):
        def forward(self, x_BL: Tensor) -> dict[str, Tensor]:
            return super().forward(x_BL * torch.tensor([-1.0] + [1.0] * (WINDOW - 1)))

    rows = utility(replace(ctx, start_model=Contrary()))["sex"]  # type: ignore[arg-type]
    assert rows["a"]["value"] == rows["a"]["start"]["value"] == 0.5  # contrary on other people
    skewed = build_site("a", np.arange(PEOPLE) < 14, ~EVERYBODY)
    rows = utility(replace(build(skewed), start_model=Contrary()))["sex"]  # type: ignore[arg-type]
    assert (rows["a"]["value"], rows["a"]["start"]["value"]) == pytest.approx((0.7, 0.3))
    assert rows["pooled"]["start"] == {key: rows["pooled"]["start"][key] for key in ("value", "ci95")}
