"""Person by person: planted worst people are named, nobody is where nothing was planted."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk import standing
from transecg_core.risk.audit import audit
from transecg_core.risk.codes import person_codes
from transecg_core.risk.exposure import exposure, largest_chance
from transecg_core.risk.matching import Cosines
from transecg_core.risk.percentiles import among_controls
from transecg_core.risk.problems import ALL_SITES, Problem
from transecg_core.risk.protocols import judged_by
from transecg_core.risk.worst import tenth, worst_tenth

CERTAIN, TENTH = "share linked with certainty", "percentile among controls, worst tenth"


def problem(person_G, genuine, person, site_G=None) -> Problem:
    person_P, person_K = np.unique(person, return_inverse=True)
    rows, all_sites = np.arange(len(genuine)), np.full(len(genuine), ALL_SITES)
    site_G = np.zeros(len(person_G), dtype=np.int64) if site_G is None else site_G
    own = site_G[np.array(genuine)]
    return Problem(
        "pooled", "p", rows, np.array(genuine), all_sites, own, site_G, person_G, person_K, person_P
    )


def exposed(score_QG, genuine, person):
    asked = problem(np.arange(score_QG.shape[1]), genuine, person)
    return exposure(asked, score_QG, asked.person_K, len(asked.person_P))


def test_certainty_needs_every_query_first_and_above_everybody_elses_wrong_matches():
    score_QG = np.array(
        [
            [0.9, 0.1, 0.2, 0.0],  # person 0: first, twice, above all
            [0.8, 0.7, 0.0, 0.0],
            [0.0, 0.95, 0.1, 0.0],  # person 1: one of two queries is lost
            [0.3, 0.2, 0.1, 0.0],
            [0.0, 0.0, 0.6, 0.0],  # person 2: first, but person 0's query has a wrong match at .7
            [0.5, 0.0, 0.0, 0.5],  # person 3: a tie is no certainty
        ]
    )
    found = exposed(score_QG, [0, 0, 1, 1, 2, 3], [0, 0, 1, 1, 2, 3])
    assert found.certain_U.tolist() == [True, False, False, False]
    assert found.rank1_U.tolist() == [1.0, 0.5, 1.0, 0.5]
    assert found.rank_U.tolist() == [1.0, 1.5, 1.0, 1.5]
    assert found.margin_U == pytest.approx([(0.7 + 0.1) / 2, (0.85 - 0.1) / 2, 0.6, 0.0])


def test_a_persons_own_wrong_match_does_not_stand_against_them():
    """Person 0's worst impostor is the largest of all; without it they stand above everybody else's."""
    score_QG = np.array([[0.9, 0.85], [0.2, 0.88]])
    assert exposed(score_QG, [0, 1], [0, 1]).certain_U.tolist() == [True, True]
    score_QG = np.array([[0.9, 0.85], [0.2, 0.80]])
    assert exposed(score_QG, [0, 1], [0, 1]).certain_U.tolist() == [True, False]


def plainly(asked, score_QG):
    """Return expected rank, margin and rank-1 of each query from the whole matrix."""
    score_KG, rows = np.asarray(score_QG)[asked.query_K], np.arange(len(asked.genuine_K))
    own_K = score_KG[rows, asked.genuine_K]
    other_KG = np.where(asked.impostor_KG, score_KG, -np.inf)
    above_K = (other_KG > own_K[:, None] + 1e-9).sum(axis=1)
    tied_K = (np.abs(other_KG - own_K[:, None]) <= 1e-9).sum(axis=1)
    return 1 + above_K + tied_K / 2, own_K - other_KG.max(axis=1), (above_K == 0) / (1 + tied_K)


@pytest.mark.parametrize("pooled", [True, False])
def test_exposure_in_chunks_is_that_of_the_whole_matrix_and_never_holds_it(monkeypatch, pooled):
    rng, people = np.random.default_rng(0), 700
    site_G, person = np.arange(people) % 2, np.r_[np.arange(people - 5), np.arange(5)]  # five with two ids
    asked = problem(person, np.arange(people), person, site_G)
    if not pooled:
        asked = replace(asked, ranked_K=asked.verified_K)
    z_GD = rng.normal(size=(people, 6)).round(1)
    scores = Cosines(z_GD + rng.normal(size=z_GD.shape).round(1), z_GD)
    unit_K, units = np.arange(people), people
    rank, margin, first = plainly(asked, scores)
    monkeypatch.setattr(standing, "CHUNK", 2**13)
    monkeypatch.setattr(Cosines, "__array__", None)
    monkeypatch.setattr(Cosines, "__getitem__", None)
    exposure(asked, scores, unit_K, units)  # what is cached on first use is not the point
    tracemalloc.start()
    found = exposure(asked, scores, unit_K, units)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * people**2 * 8
    assert found.rank_U == pytest.approx(rank)
    assert found.margin_U == pytest.approx(margin)
    assert found.rank1_U == pytest.approx(first)


def hits_of(asked, tables):
    """Return how often blind scores link each person with certainty, and the stated chance."""
    found = [exposure(asked, table, asked.person_K, len(asked.person_P)) for table in tables]
    return np.mean([one.certain_U for one in found], axis=0), found[0].chance_U


def test_the_largest_chance_of_certainty_by_hand():
    assert largest_chance(1, 5) == pytest.approx(1 / 5)
    assert largest_chance(3, 3) == pytest.approx((1 / 3 + 1 / 6 + 1 / 6) / 3)
    assert largest_chance(2, 4) == pytest.approx((1 / 4 + 1 / 12) / 2)
    site_G = np.repeat([0, 1], [3, 4])
    own = np.arange(7)
    asked = problem(own, own, own, site_G)
    chance_U = exposure(asked, np.eye(7), own, 7).chance_U
    assert chance_U == pytest.approx(np.repeat([largest_chance(3, 3), largest_chance(4, 4)], [3, 4]))


@pytest.mark.parametrize(
    "blind", ["queries alike", "queries apart", "a device of high scores", "the worst table"]
)
def test_blind_scores_link_with_certainty_no_more_often_than_the_stated_chance(blind):
    rng, runs = np.random.default_rng(0), 1500
    people, queries = (
        (7, 1) if blind == "a device of high scores" else (3, 1) if blind == "the worst table" else (6, 2)
    )
    person = np.repeat(np.arange(people), queries)
    site_G = np.repeat([0, 1], [3, 4]) if people == 7 else None
    asked, tables = problem(np.arange(people), person, person, site_G), []
    for _ in range(runs):
        table = rng.normal(size=(people, people))
        if blind == "a device of high scores":
            table[:3, :3] += 50
        if blind == "the worst table":  # its largest scores are one of each row and column
            table[np.arange(people), rng.permutation(people)] += 50
        table = np.repeat(table, queries, axis=0)
        tables.append(rng.normal(size=table.shape) if blind == "queries apart" else table)
    hits_U, chance_U = hits_of(asked, tables)
    group = slice(0, 3) if people == 7 else slice(None)
    hits, chance = hits_U[group].mean(), chance_U[group].mean()
    # People of one table share its luck: the number certain has variance below people times its mean.
    error = 3 * np.sqrt(chance / runs)
    assert hits <= chance + error
    if blind == "the worst table":
        assert hits >= chance - error
    assert (hits > 0.5 * chance) == (blind != "queries apart")


def test_percentiles_leave_the_person_out_and_need_five_controls():
    score_T = np.array([9.0, 0.0, 1, 2, 3, 4, np.nan, 9.0])
    site_T = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    control_T = np.array([0, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
    found = among_controls(score_T, site_T, control_T)
    assert found[0] == 1.0
    assert np.isnan(found[1:]).all()  # four others, no score, no control at the site
    found = among_controls(np.append(score_T, 2.0), np.append(site_T, 0), np.append(control_T, True))
    assert found[1:6].tolist() == [0.0, 0.2, 0.5, 0.8, 1.0]


def test_the_worst_tenth_is_the_mean_of_the_largest_and_its_interval_holds_it():
    value_P = np.arange(25.0)
    assert tenth(value_P) == 23.0
    got = worst_tenth(value_P, 500, np.random.default_rng(0))
    assert got.ci95[0] < got.value == 23.0 <= got.ci95[1]


@pytest.mark.parametrize(
    ("people", "protocol"),
    [
        ({"other-session": 20, "other-record": 90}, "other-session"),
        ({"other-session": 19, "other-record": 90}, "other-record"),
        ({"other-session": 3, "later-in-record": 5}, "later-in-record"),
        ({"random-window": 50, "other-record": 4}, "other-record"),
        ({}, None),
    ],
)
def test_the_hardest_protocol_with_enough_people_stands_for_the_run(people, protocol):
    assert judged_by(people) == protocol


def pick(rows, name, metric):
    (row,) = [row for row in rows if (row.name, row.metric, row.site) == (name, metric, "pooled")]
    return row


@pytest.fixture(scope="module")
def clear(fakes):
    """Everybody stands out, and members carry a mark that the model reads."""
    context = fakes.build(fakes.recipe(sites=2, people=30, mark=True))
    return context, audit(context)


def test_planted_identity_and_marks_are_seen_person_by_person(clear):
    context, found = clear
    row = pick(found.rows, "worst people: identification", CERTAIN)
    assert (row.main, row.control, row.baseline) == (1.0, 1.0, 0.0)
    assert row.ci95[0] < 1.0
    assert "where scores know nobody, 0.001 at most" in row.notes  # 30 people of a site: 1 / (30 * 30)
    exposed = pick(found.rows, "worst people: shared-head-loss", TENTH)
    assert (exposed.main, exposed.ci95) == (1.0, None)  # every resample agrees: no certainty is claimed
    assert "no interval" in exposed.notes
    people = {(p.site, p.participant): p for p in found.people}
    assert len(people) == len(found.people) == 60
    for person in found.people:
        figures = person.figures
        assert person.protocol == "other-record"
        assert (figures["rank-1"], figures["expected rank"], figures["linked with certainty"]) == (1, 1, 1)
        assert figures["queries"] == 1
    marked = [p.figures["percentile, shared-head-loss"] for p in found.people if p.group == "member"]
    others = [p.figures["percentile, shared-head-loss"] for p in found.people if p.group == "control"]
    assert np.mean(marked) > 0.95
    assert np.mean(others) == pytest.approx(0.5, abs=1e-9)  # among themselves
    site = context.sites[0]
    groups = dict(zip(person_codes(site), site.member_P.tolist(), strict=True))
    assert all((p.group == "member") == groups[p.participant] for p in found.people if p.site == "s0")


def test_one_planted_person_is_the_worst_and_alone(fakes):
    """Everybody else is noise: one person is linked with certainty, and nobody is a group's doing."""
    context = fakes.build(fakes.recipe(sites=2, people=16, identity=0.0, noise=1.0))
    site = context.sites[0]
    x_NL = site.windows.x_NL.copy()
    x_NL[site.windows.participant_N == 5, :16] += 30 * np.eye(16, dtype=np.float32)[3]
    planted = replace(site, windows=replace(site.windows, x_NL=x_NL))
    found = audit(replace(context, sites=(planted, context.sites[1])))
    certain = [p for p in found.people if p.figures["linked with certainty"] == 1]
    assert [p.participant for p in certain] == [person_codes(planted)[5]]
    assert max(found.people, key=lambda p: p.figures["margin"]) == certain[0]


