"""Shortcut tests and the adaptive attacker: known answers, planted shortcuts, silence without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from transecg_core.cohorts.synthetic import Plant, open_site
from transecg_core.risk.artefacts import Public
from transecg_core.risk.attacks.adaptive import ADAPTIVE, head
from transecg_core.risk.attacks.shortcut_amplitude import AMPLITUDE
from transecg_core.risk.attacks.shortcut_harmonised import HARMONISED
from transecg_core.risk.attacks.shortcut_heart_rate import HEART_RATE, rhythm
from transecg_core.risk.attacks.shortcut_mains import MAINS
from transecg_core.risk.attacks.shortcut_noise_spectrum import NOISE_SPECTRUM
from transecg_core.risk.attacks.shortcut_noise_windows import NOISE_WINDOWS
from transecg_core.risk.attacks.shortcut_permuted import PERMUTED, shuffled
from transecg_core.risk.attacks.shortcut_site_alone import SITE_ALONE
from transecg_core.risk.attacks.shortcut_wander import WANDER, donors
from transecg_core.risk.attacks.shortcut_within_site import WITHIN_SITE
from transecg_core.risk.beside import beside
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditSite
from transecg_core.risk.evidence import Evidence, Held, gather
from transecg_core.risk.recordings import recordings_of
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.shortcuts import (
    THIN,
    harmonised,
    slow_L3,
    thinned,
    wander,
    without_beats,
    without_mains,
)
from transecg_core.signals.cache import cached_windows
from transecg_core.splits.membership import members
from transecg_core.splits.protocols import split

ALL = (
    SITE_ALONE, WITHIN_SITE, NOISE_SPECTRUM, NOISE_WINDOWS, HARMONISED, MAINS, WANDER, PERMUTED, HEART_RATE,
    AMPLITUDE, ADAPTIVE,
)  # fmt: skip
GAIN = "gain in rank-1 over the same windows as they are"


def found(context, attack, public=None):
    """Return metric -> row of the first protocol."""
    evidence = gather(context, build_case(context), ())
    if public is not None:
        before = evidence.held
        held = {name: (lambda name=name: before[name]) for name in before}
        evidence = Evidence(evidence.ctx, evidence.case, Held({**held, "public": lambda: public}), ())
    rows = beside(attack, evidence).rows
    return {row.metric: row for row in rows if row.protocol == rows[0].protocol}


def with_windows(context, **changes):
    """Replace arrays of every site's windows; each change maps the site's windows to an array."""
    sites = tuple(
        replace(site, windows=replace(site.windows, **{k: make(site.windows) for k, make in changes.items()}))
        for site in context.sites
    )
    return replace(context, sites=sites)


def test_a_record_that_only_repeats_its_beat_leaves_nothing_but_noise():
    rng = np.random.default_rng(0)
    at_L = np.arange(200) / 200
    beat_RL = np.sin(2 * np.pi * np.outer([2, 3], at_L)) + at_L**2
    record_N = np.repeat([0, 1], 20)
    scale_N1, offset_N1 = rng.uniform(0.8, 1.2, (40, 1)), rng.normal(size=(40, 1))
    clean_NL = scale_N1 * beat_RL[record_N] + offset_N1 + 0.1 * rng.normal(size=(40, 1)) * at_L
    # The median over windows with other offsets and gains is no window of the record, but the same shape.
    assert np.abs(without_beats(clean_NL, record_N)).max() < 0.1
    assert np.abs(clean_NL).max() > 2
    noise_NL = 0.5 * rng.normal(size=(40, 200))
    left_NL = without_beats(clean_NL + noise_NL, record_N)
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(left_NL, noise_NL, strict=True)]) > 0.9


def test_harmonised_windows_forget_gain_offset_step_and_band():
    rng = np.random.default_rng(1)
    at_L = np.arange(200) / 250
    x_NL = np.sin(2 * np.pi * 6 * at_L + rng.uniform(0, 6, (5, 1))).astype(np.float32)
    plain = harmonised(x_NL)
    np.testing.assert_allclose(plain.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(plain.std(axis=1), 1, atol=1e-5)
    other = 3 * x_NL + 2 + 0.5 * np.sin(2 * np.pi * 60 * at_L) + rng.uniform(-0.005, 0.005, x_NL.shape)
    assert np.abs(harmonised(other.astype(np.float32)) - plain)[:, 20:-20].max() < 0.15
    assert np.abs(other - x_NL).max() > 2
    assert not harmonised(np.ones((2, 200), dtype=np.float32)).any()


def test_the_notch_takes_the_mains_and_leaves_a_beat():
    rng = np.random.default_rng(0)
    at_L = np.arange(200) / 250
    beat_L = np.exp(-(((at_L - 0.3) / 0.02) ** 2)) + 0.3 * np.exp(-(((at_L - 0.6) / 0.06) ** 2))
    hum_NL = sum(np.sin(2 * np.pi * hz * at_L + rng.uniform(0, 6, (5, 1))) for hz in (49.9, 60.7))
    line_L = 2 * at_L - 1
    left_NL = without_mains(beat_L + line_L + hum_NL) - beat_L - line_L
    assert np.square(left_NL).sum() < 0.001 * np.square(hum_NL).sum()
    away_NL = np.sin(2 * np.pi * 30 * at_L + rng.uniform(0, 6, (5, 1)))
    assert np.square(without_mains(away_NL) - away_NL).sum() < 0.01 * np.square(away_NL).sum()


def test_wander_is_what_departs_from_the_record_s_median_window():
    rng = np.random.default_rng(0)
    beat_RL = np.sin(2 * np.pi * np.outer([2, 3], np.arange(200) / 200)) + np.linspace(0, 1, 200)
    record_N = np.repeat([0, 1], 41)
    moved_N3 = rng.normal(size=(82, 3))
    moved_N3 -= np.stack([np.median(moved_N3[record_N == r], axis=0) for r in (0, 1)])[record_N]
    found = wander(beat_RL[record_N] + moved_N3 @ slow_L3(200).T, record_N)
    assert np.corrcoef(found.ravel(), moved_N3.ravel())[0, 1] > 0.97
    np.testing.assert_allclose(
        wander(beat_RL[record_N], record_N), 0, atol=1e-9
    )  # a tilt that stays is no wander
    lent = donors(
        np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 2, 3]), np.array([0, 0, 1, 1]), np.array([0, 1, 2, -1])
    )
    assert lent[0] in (1, 2)
    assert (lent[1], lent[2]) == (0, 4)
    assert lent[3] in (3, 4)
    with pytest.raises(NotMeasurable, match="nobody else"):
        donors(np.zeros(2, int), np.zeros(2, int), np.zeros(1, int), np.zeros(1, int))


class Hum(nn.Module):
    """An encoder that hears how loud a window is at six frequencies around 50 and 60 Hz, and nothing else."""

    def forward(self, x_BL):
        loud_B6 = torch.fft.rfft(x_BL, dim=1).abs()[:, [39, 40, 41, 47, 48, 49]]
        return loud_B6.round(decimals=2)  # rounding errors know people, too


class Drift(nn.Module):
    """An encoder that sees how far a window's slope and bend are from nothing, and their product."""

    def forward(self, x_BL):
        c_B3 = x_BL @ torch.from_numpy(slow_L3(x_BL.shape[1])).float()
        return torch.stack([c_B3[:, 1].abs(), c_B3[:, 2].abs(), c_B3[:, 1] * c_B3[:, 2]], dim=1)


