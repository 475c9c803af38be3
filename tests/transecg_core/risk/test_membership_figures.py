"""Thresholds from untested controls, and ceilings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.privacy.ceilings import CeilingCurve
from transecg_core.risk.audit import audit
from transecg_core.risk.ceilings import combined_ceiling
from transecg_core.risk.estimate import auc
from transecg_core.risk.membership import TPR_METRIC, Scores, ceiling_for, larger_share, pair_share, wins_of
from transecg_core.risk.thresholds import half_threshold_hits


def scores(members: int, controls: int, sites: int, effect: float, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    member = np.tile(np.arange(members + controls) < members, sites)
    site = np.repeat(np.arange(sites), members + controls)
    value = rng.normal(size=len(member)) + effect * member + 10.0 * site
    return Scores(value, value, site, member, np.zeros(len(member), dtype=bool))


def test_realised_fpr_is_at_most_five_percent_on_average():
    rates, power = [], []
    for seed in range(30):
        people = scores(10, 11, 4, 0.0, seed)
        hits = half_threshold_hits(people.trained_T, people, np.random.default_rng(seed))
        rates.append(np.nanmean(hits[:, ~people.member_T]))
        strong = scores(10, 11, 4, 8.0, seed)
        hits = half_threshold_hits(strong.trained_T, strong, np.random.default_rng(seed))
        power.append(hits[:, strong.member_T].mean())
    assert 0.02 < np.mean(rates) < 0.05
    assert np.mean(power) > 0.95


@pytest.mark.parametrize(("controls", "sites"), [(4, 10), (5, 8), (12, 4)])
def test_small_sites_raise_no_false_alarms(controls, sites):
    """A control held against a median that holds it too set thresholds too low: .16 of 10 x 4 exceeded them."""
    rates = []
    for seed in range(30):
        silent = scores(controls, controls, sites, 0.0, seed)
        hits = half_threshold_hits(silent.trained_T, silent, np.random.default_rng(seed))
        rates.append([hits[:, silent.member_T].mean(), np.nanmean(hits[:, ~silent.member_T])])
    assert (np.mean(rates, axis=0) < 0.05).all()
    assert (np.mean(rates, axis=0) > 0.01).all()


@pytest.mark.parametrize("pretrained", [True, False])
def test_the_start_is_the_control_where_there_is_one(fakes, pretrained):
    """A start that tells members as well as the released model: training gave nothing away."""
    context = fakes.build(fakes.recipe(people=16, sites=2, mark=True))
    if pretrained:
        context = replace(context, start_model=context.model)
    rows = audit(context).rows
    pooled = next(r for r in rows if (r.name, r.site, r.metric) == ("shared-head-loss", "pooled", "AUC"))
    assert pooled.main == 1.0
    assert (pooled.control == 1.0) == pretrained
    gaps = [r for r in rows if r.name == "linkage-gap" and r.main is not None]
    assert gaps
    assert all(("pretrained start" in gap.notes) == pretrained for gap in gaps)


def test_the_ceiling_is_read_at_the_rate_that_was_realised(fakes):
    context = fakes.build(fakes.recipe(), ceilings={"s0": curve(0.5)})
    at = [ceiling_for(context, ("s0",), 0.0, TPR_METRIC, fpr)[0] for fpr in (0.01, 0.05, 0.14)]
    assert at == pytest.approx([0.05 * np.exp(0.5), 0.05 * np.exp(0.5), 0.14 * np.exp(0.5)], abs=2e-3)


def test_a_control_never_sets_the_threshold_it_is_tested_against():
    people = scores(5, 12, 4, 0.0, 0)
    target = int(np.flatnonzero(~people.member_T)[0])
    base = half_threshold_hits(people.trained_T, people, np.random.default_rng(1))
    moved = people.trained_T.copy()
    moved[target] = 1e6
    hits = half_threshold_hits(moved, people, np.random.default_rng(1))
    tested = ~np.isnan(base[:, target])
    assert tested.sum() == len(base) // 2
    assert (hits[tested, target] == 1).all()
    others = np.arange(len(moved)) != target
    assert np.array_equal(hits[tested][:, others], base[tested][:, others], equal_nan=True)
    assert not np.array_equal(hits[~tested][:, others], base[~tested][:, others], equal_nan=True)


def curve(epsilon: float) -> CeilingCurve:
    fpr = np.linspace(0, 1, 2001)
    return CeilingCurve(fpr, np.minimum(np.exp(epsilon) * fpr, 1 - np.exp(-epsilon) * (1 - fpr)))


def test_combined_ceiling_laws():
    weak, strong = curve(0.1), curve(2.0)
    alone = combined_ceiling([weak], 0.0)
    assert alone.tpr_at(0.05) == pytest.approx(weak.tpr_at(0.05))
    assert alone.auc() == pytest.approx(weak.auc())
    both = combined_ceiling([weak, strong], 0.0)
    assert both.auc() == pytest.approx(strong.auc(), abs=2e-3)
    assert np.all(np.diff(both.tpr_max, 2) <= 1e-9)  # concave
    mixed = combined_ceiling([weak], 0.25)
    # (1 - u) g(x / (1 - u)) + u
    assert mixed.tpr_at(0.3) == pytest.approx(0.75 * weak.tpr_at(0.4) + 0.25, abs=1e-3)
    assert combined_ceiling([weak], 1.0) is None
    assert combined_ceiling([], 0.0) is None


def test_crossing_curves_get_their_hull():
    fpr = np.linspace(0, 1, 101)
    low, high = CeilingCurve(fpr, np.minimum(1, 0.3 + fpr)), CeilingCurve(fpr, np.minimum(1, 3 * fpr))
    both = combined_ceiling([low, high], 0.0)
    assert np.all(both.tpr_max >= np.maximum(low.tpr_max, high.tpr_max) - 1e-12)
    # Half the people at FPR 0 of the first, half at 1/3 of the second: average FPR 1/6, TPR .65.
    assert both.tpr_at(1 / 6) >= 0.65


def test_leakage_rows_carry_the_ceiling_and_nothing_else_does(fakes):
    context = fakes.build(fakes.recipe(sites=3, people=30, twins=3))
    context = replace(context, ceilings={site.name: curve(0.5) for site in context.sites})
    rows = audit(context).rows
    assert all(row.ceiling is None for row in rows if row.kind in "AB" or row.main is None)
    leakage = [
        row for row in rows if row.kind == "C" and row.main is not None and row.protocol != "cross-site"
    ]
    worst = [row for row in leakage if row.name.startswith("worst people: ")]
    assert all(row.ceiling is None and "no ceiling is derived" in row.notes for row in worst)
    leakage = [row for row in leakage if row not in worst]
    assert leakage
    for row in leakage:
        assert row.ceiling is not None
        assert "two sites" in row.notes
    pooled = next(row for row in leakage if row.metric == "AUC" and row.site == "pooled")
    share = 3 / (3 + 27 * 3)
    # The larger of the members' and the controls' share counts, so never less than everybody's.
    assert combined_ceiling([curve(0.5)], share).auc() <= pooled.ceiling < 1
    partly = audit(replace(context, ceilings={"s0": curve(0.5)})).rows
    by_site = {row.site: row for row in partly if row.name == "shared-head-loss" and row.metric == "AUC"}
    assert by_site["s0"].ceiling is not None
    assert by_site["s1"].ceiling is None
    assert "s1, s2 trained without a guarantee" in by_site["pooled"].notes


def test_the_ceiling_uses_the_group_with_more_people_at_two_sites():
    several, member = np.array([1, 0, 0, 0, 1, 1], dtype=bool), np.array([1, 1, 1, 1, 0, 0], dtype=bool)
    assert larger_share(several, member) == 1.0
    assert larger_share(several, ~member) == 1.0
    assert larger_share(several[:4], member[:4]) == 0.25
    assert larger_share(several[:0], member[:0]) == 0.0


def test_a_pooled_auc_s_ceiling_weighs_sites_by_their_pairs():
    """20 people at two sites hold 100 of 116 pairs, and no more than 20 of 36 people."""
    site = np.repeat(np.arange(5), [20, 4, 4, 4, 4])
    member = np.arange(36) % 2 == 0
    people = Scores(np.where(member & (site == 0), 1.0, 0.0), np.zeros(36), site, member, site == 0)
    assert larger_share(people.several_T, people.member_T) == pytest.approx(20 / 36)
    assert pair_share(people) == pytest.approx(100 / 116)
    found = auc(wins_of(people.trained_T, people))  # told for certain at the first site, chance elsewhere
    by_people, by_pairs = (combined_ceiling([curve(0.01)], share).auc() for share in (20 / 36, 100 / 116))
    assert by_people < found < by_pairs
    assert pair_share(people.of(site == 0)) == 1.0
    assert pair_share(people.of(member)) == 0.0