@pytest.mark.audit
def test_nothing_planted_names_nobody(fakes):
    certain, alarms, seen = 0, 0, 0
    for seed in range(6):
        context = fakes.build(fakes.recipe(sites=2, people=44, windows=3, identity=0.0, seed=seed))
        rows = audit(context).rows
        certain += pick(rows, "worst people: identification", CERTAIN).main * 44
        for row in (row for row in rows if row.metric == TENTH and row.main is not None):
            alarms, seen = alarms + (row.ci95[0] > max(row.baseline, row.control)), seen + 1
    assert seen >= 6
    assert certain <= 1
    assert alarms <= 1


def test_codes_are_salted_by_the_recordings_and_never_hold_an_id(clear):
    context, _ = clear
    site = context.sites[0]
    codes = person_codes(site)
    assert len(set(codes)) == 30
    assert all(len(code) == 8 and int(code, 16) >= 0 for code in codes)
    moved = replace(site, windows=replace(site.windows, r_sample_N=site.windows.r_sample_N + 1))
    assert not set(codes) & set(person_codes(moved))
    assert person_codes(replace(site, member_P=~site.member_P)) == codes


def by_sex(context, odd: str):
    sites = []
    for site in context.sites:
        records = [
            replace(info, sex="F" if int(info.participant[1:]) % 2 else odd) for info in site.windows.records
        ]
        sites.append(replace(site, windows=replace(site.windows, records=tuple(records))))
    return replace(context, sites=tuple(sites))


