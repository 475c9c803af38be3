"""The whole audit on federations where the truth is known, and on bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.audit import audit
from transecg_core.risk.registry import ATTACKS

WORST = "worst people: "
"""Rows about the most exposed people name the attack that exposes them."""
KEYS = (
    "name kind observer auxiliary_data site protocol metric main control baseline ci95 n_participants ceiling notes"
).split()


def pick(rows, name, metric, site="pooled", protocol=None):
    found = [
        row
        for row in rows
        if (row.name, row.metric, row.site) == (name, metric, site) and protocol in (None, row.protocol)
    ]
    assert len(found) == 1, (name, metric, site, protocol, len(found))
    return found[0]


@pytest.fixture(scope="module")
def planted(fakes):
    """Identity and membership planted; the encoder reads both."""
    return audit(fakes.build(fakes.recipe(sites=4, people=26, twins=2, mark=True))).rows


def test_planted_identity_is_found_by_who_can_see_it(planted):
    row = pick(planted, "identification", "rank-1")
    assert (row.main, row.control) == (1.0, 1.0)
    assert row.ci95[0] < 1.0
    assert row.baseline < 0.1  # the untrained encoder is blind here
    assert pick(planted, "identification", "EER").main < 0.01
    assert pick(planted, "identification", "gain in rank-1 over random-init").main > 0.9
    assert pick(planted, "raw-correlation", "rank-1").main > 0.9
    assert pick(planted, "raw-correlation", "rank-1").control is None
    assert pick(planted, "pca-lda", "rank-1").main > 0.9
    blind = pick(planted, "random-init", "rank-1")
    assert blind.main == pytest.approx(blind.baseline, abs=0.05)
    assert blind.baseline == pytest.approx(1 / 26, abs=0.001)  # 26 ids at the probe's site


def test_planted_membership_is_found_and_corrected_by_no_training(planted):
    row = pick(planted, "shared-head-loss", "AUC")
    assert row.main > 0.95
    assert row.ci95[0] > 0.8
    assert row.control == pytest.approx(0.5, abs=0.2)
    assert row.baseline == 0.5
    tpr = pick(planted, "shared-head-loss", "TPR@5%FPR")
    assert tpr.main > 0.9
    assert tpr.control < 0.3


def test_twins_are_linked_across_sites_and_never_each_others_impostor(fakes):
    context = fakes.build(fakes.recipe(sites=3, people=14, twins=12))
    rows = audit(context).rows
    row = pick(rows, "cross-site identification", "rank-1")
    assert row.main == 1.0
    members = int(context.sites[0].member_P[:12].sum())
    assert row.n_participants == members  # the people behind main; the controls are in the notes
    assert f"{12 - members} controls" in row.notes
    assert pick(rows, "cross-site raw-correlation", "rank-1").n_participants == 12
    # Three ids with one face: if copies were impostors, rank-1 would be a third.
    assert pick(rows, "identification", "rank-1").main == 1.0
    trained = {p for s in context.sites for p, m in zip(s.person_P, s.member_P, strict=True) if m}
    assert pick(rows, "identification", "rank-1").n_participants == len(trained)
    assert pick(rows, "raw-correlation", "rank-1").n_participants == 12 + 3 * 2


@pytest.mark.audit
def test_noise_only_stays_silent(fakes):
    """No identity, no membership: false alarms over 20 federations and all C attacks are counted."""
    alarms, rank1, aucs = 0, [], []
    for seed in range(20):
        rows = audit(fakes.build(fakes.recipe(sites=2, people=12, windows=4, identity=0.0, seed=seed))).rows
        rank1.append(pick(rows, "identification", "rank-1").main)
        for row in rows:
            if row.metric == "AUC" and row.site == "pooled" and row.main is not None:
                aucs.append(row.main)
                alarms += not row.ci95[0] <= 0.5 <= row.ci95[1]
    assert np.mean(rank1) == pytest.approx(1 / 24, abs=0.03)
    assert np.mean([a for a in aucs if a is not None]) == pytest.approx(0.5, abs=0.06)
    assert alarms <= 6  # of 40 at a nominal 5 %: more than 6 has probability below .01


@pytest.mark.audit
def test_shuffled_coins_are_at_one_half(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=24, mark=True))
    values, covered = [], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sites = tuple(replace(site, member_P=rng.permutation(site.member_P)) for site in context.sites)
        row = pick(audit(replace(context, sites=sites)).rows, "shared-head-loss", "AUC")
        values.append(row.main)
        covered += row.ci95[0] <= 0.5 <= row.ci95[1]
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)
    assert covered >= 8


def test_permuted_probes_are_at_chance(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=20))
    sites = []
    for site in context.sites:
        windows, mask = site.windows, site.split.probes["other-record"]
        x_NL = windows.x_NL.copy()
        x_NL[mask] = np.roll(x_NL[mask], 8, axis=0)  # everybody's probe is the next person's
        sites.append(replace(site, windows=replace(windows, x_NL=x_NL)))
    rows = audit(replace(context, sites=tuple(sites))).rows
    assert pick(rows, "identification", "rank-1").main < 0.1
    assert pick(rows, "raw-correlation", "rank-1").main < 0.1


def test_gap_is_corrected_by_the_signal(fakes):
    """Members easier to recognise than controls, model or no model: raw gap yes, corrected gap no."""
    context = fakes.build(fakes.recipe(sites=2, people=24, noise=0.02))
    sites = []
    for site in context.sites:
        x_NL = site.windows.x_NL.copy()
        hard = ~site.member_P[site.windows.participant_N]
        x_NL[hard] = np.random.default_rng(1).normal(size=(int(hard.sum()), x_NL.shape[1]))
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    row = pick(
        audit(replace(context, sites=tuple(sites))).rows, "linkage-gap", "gap in rank-1 (members - controls)"
    )
    assert float(row.notes.split("raw gap ")[1][:6]) > 0.8
    assert row.ci95[0] <= 0.0 <= row.ci95[1]
    assert abs(row.main) < 0.15


def test_rows_are_json_with_exactly_the_reports_keys_and_repeatable(planted, fakes):
    assert all(list(row.as_dict()) == KEYS for row in planted)
    json.dumps([row.as_dict() for row in planted], allow_nan=False)
    for row in planted:
        if row.main is None:
            assert row.ci95 is None
            assert row.notes.startswith("not measurable: ")
            continue
        assert row.n_participants >= 5
        if row.ci95 is None:
            assert "no interval: every resample gives the same figure" in row.notes
        else:
            assert row.ci95[0] - 1e-12 <= row.main <= row.ci95[1] + 1e-12
    again = audit(fakes.build(fakes.recipe(sites=4, people=26, twins=2, mark=True))).rows
    assert again == planted


def reasons(rows):
    return {row.name: row.notes for row in rows if row.main is None}


def test_without_controls_leakage_is_not_measurable_and_identification_is(fakes):
    rows = audit(fakes.build(fakes.recipe(audit_split="none"))).rows
    leakage = [row for row in rows if row.kind == "C"]
    assert {row.name.removeprefix("cross-site ").removeprefix(WORST) for row in leakage} == {
        a.name for a in ATTACKS if a.kind == "C"
    }
    assert all(row.main is None for row in leakage)
    assert all("nobody was held out" in row.notes or "two sites" in row.notes for row in leakage)
    row = pick(rows, "identification", "rank-1")
    assert row.main == 1.0
    assert row.control is None
    assert "everybody was trained on" in row.notes


def test_strangers_are_the_main_group_and_tell_nothing_about_training(fakes):
    rows = audit(fakes.build(fakes.recipe(sites=2, people=8, audit_split="none"), strangers=True)).rows
    row = pick(rows, "identification", "rank-1")
    assert (row.main, row.control, row.n_participants) == (1.0, None, 16)
    assert "never trained on" in row.notes
    assert "everybody was trained on" not in row.notes
    leakage = [row for row in rows if row.kind == "C" and row.protocol != "cross-site"]
    assert leakage
    for row in leakage:
        assert row.main is None
        assert "the server holds none of the participants' ECG" in row.notes
        assert "audit-split" not in row.notes


def test_controls_that_carry_no_threshold_are_counted_and_explained(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=16))
    held_out = np.arange(16) < 12
    few = np.arange(16) < 3
    sites = tuple(
        replace(site, member_P=~out) for site, out in zip(context.sites, (held_out, few), strict=True)
    )
    notes = pick(audit(replace(context, sites=sites)).rows, "shared-head-loss", "TPR@5%FPR").notes
    assert "15 controls, 12 of them usable (3 at sites with fewer than 4" in notes
    assert "needs 40" in notes


def test_never_trained_on_is_about_the_person_and_not_the_id(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=4, twins=2))
    member = (np.array([True, False, True, False]), np.zeros(4, dtype=bool))
    sites = tuple(replace(s, member_P=m) for s, m in zip(context.sites, member, strict=True))
    first, second = replace(context, sites=sites).judged_on()
    assert first.tolist() == [False, True, False, True]
    assert second.tolist() == [False, True, True, True]
    assert all(out.all() for out in replace(context, sites=sites, strangers=True).judged_on())


def test_embeddings_that_are_not_finite_null_b_and_c_but_not_a(fakes):
    context = fakes.build(fakes.recipe(), model=fakes.model(fakes.reader(broken=True)))
    rows = audit(context).rows
    assert all(row.main is None for row in rows if row.kind in "BC")
    assert "not finite" in reasons(rows)["identification"]
    assert "not finite" in reasons(rows)["shared-head-loss"]
    assert pick(rows, "raw-correlation", "rank-1").main is not None


def test_a_collapsed_encoder_is_at_chance(fakes):
    rows = audit(fakes.build(fakes.recipe(), model=fakes.model(fakes.reader(constant=True)))).rows
    row = pick(rows, "identification", "rank-1")
    assert row.main == pytest.approx(1 / 48)
    assert pick(rows, "identification", "EER").main == pytest.approx(0.5)
    assert pick(rows, "embedding-consistency", "AUC").main == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"sites": 1, "people": 1}, "somebody to confuse them with"),
        ({"sites": 1, "people": 6, "records": 1, "windows": 2}, "no site has probes"),
        ({"sites": 1, "people": 3}, "needs probes of 5 people, found 3"),
        ({"sites": 2, "people": 5, "protocol": "other-session"}, "no site has probes"),
    ],
    ids=["one person", "no probes", "three people", "one session"],
)
def test_too_little_data_is_a_reason(fakes, recipe, expected):
    rows = audit(fakes.build(fakes.recipe(**recipe))).rows
    assert rows
    assert all(row.main is None for row in rows if row.kind in "AB")
    assert any(expected in row.notes for row in rows)
    without = {a.name for a in ATTACKS if "start" not in a.artefacts}  # these started from random weights
    assert {row.name.removeprefix("cross-site ").removeprefix(WORST) for row in rows} == without


def test_all_members_by_chance_and_nobody_enrolled_are_reasons(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=8))
    trained = tuple(replace(site, member_P=np.ones(8, dtype=bool)) for site in context.sites)
    found = {
        row.site: row.notes
        for row in audit(replace(context, sites=trained)).rows
        if row.name == "shared-head-loss"
    }
    assert "there are 8 members and 0 controls" in found["s0"]
    assert "needs 40" in found["pooled"]
    empty = tuple(
        replace(site, split=replace(site.split, gallery_N=np.zeros(len(site.windows), dtype=bool)))
        for site in context.sites
    )
    assert all(
        "no site has a gallery window" in row.notes for row in audit(replace(context, sites=empty)).rows
    )


def test_identical_windows_are_a_reason_or_chance(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=8))
    sites = tuple(
        replace(site, windows=replace(site.windows, x_NL=np.ones_like(site.windows.x_NL)))
        for site in context.sites
    )
    rows = audit(replace(context, sites=sites)).rows
    for row in rows:
        if row.metric == "rank-1" and row.main is not None and row.site == "pooled":
            told = row.name == "shortcut: site alone"  # looks at no window
            assert row.main == pytest.approx(1 / 8 if told else 1 / 16), row.name
    assert "identical" in reasons(rows)["pca-lda"]


def test_a_person_trained_on_under_one_id_only_is_neither_member_nor_control(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=14, twins=6))
    flipped = replace(context.sites[1], member_P=~context.sites[1].member_P)
    rows = audit(replace(context, sites=(context.sites[0], flipped))).rows
    row = pick(rows, "identification", "rank-1")
    # The six twins are left out.
    assert row.n_participants == context.sites[0].member_P[6:].sum() + flipped.member_P[6:].sum()
    assert f"{16 - row.n_participants} controls" in row.notes


def test_leaky_probes_are_marked(fakes):
    rows = audit(fakes.build(fakes.recipe(protocol="random-window"))).rows
    row = pick(rows, "identification", "rank-1")
    assert row.protocol == "random-window"
    assert "LEAKY" in row.notes


def test_people_with_one_window_do_not_disturb_the_fit(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=12))
    site = context.sites[0]
    gallery_N = site.split.gallery_N.copy()
    gallery_N[np.flatnonzero(gallery_N & (site.windows.participant_N == 4))[1:]] = False
    thinned = replace(site, split=replace(site.split, gallery_N=gallery_N))
    rows = audit(replace(context, sites=(thinned, context.sites[1]))).rows
    assert pick(rows, "pca-lda", "rank-1").main > 0.9
    assert pick(rows, "embedding-consistency", "AUC").n_participants == 23


def test_a_pretrained_start_stands_beside_the_floors_and_is_none(fakes, planted):
    """A start that already tells people apart: training here added nothing, and the signal floors stay what they are."""
    recipe = fakes.recipe(sites=2, people=26)
    assert not [row for row in planted if "pretrained-start" in row.name + row.metric]
    rows = audit(fakes.build(recipe, start_model=fakes.model(fakes.reader(), weight=4.0))).rows
    assert pick(rows, "pretrained-start", "rank-1").main == 1.0
    gain = pick(rows, "identification", "gain in rank-1 over pretrained-start")
    assert (gain.main, gain.ci95[0] <= 0 <= gain.ci95[1]) == (0.0, True)
    assert "pretrained-start" not in pick(rows, "identification", "rank-1").notes
    blind = audit(fakes.build(recipe, start_model=fakes.model(fakes.blind()))).rows
    assert pick(blind, "identification", "gain in rank-1 over pretrained-start").main > 0.9