def with_hum(windows):
    """Everybody's recorder hums at six frequencies, as loudly as nobody else's."""
    rng, at_L = np.random.default_rng(3), np.arange(200) / 250
    loud_P6 = rng.uniform(0, 1.0, (24, 6))[windows.participant_N]
    phase_N6 = rng.uniform(0, 6, loud_P6.shape)
    hz_6 = np.array([48.75, 50, 51.25, 58.75, 60, 61.25])
    hum_NL = (loud_P6[:, :, None] * np.sin(2 * np.pi * hz_6[:, None] * at_L + phase_N6[:, :, None])).sum(
        axis=1
    )
    return (0.02 * windows.x_NL + hum_NL).astype(np.float32)


def with_drift(windows):
    """Everybody's baseline moves by their own mixture of slope and bend, more or less in each window."""
    rng = np.random.default_rng(3)
    own_N3 = np.column_stack([np.zeros(24), rng.uniform(1, 6, 24), rng.uniform(-6, 6, 24)])[
        windows.participant_N
    ]
    sign_N1 = rng.choice([-1.0, 1.0], (len(own_N3), 1)) * rng.uniform(0.9, 1.1, (len(own_N3), 1))
    return (0.3 * windows.x_NL + (sign_N1 * own_N3) @ slow_L3(200).T).astype(np.float32)


