"""Who is named when not everybody is enrolled: planted, blind, attributes, thresholds, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk import open_world as judged
from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.open_world import OPEN_WORLD
from transecg_core.risk.attacks.open_world_auxiliary import OPEN_WORLD_AUXILIARY, RULED_OUT
from transecg_core.risk.cases import build_case
from transecg_core.risk.evidence import gather
from transecg_core.risk.open_world import METRICS, open_world
from transecg_core.risk.worlds import deal, world

SEXES, AGES = ("F", "M"), (20.0, 45.0, 70.0)


def found(context, attack=OPEN_WORLD):
    findings = open_world(attack, gather(context, build_case(context), (attack,)))
    return {row.metric: row for row in findings.rows if row.site == "pooled"}, findings


def with_attributes(context, swap: int = 0):
    """Sexes and age bands by the number of the person; `swap` people's probes say the other sex."""
    sites = []
    for site in context.sites:
        last = {info.participant: r for r, info in enumerate(site.windows.records)}
        records = tuple(
            replace(info, sex=SEXES[(n + (n < swap and r == last[info.participant])) % 2], age=AGES[n % 3])
            for r, info in enumerate(site.windows.records)
            for n in [int(info.participant[1:])]
        )
        sites.append(replace(site, windows=replace(site.windows, records=records)))
    return replace(context, sites=tuple(sites))


def test_planted_people_are_named_and_the_unknown_are_not(fakes):
    rows, findings = found(fakes.build(fakes.recipe(sites=4, people=28)))
    named, lost, false = (rows[metric] for metric in METRICS)
    assert (named.main, named.control, named.baseline) == (1.0, 1.0, pytest.approx(0.0, abs=0.1))
    assert named.ci95[0] < 1.0
    assert lost.main == 0.0
    assert false.main < 0.2
    assert "Linkage Attacks paper" in named.notes
    assert "re-identified 1.000, known as unknown 0.000, unknown as known 0.000" in named.notes
    (curve,) = findings.curves
    assert curve.x == (0.05, 0.1, 0.2, 0.5)  # .01 needs a hundred people to be set on
    assert curve.main == (1.0, 1.0, 1.0, 1.0)


def test_whoever_sees_nobody_names_nobody_and_errs_as_often_as_allowed(fakes):
    """Over twenty federations: the threshold of other people gives what it promises on these."""
    false, named = [], []
    for seed in range(20):
        context = fakes.build(fakes.recipe(sites=2, people=32, windows=2, identity=0.0, seed=seed))
        rows, _ = found(context)
        false.append(rows["unknown-as-known"].main)
        named.append(rows["re-identified"].main)
        assert rows["known-as-unknown"].main > 0.7
    # Of 24 people one may lie above: between 1 and 2 of 25. Standard error about .01.
    assert np.mean(false) == pytest.approx(0.06, abs=0.03)
    assert np.mean(named) < 0.02


def test_sites_have_rows_of_their_own_where_enough_people_set_the_threshold(fakes):
    _, findings = found(fakes.build(fakes.recipe(sites=2, people=80, windows=2)))
    at = {(row.site, row.metric): row for row in findings.rows if row.protocol == findings.rows[0].protocol}
    assert {site for site, _ in at} == {"s0", "s1", "pooled"}
    for site in ("s0", "s1"):
        row = at[site, "re-identified"]
        assert row.main > 0.9
        assert row.n_participants < 80
        assert "half of 80 enrolled" in row.notes
        assert at[site, "unknown-as-known"].main < 0.3
    assert {curve.site for curve in findings.curves} == {"pooled"}
    _, few = found(fakes.build(fakes.recipe(sites=4, people=28, windows=2)))
    own = [row for row in few.rows if row.site == "s0"]
    assert all(row.metric == "re-identified" and row.main is None for row in own)
    assert all("a threshold needs 20 other people who are not enrolled, found" in row.notes for row in own)


def test_the_deal_is_fair_per_site_and_knows_nothing_of_training(fakes):
    context = fakes.build(fakes.recipe(sites=3, people=16, twins=4))
    case = build_case(context)
    half_C = deal(case)
    assert abs(int(half_C.sum()) * 2 - len(half_C)) <= 1
    for site in range(3):
        own = half_C[case.person_G[case.gallery.site_G == site]]
        assert 4 <= own.sum() <= 12
    flipped = tuple(replace(site, member_P=~site.member_P) for site in context.sites)
    assert np.array_equal(deal(build_case(replace(context, sites=flipped))), half_C)


def test_an_attacker_holds_nothing_of_whoever_is_not_enrolled(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=10))
    case = build_case(context)
    held = gather(context, case, (OPEN_WORLD_AUXILIARY,)).held
    keep_G = deal(case)[case.person_G] == 1
    less = world(held, keep_G)
    gallery = less["gallery"]
    names = {np.ascontiguousarray(x_L).tobytes() for x_L in gallery.x_NL}
    out = case.gallery.x_NL[~keep_G[case.gallery.entry_N]]
    assert names.isdisjoint(np.ascontiguousarray(x_L).tobytes() for x_L in out)
    assert np.array_equal(np.unique(gallery.entry_N), np.arange(keep_G.sum()))
    assert len(less["recordings"].rr_R) == gallery.record_N.max() + 1
    assert len(less["attributes"].sex_G) == keep_G.sum()
    scores = OPEN_WORLD_AUXILIARY.run(Given(OPEN_WORLD_AUXILIARY.artefacts, less))
    assert scores.shape == (len(case.probes.site_Q), keep_G.sum())


