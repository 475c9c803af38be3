from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.attribution.cohort import (
    DONORS,
    donors,
    draw_cohort,
    labelled_controls,
    mean_training_beat,
)
from transecg_core.attribution.similarity import _above_impostors, identify
from transecg_core.cohorts.schema import BEATS


def _with_beats(ctx):
    """Everybody's beats are labelled; every fourth is a V, every tenth an S."""

    def label(site):
        number = np.arange(len(site.windows))
        beat_N = np.where(number % 10 == 9, BEATS.index("S"), np.where(number % 4 == 1, BEATS.index("V"), 0))
        return replace(site, windows=replace(site.windows, beat_N=beat_N.astype(np.uint8)))

    return replace(ctx, sites=tuple(label(site) for site in ctx.sites))


def _rows(ctx, cohort):
    """Return which (site, window) each cohort row is."""
    found = []
    for x, site in zip(cohort.x_BL, cohort.site_B, strict=True):
        found.append((int(site), int(np.flatnonzero((ctx.sites[site].windows.x_NL == x).all(axis=1))[0])))
    return found


def test_cohort_is_held_out_even_over_people_and_within_budget(toy):
    for budget in (10, 56, 84):
        cohort = draw_cohort(replace(toy, attribution_windows=budget), "sex")
        assert len(cohort) == budget
        counts = np.bincount(cohort.person_B, minlength=28)
        assert counts.max() - counts.min() <= 1
        assert abs((cohort.site_B == 0).sum() - (cohort.site_B == 1).sum()) <= 1
        assert not any(toy.sites[s].split.gallery_N[n] for s, n in _rows(toy, cohort))


def test_cohort_is_repeatable_and_moves_with_the_seed(toy):
    small = replace(toy, attribution_windows=15)
    assert np.array_equal(draw_cohort(small, "sex").x_BL, draw_cohort(small, "sex").x_BL)
    other = draw_cohort(replace(small, seed=6), "sex")
    assert not np.array_equal(draw_cohort(small, "sex").x_BL, other.x_BL)


def test_every_window_is_used_once_when_the_budget_allows_all(toy):
    cohort = draw_cohort(replace(toy, attribution_windows=10_000), "sex")
    rows = _rows(toy, cohort)
    assert (
        len(set(rows)) == len(rows) == sum(int(p.sum()) for s in toy.sites for p in s.split.probes.values())
    )


def test_ectopic_beats_are_left_out_except_for_the_beat_task(toy):
    ctx = _with_beats(toy)
    ordinary = draw_cohort(ctx, "sex")
    assert {int(ctx.sites[s].windows.beat_N[n]) for s, n in _rows(ctx, ordinary)} == {0}
    ctx = replace(ctx, tasks=("beat",))
    cohort = draw_cohort(ctx, "beat")
    assert len(cohort) == toy.attribution_windows // 2
    counts = np.bincount(cohort.label_B["beat"], minlength=3)
    assert counts.min() >= 8  # 10 % of all beats are S, and yet


def test_labels_are_masked_where_unknown(toy):
    site = toy.sites[0]
    blank = tuple(replace(r, sex=None) for r in site.windows.records)
    ctx = replace(toy, sites=(replace(site, windows=replace(site.windows, records=blank)), toy.sites[1]))
    cohort = draw_cohort(ctx, "sex")
    assert ((cohort.label_B["sex"] < 0) == (cohort.site_B == 0)).all()


def test_mean_training_beat_is_of_members_only(toy):
    site = toy.sites[0]
    member = np.zeros(14, dtype=bool)
    member[3] = True
    rows = site.split.gallery_N & (site.windows.participant_N == 3)
    got = mean_training_beat(replace(site, member_P=member))
    np.testing.assert_allclose(got, site.windows.x_NL[rows].mean(axis=0), atol=1e-5)
    assert not mean_training_beat(replace(site, member_P=np.zeros(14, dtype=bool))).any()


def test_strangers_are_filled_with_the_mean_beat_of_the_gallery(toy):
    """Nobody there trained, but all are in the main group; zeros would be a beat that no heart makes."""
    cohort = draw_cohort(replace(toy, strangers=True), "sex")
    for number, site in enumerate(toy.sites):
        mean_L = site.windows.x_NL[site.split.gallery_N].mean(axis=0)
        np.testing.assert_allclose(
            cohort.fill_BL[cohort.site_B == number], np.tile(mean_L, (42, 1)), atol=1e-5
        )


def test_controls_are_counted_once_and_with_a_label(toy):
    member_P = np.arange(14) >= 6
    first, second = (replace(site, member_P=member_P) for site in toy.sites)
    ctx = replace(toy, sites=(first, second), membership=True)
    assert labelled_controls(ctx, "sex") == 12
    twins = replace(second, person_P=(*first.person_P[:2], *second.person_P[2:]))
    assert labelled_controls(replace(ctx, sites=(first, twins)), "sex") == 10
    unknown = tuple(replace(r, sex=None) for r in second.windows.records)
    blank = replace(second, windows=replace(second.windows, records=unknown))
    assert labelled_controls(replace(ctx, sites=(first, blank)), "sex") == 6


def test_donors_are_other_people_of_the_same_site_or_the_mean_beat(toy):
    cohort = draw_cohort(toy, "sex")
    fill_KBL = donors(cohort, 3)
    assert fill_KBL.shape == (DONORS, *cohort.x_BL.shape)
    for fill_BL in fill_KBL:
        row_B = [int(np.flatnonzero((cohort.x_BL == fill_L).all(axis=1))[0]) for fill_L in fill_BL]
        assert (cohort.site_B[row_B] == cohort.site_B).all()
        assert (cohort.person_B[row_B] != cohort.person_B).all()
    alone = donors(replace(cohort, person_B=np.zeros_like(cohort.person_B)), 3)
    np.testing.assert_array_equal(alone, np.repeat(cohort.fill_BL[None], DONORS, axis=0))


def test_above_impostors_known_answers():
    cosine = np.array([[0.9, 0.1, 0.5], [0.9, 0.1, 0.5], [0.5, 0.1, 0.5]])
    assert _above_impostors(cosine, np.array([0, 1, 2])) == pytest.approx([1.0, 0.0, 0.75])


def test_one_person_under_two_ids_is_never_their_own_impostor(toy):
    person_P = list(toy.sites[0].person_P)
    person_P[1:] = [person_P[0]] * 13
    alone = replace(toy, sites=(replace(toy.sites[0], person_P=tuple(person_P)), toy.sites[1]))
    cohort = draw_cohort(alone, "sex")
    found = identify(alone, cohort, toy.model.encoder)
    assert (found.usable_B == (cohort.site_B == 1)).all()
    assert np.isnan(found.above_B[cohort.site_B == 0]).all()