@pytest.mark.parametrize(
    ("attack", "reader", "planted"),
    [(MAINS, Hum, with_hum), (WANDER, Drift, with_drift)],
    ids=["mains", "wander"],
)
def test_identity_in_the_shortcut_is_lost_with_it_and_identity_in_the_beat_is_not(
    fakes, attack, reader, planted
):
    plain = fakes.build(fakes.recipe(sites=2, people=24, windows=8))
    shortcut = with_windows(replace(plain, model=fakes.model(reader())), x_NL=planted)
    lost = found(shortcut, attack)
    assert lost[GAIN].ci95[1] < -0.15
    assert lost["EER"].ci95[1] > 0.45
    kept = found(plain, attack)
    assert kept["rank-1"].main > 0.9
    assert kept[GAIN].ci95[0] <= 0 <= kept[GAIN].ci95[1]


def test_shuffled_names_are_found_by_chance_only_whatever_the_encoder_knows(fakes):
    """Twelve federations that everybody is identified in: every interval but one by luck covers chance."""
    rows = []
    for seed in range(12):
        context = fakes.build(fakes.recipe(sites=2, people=12, windows=2, seed=seed))
        assert found(context, WITHIN_SITE)["rank-1 within the site"].main == 1.0
        rows.append(found(context, PERMUTED))
    eer = [row["EER"] for row in rows]
    assert np.mean([row["rank-1"].main for row in rows]) == pytest.approx(1 / 12, abs=0.06)
    assert np.mean([row.main for row in eer]) == pytest.approx(0.5, abs=0.06)
    assert sum(not row.ci95[0] <= 0.5 <= row.ci95[1] for row in eer) <= 2
    case = build_case(context)
    whose_G = shuffled(case.gallery)
    assert sorted(whose_G) == list(range(24))
    np.testing.assert_array_equal(case.gallery.site_G[whose_G], case.gallery.site_G)
    assert (whose_G != np.arange(24)).sum() > 12


def test_a_few_windows_of_every_record_stand_for_it(fakes):
    case = build_case(fakes.build(fakes.recipe(sites=2, people=6, windows=THIN + 5)))
    few, some, first, second = thinned(case.gallery, case.probes)
    assert np.bincount(few.record_N).tolist() == [THIN] * (case.gallery.record_N.max() + 1)
    assert np.bincount(some.query_N).tolist() == [THIN] * len(case.probes.site_Q)
    np.testing.assert_array_equal(few.x_NL, case.gallery.x_NL[first])
    np.testing.assert_array_equal(some.x_NL, case.probes.x_NL[second])


def test_the_site_alone_is_a_guess_among_its_people(fakes):
    context = fakes.build(fakes.recipe(sites=4, people=10, windows=2))
    row = found(context, SITE_ALONE)["rank-1"]
    assert (row.main, row.baseline) == (pytest.approx(1 / 10), pytest.approx(1 / 40))
    assert list(found(context, SITE_ALONE)) == ["rank-1"]


def test_within_the_site_only_its_people_compete(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=12, windows=2, identity=0.0, noise=1.0))
    row = found(context, WITHIN_SITE)["rank-1 within the site"]
    assert "gallery of 12" in row.notes
    assert row.ci95[0] <= 1 / 12
    twice = fakes.build(fakes.recipe(sites=2, people=12, windows=2))
    assert found(twice, WITHIN_SITE)["rank-1 within the site"].main == 1.0


