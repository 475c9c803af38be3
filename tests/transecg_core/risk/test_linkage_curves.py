"""Curves and rows that identification adds: rank, gallery size, precision, distance, sessions apart."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.audit import audit
from transecg_core.risk.linkage_curves import band, means
from transecg_core.risk.sessions import in_words

RANK, SIZE, GAP = "rank", "people in the gallery", "sessions between enrolment and probe"


def curve(findings, name, label):
    (one,) = [c for c in findings.curves if (c.name, c.x_label) == (name, label)]
    return one


def row(findings, name, metric):
    (one,) = [r for r in findings.rows if (r.name, r.metric, r.site) == (name, metric, "pooled")]
    return one


@pytest.fixture(scope="module")
def hard(fakes):
    """People who resemble each other: the encoder errs now and then."""
    return audit(fakes.build(fakes.recipe(sites=3, people=24, identity=0.3, noise=1.0, windows=4)))


def test_curves_agree_with_the_rows_and_with_chance(hard):
    rank, size = curve(hard, "identification", RANK), curve(hard, "identification", SIZE)
    assert rank.x == tuple(range(1, 21))
    assert size.x == (2.0, 5.0, 10.0, 20.0, 50.0, 72.0)
    for metric, at in (("rank-1", 0), ("rank-5", 4)):
        told = row(hard, "identification", metric)
        for part in ("main", "control", "baseline"):
            assert getattr(rank, part)[at] == pytest.approx(getattr(told, part))
    assert size.main[-1] == pytest.approx(rank.main[0])
    assert 0.05 < rank.main[0] < 0.95  # else there is nothing to be seen here
    assert list(rank.main) == sorted(rank.main)
    assert list(size.main) == sorted(size.main, reverse=True)
    # The blind encoder is at chance all along.
    assert np.allclose(rank.baseline, np.arange(1, 21) / 72, atol=0.1)
    assert np.allclose(size.baseline, 1 / np.array(size.x), atol=0.1)
    for one in hard.curves:
        json.dumps(one.as_dict(), allow_nan=False)
        assert len(one.x) == len(one.main) == len(one.low) == len(one.high)
        assert all(low <= main <= high for low, main, high in zip(one.low, one.main, one.high, strict=True))


def test_precision_and_distance_find_what_is_planted_and_stay_silent(hard, fakes):
    precision, distance = row(hard, "identification", "mAP"), row(hard, "identification", "d'")
    first = row(hard, "identification", "rank-1")
    assert first.main < precision.main < row(hard, "identification", "rank-5").main
    assert precision.ci95[0] < precision.main < precision.ci95[1]
    assert distance.main > 0.5
    assert distance.ci95[0] > 0
    assert abs(distance.baseline) < 0.5
    assert "guessing gives 0.00" in distance.notes
    silent = audit(fakes.build(fakes.recipe(sites=2, people=24, identity=0.0, windows=4)))
    nothing = row(silent, "identification", "d'")
    assert nothing.ci95[0] < 0.0 < nothing.ci95[1]
    chance = float(row(silent, "identification", "mAP").notes.split("chance ")[1][:5])
    assert chance == pytest.approx(np.mean(1 / np.arange(1, 25)), abs=0.001)
    one_point = audit(fakes.build(fakes.recipe(), model=fakes.model(fakes.reader(constant=True))))
    assert "all scores are equal" in row(one_point, "identification", "d'").notes
    assert row(one_point, "identification", "mAP").main == pytest.approx(np.mean(1 / np.arange(1, 49)))


def sessions_apart(context, far: int):
    """The last record of the first `far` people of each site is of a third session."""
    sites = []
    for site in context.sites:
        windows = site.windows
        session_N = windows.session_N.copy()
        session_N[(windows.record_N % 2 == 1) & (windows.participant_N < far)] = 3
        sites.append(replace(site, windows=replace(windows, session_N=session_N)))
    return replace(context, sites=tuple(sites))


def test_people_probed_in_another_session_stand_apart(fakes):
    """In the far session everybody's waveform is somebody else's: rank-1 falls there and nowhere else."""
    context = sessions_apart(fakes.build(fakes.recipe(sites=2, people=16)), far=6)
    moved = []
    for site in context.sites:
        x_NL, far_N = site.windows.x_NL.copy(), site.windows.session_N == 3
        x_NL[far_N] = np.roll(x_NL[far_N], 8, axis=0)
        moved.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    found = audit(replace(context, sites=tuple(moved)))
    gaps = curve(found, "raw-correlation", GAP)
    assert gaps.x == (0.0, 2.0)
    assert gaps.main == (1.0, 0.0)
    assert (
        "20 people in a session enrolled, 12 people 2 sessions apart"
        in row(found, "raw-correlation", "rank-1").notes
    )
    together = audit(fakes.build(fakes.recipe(sites=2, people=16)))
    assert not [c for c in together.curves if c.x_label == GAP]


def test_sessions_in_words():
    said = in_words(np.array([0, 1, 1, 3]), np.array([0, 0, 1, 2]))
    assert said == (
        "probed 1 person in a session enrolled, 2 people 1 session apart, 1 person 3 sessions apart (days not known)"
    )


def test_points_with_too_few_people_are_none_and_intervals_cover():
    value_XP = np.array([[1.0] * 4 + [np.nan] * 6, [1.0] * 10, [0.5, 1.0] * 5])
    assert means(value_XP) == (None, 1.0, 0.75)
    low, high = band(value_XP, 200, np.random.default_rng(0))
    assert (low[0], high[0]) == (None, None)
    assert 0.6 < low[1] < 0.8
    assert low[2] < 0.75 < high[2]