def test_thresholds_come_from_people_of_other_folds(fakes, monkeypatch):
    context = fakes.build(fakes.recipe(sites=4, people=28))
    case = build_case(context)
    sizes = []

    def spy(score_K, weight_K, tried_T):
        sizes.append(len(score_K))
        return above(score_K, weight_K, tried_T)

    above = judged._above
    monkeypatch.setattr(judged, "_above", spy)
    found(context)
    assert max(sizes) <= int(np.ceil(112 / 2 * 3 / 4)) + 8
    # A score that only one fold's people reach moves no threshold of that fold.
    subject = judged._Judged(
        OPEN_WORLD, gather(context, case, (OPEN_WORLD,)), "other-record", "pooled", None, None
    )
    fold_K = case.folds.fold_Q[subject.asked_Q]
    rng = np.random.default_rng(0)
    score_K, known_K, person_K = (
        rng.normal(size=len(fold_K)),
        rng.random(len(fold_K)) < 0.5,
        np.arange(len(fold_K)),
    )
    plain = subject._thresholds(score_K, known_K, person_K, 0.05)
    moved = subject._thresholds(score_K + 100 * (fold_K == 0), known_K, person_K, 0.05)
    assert np.array_equal(plain[fold_K == 0], moved[fold_K == 0])
    assert (moved[fold_K != 0] > plain[fold_K != 0]).all()


def test_attributes_help_a_weak_attacker_and_a_wrong_one_costs(fakes):
    weak = fakes.recipe(sites=4, people=28, identity=0.3, noise=1.0, windows=4)
    context = with_attributes(fakes.build(weak))
    blind, _ = found(context)
    knowing, _ = found(context, OPEN_WORLD_AUXILIARY)
    assert knowing["re-identified"].main > blind["re-identified"].main + 0.05
    easy = fakes.recipe(sites=4, people=28)
    rows, _ = found(with_attributes(fakes.build(easy), swap=28), OPEN_WORLD_AUXILIARY)
    assert (
        rows["re-identified"].main == 0.0
    )  # everybody's probe says the other sex: all right people are ruled out
    assert rows["re-identified"].control == 0.0


def test_a_heart_beating_out_of_its_range_is_ruled_out_and_an_unknown_one_is_not(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=8))
    case = build_case(context)
    held = gather(context, case, (OPEN_WORLD_AUXILIARY,)).held
    told = held["recordings"]
    changed = replace(told, rr_Q=(told.rr_Q[0] / 2, told.rr_Q[1][:0], *told.rr_Q[2:]))
    given = Given(
        OPEN_WORLD_AUXILIARY.artefacts,
        {**{name: held[name] for name in OPEN_WORLD_AUXILIARY.artefacts}, "recordings": changed},
    )
    scores = OPEN_WORLD_AUXILIARY.run(given)
    assert (scores[0] == RULED_OUT).all()
    assert (scores[1:] > RULED_OUT).all()


@pytest.mark.parametrize("attack", [OPEN_WORLD, OPEN_WORLD_AUXILIARY], ids=lambda attack: attack.name)
@pytest.mark.parametrize(
    ("recipe", "changes", "reason"),
    [
        ({"sites": 1, "people": 1}, {}, ""),
        ({"sites": 1, "people": 6, "records": 1, "windows": 2}, {}, "no site has probes"),
        ({"sites": 1, "people": 12}, {}, ""),
        ({"sites": 2, "people": 12}, {}, "needs 20 other people"),
    ],
    ids=["one person", "no probes", "twelve people", "twenty-four people"],
)
def test_too_few_people_are_a_reason(fakes, attack, recipe, changes, reason):
    rows, _ = found(fakes.build(fakes.recipe(**recipe), **changes), attack)
    assert rows
    assert all(row.main is None and reason in row.notes for row in rows.values())


def test_broken_collapsed_and_uncontrolled_audits(fakes):
    recipe = fakes.recipe(sites=4, people=28)
    rows, _ = found(fakes.build(recipe, model=fakes.model(fakes.reader(broken=True))))
    assert all("not finite" in row.notes for row in rows.values())
    rows, _ = found(fakes.build(recipe, model=fakes.model(fakes.reader(constant=True))))
    assert rows["re-identified"].main == 0.0
    assert rows["known-as-unknown"].main == 1.0
    assert rows["unknown-as-known"].main == 0.0
    rows, _ = found(fakes.build(replace(recipe, audit_split="none")))
    assert rows["re-identified"].control is None
    assert rows["re-identified"].n_participants == 112
    rows, _ = found(fakes.build(replace(recipe, audit_split="none"), strangers=True))
    assert "never trained on" in rows["re-identified"].notes