def test_groups_are_told_apart_with_their_people_counted(fakes):
    """Women are drowned in noise: the groups say so, for the signal and for the model."""
    context = by_sex(fakes.build(fakes.recipe(sites=2, people=26)), "M")
    sites = []
    for site in context.sites:
        x_NL = site.windows.x_NL.copy()
        lost_N = site.windows.participant_N % 2 == 1
        x_NL[lost_N] = np.random.default_rng(0).normal(size=(int(lost_N.sum()), x_NL.shape[1]))
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    found = audit(replace(context, sites=tuple(sites)))
    table = {(group.group, group.kind): group for group in found.groups}
    assert set(table) == {("F", "A"), ("F", "B"), ("M", "A"), ("M", "B")}
    for kind in "AB":
        assert table["M", kind].main == 1.0
        assert table["F", kind].main < 0.3
    assert table["M", "A"].n_participants == 26
    assert table["M", "B"].n_participants + table["M", "B"].n_controls == 26
    assert table["M", "B"].baseline == 1.0


def test_one_group_is_no_group_and_few_people_are_a_reason(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=16))
    assert audit(context).groups == ()  # everybody is a woman of forty with normal beats
    (site,) = context.sites
    records = tuple(
        replace(info, sex="M" if info.participant in ("p1", "p2") else "F") for info in site.windows.records
    )
    lone = replace(context, sites=(replace(site, windows=replace(site.windows, records=records)),))
    few = [group for group in audit(lone).groups if group.group == "M"]
    assert few
    for group in few:
        assert (group.main, group.ci95, group.baseline) == (None, None, None)
        assert group.notes == f"not measurable: {group.n_participants} people, needs 5"