def test_planted_rhythm_and_amplitude_are_found_and_nothing_where_all_are_alike(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=12))
    for attack in (HEART_RATE, AMPLITUDE):
        silent = found(context, attack)
        assert silent["rank-1"].main == pytest.approx(1 / 24)
        assert silent["EER"].main == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    scale = {(0, p): 0.1 * 1.2**k for k, p in enumerate(rng.permutation(12))}
    loud = with_windows(
        context, scale_N=lambda w: np.array([scale[0, p] for p in w.participant_N], np.float32)
    )
    assert found(loud, AMPLITUDE)["EER"].main < 0.05
    assert found(loud, AMPLITUDE)["rank-1"].main == pytest.approx(1 / 2)  # the other site has the same scales

    def own_rate(windows):
        """Each record's windows keep their places in the record; everybody's beats have a distance of their own."""
        return windows.r_sample_N // 250 * (180 + 10 * windows.participant_N) + 75

    fast = with_windows(context, r_sample_N=own_rate, rpeak_B=own_rate)
    assert found(fast, HEART_RATE)["EER"].main < 0.05
    assert found(fast, AMPLITUDE)["EER"].main == pytest.approx(0.5)


def test_rhythm_has_known_answers_and_needs_intervals():
    rr = np.array([0.8, 0.9, 0.8, 0.9, 0.8])
    median, sdnn, rmssd = rhythm(rr)
    assert np.exp(median) == pytest.approx(0.8)
    assert np.exp(sdnn) == pytest.approx(rr.std() + 0.005)
    assert np.exp(rmssd) == pytest.approx(0.105)
    assert np.isnan(rhythm(rr[:2])).all()


def test_gallery_and_probe_of_one_record_have_their_own_beats(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=6, records=1, windows=40, protocol="later-in-record"))
    case = build_case(context)
    told = recordings_of(context, case)
    assert len(told.rr_R) == len(told.rr_Q) == 6
    for early, late in zip(told.rr_R, told.rr_Q, strict=True):
        assert len(early) + len(late) < 39  # nobody's interval is on both sides
        np.testing.assert_allclose(np.concatenate([early, late]), 1.0)
    assert told.scale_R.tolist() == [1.0] * 6


class Loud(nn.Module):
    """An encoder that knows who it is, under five directions that change with every record and are far larger."""

    def forward(self, x_BL):
        return torch.cat([x_BL[:, :16], 10 * x_BL[:, 30:35]], dim=1)


def nuisance(context):
    def changed(windows):
        x_NL = windows.x_NL.copy()
        noise = np.random.default_rng(len(windows)).normal(size=(len(windows.records), 5))
        x_NL[:, 30:35] = noise[windows.record_N]
        return x_NL

    return with_windows(context, x_NL=changed)


def public_of(spread):
    """Forty public people, four windows each, who vary like the federation's (1) or not at all (0)."""
    rng = np.random.default_rng(9)
    person_N = np.repeat(np.arange(40), 4)
    x_NL = 0.05 * rng.normal(size=(160, 200))
    x_NL[:, :16] += rng.normal(size=(40, 16))[person_N]
    x_NL[:, 30:35] = spread * rng.normal(size=(160, 5))
    return Public(x_NL.astype(np.float32), person_N, person_N % 4)


def test_who_adapts_on_public_people_sees_through_what_hides_identity_from_the_cosine(fakes):
    plain = fakes.build(fakes.recipe(sites=2, people=16, windows=4))
    context = nuisance(replace(plain, model=fakes.model(Loud())))
    rows = found(context, ADAPTIVE, public_of(1.0))
    gain = rows["gain in rank-1 over identification"]
    assert rows["rank-1"].main > 0.9
    assert gain.main > 0.5
    assert gain.ci95[0] > 0
    assert rows["rank-1"].baseline < 0.3  # the untrained encoder is blind
    assert "synthetic" in rows["rank-1"].auxiliary_data
    # Public people who tell nothing about records teach nothing about them.
    assert found(context, ADAPTIVE, public_of(0.0))["rank-1"].main < 0.5