@pytest.mark.parametrize("broken", ["nan", "strangers", "none"])
def test_what_cannot_be_measured_is_none_and_never_a_number(broken, fakes):
    recipe = fakes.recipe(sites=2, people=12, audit_split="none" if broken == "none" else "halves")
    context = fakes.build(recipe)
    if broken == "strangers":
        found = audit(replace(context, strangers=True))
        assert (found.people, found.groups) == ((), ())
        assert not [row for row in found.rows if row.name.startswith("worst people")]
        return
    if broken == "nan":
        context = replace(context, model=fakes.model(fakes.reader(broken=True)))
    found = audit(context)
    for person in found.people:
        assert person.figures["percentile, shared-head-loss"] is None
        assert (person.figures["rank-1"] is None) == (broken == "nan")
        assert person.figures["signal rank-1"] == 1.0
    worst = pick(found.rows, "worst people: shared-head-loss", TENTH)
    assert worst.main is None
    assert worst.notes.startswith("not measurable: ")
    assert (pick(found.rows, "worst people: identification", CERTAIN).main is None) == (broken == "nan")


def test_a_person_without_a_probe_is_listed_without_figures(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=8))
    (site,) = context.sites
    probe_N = site.split.probes["other-record"] & (site.windows.participant_N != 2)
    thinned = replace(site, split=replace(site.split, probes={"other-record": probe_N}))
    found = {p.participant: p for p in audit(replace(context, sites=(thinned,))).people}
    alone = found[person_codes(site)[2]]
    assert alone.protocol is None
    assert alone.figures.get("rank-1") is None
    assert len(found) == 8