def test_the_head_makes_people_vary_alike_in_all_directions():
    rng = np.random.default_rng(0)
    person_N = np.repeat(np.arange(30), 6)
    mix = np.diag([1.0, 3.0, 0.4])
    z_ND = rng.normal(size=(30, 3))[person_N] + rng.normal(size=(180, 3)) @ mix
    public = Public(np.empty((180, 0)), person_N, person_N)
    turned = z_ND @ head(z_ND, public)
    within = turned - np.stack([turned[person_N == p].mean(axis=0) for p in range(30)])[person_N]
    np.testing.assert_allclose(within.T @ within / 180, np.eye(3), atol=0.25)  # the shrinkage's part
    with pytest.raises(NotMeasurable, match="one point"):
        head(np.ones((180, 3)), public)
    with pytest.raises(NotMeasurable, match="not finite"):
        head(np.full((180, 3), np.nan), public)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name)
def test_bad_input_is_a_reason_or_chance_and_rows_stay_few(fakes, attack):
    context = fakes.build(fakes.recipe(sites=2, people=6, windows=6))
    evidence = gather(context, build_case(context), ())
    rows = beside(attack, evidence).rows
    assert {row.site for row in rows} == {"pooled"}
    assert len(rows) == (len(attack.metrics) + bool(attack.gain)) * len({row.protocol for row in rows})
    nobody = fakes.build(fakes.recipe(sites=1, people=6, records=1, windows=2))
    (row,) = beside(attack, gather(nobody, build_case(nobody), ())).rows
    assert row.main is None
    assert "somebody to confuse them with" in row.notes
    few = fakes.build(fakes.recipe(sites=1, people=3, windows=2))
    assert all(row.main is None for row in beside(attack, gather(few, build_case(few), ())).rows)
    broken = found(replace(context, model=fakes.model(fakes.reader(broken=True))), attack)
    assert all((row.main is None) == (attack.kind == "B") for row in broken.values())
    spoilt = with_windows(context, x_NL=lambda w: np.full_like(w.x_NL, np.nan))
    reads = attack not in (SITE_ALONE, HEART_RATE, AMPLITUDE)
    assert all((row.main is None) == reads for row in found(spoilt, attack).values())
    flat = found(with_windows(context, x_NL=lambda w: np.ones_like(w.x_NL)), attack)
    for row in flat.values():
        if row.metric == "rank-1" and row.main is not None and attack is not SITE_ALONE:
            assert row.main == pytest.approx(1 / 12)


def planted(carrier, seed, people=16):
    sources = [open_site(name, people, seed, Plant(carrier)) for name in ("synth-a", "synth-b")]
    sites = []
    for source in sources:
        windows = cached_windows(source)
        member_P = members(source.person, windows.participants, "halves", seed)
        person_P = tuple(source.person(p) for p in windows.participants)
        sites.append(AuditSite(source.name, windows, split(windows, "auto", seed), person_P, member_P))
    return tuple(sites)


@pytest.mark.audit
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_recorder_is_flagged_and_a_heart_is_not(fakes, seed):
    """Identity in recorders alone survives taking the beats out; identity in the T wave alone does not."""
    base = fakes.build(fakes.recipe(sites=2, people=6, windows=2))
    device = found(replace(base, sites=planted("device", seed)), NOISE_SPECTRUM)
    assert device["EER"].main < 0.3
    assert device["EER"].ci95[1] < 0.4
    assert device["rank-1"].main > 2 * device["rank-1"].baseline
    for carrier in ("T", "none"):
        silent = found(replace(base, sites=planted(carrier, seed)), NOISE_SPECTRUM)
        assert silent["EER"].main > 0.38
        assert silent["EER"].ci95[1] > 0.45
        assert silent["rank-1"].ci95[0] <= silent["rank-1"].baseline
