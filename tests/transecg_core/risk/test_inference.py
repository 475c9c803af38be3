"""Sex, age band and site by linear probes: planted traits are found, nothing is found where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.artefacts import Given, KnownLabels
from transecg_core.risk.attacks.attribute_inference import AGE_INFERENCE, SEX_INFERENCE
from transecg_core.risk.attacks.probe import infer
from transecg_core.risk.attacks.source_site import SOURCE_SITE
from transecg_core.risk.cases import build_case
from transecg_core.risk.evidence import gather
from transecg_core.risk.inference import inference
from transecg_core.training.local import MISSING

SEX_AT, AGE_AT, SITES_AT = 17, 18, (19, 16, 17)
"""Samples that the encoder reads and nobody's identity is in."""
AGES = (20.0, 45.0, 70.0)


def with_traits(context, seed, effect=0.0, men=0.5):
    """Give everybody a sex and an age band, drawn apart from their coins, and plant them in the windows."""
    sites = []
    for index, site in enumerate(context.sites):
        rng = np.random.default_rng([seed, index])
        people = len(site.person_P)
        share = men[index] if isinstance(men, tuple) else men
        male_P = rng.permutation(np.arange(people) < share * people)
        age_P = rng.permutation(np.arange(people) % 3)
        place = {name: p for p, name in enumerate(site.windows.participants)}
        records = tuple(
            replace(r, sex="FM"[int(male_P[place[r.participant]])], age=AGES[age_P[place[r.participant]]])
            for r in site.windows.records
        )
        x_NL = site.windows.x_NL.copy()
        x_NL[:, SEX_AT] += effect * male_P[site.windows.participant_N]
        x_NL[:, AGE_AT] += effect * age_P[site.windows.participant_N]
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL, records=records)))
    return replace(context, sites=tuple(sites))


def at_sites(context, offset):
    """Add a constant to one sample of each site that the encoder reads."""
    sites = []
    for index, site in enumerate(context.sites):
        x_NL = site.windows.x_NL.copy()
        x_NL[:, SITES_AT[index]] += offset
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    return replace(context, sites=tuple(sites))


def rows(context, attack):
    return {row.site: row for row in inference(attack, gather(context, build_case(context), ())).rows}


def test_planted_traits_are_found_and_the_untrained_encoder_is_blind(fakes):
    context = with_traits(fakes.build(fakes.recipe(sites=2, people=32, windows=4)), 1, effect=2.0)
    # Age is planted on one axis: the middle band has no side of its own for a linear probe.
    for attack, guess, floor in ((SEX_INFERENCE, 0.5, 0.85), (AGE_INFERENCE, 1 / 3, 0.5)):
        found = rows(context, attack)
        assert list(found) == ["s0", "s1", "pooled"]
        row = found["pooled"]
        assert row.protocol == "participant-disjoint"
        assert row.main > floor
        assert row.control > floor
        assert row.ci95[0] > guess
        assert row.baseline == pytest.approx(guess, abs=0.25)
        assert f"guessing gives {guess:.2f}" in row.notes
        assert 0 <= float(row.notes.split("on the windows themselves ")[1][:5]) <= 1
    assert rows(context, SEX_INFERENCE)["s0"].main > 0.85


def test_nothing_planted_is_silent_and_not_below_the_guess(fakes):
    """Eight federations: cross-fitting must not push people away from their own class either."""
    values, covered = [], 0
    for seed in range(8):
        recipe = fakes.recipe(sites=1, people=48, windows=1, identity=0.0, noise=1.0, seed=seed)
        row = rows(with_traits(fakes.build(recipe), seed), SEX_INFERENCE)["pooled"]
        values.append(row.main)
        covered += row.ci95[0] <= 0.5 <= row.ci95[1]
    assert np.mean(values) == pytest.approx(0.5, abs=0.11)  # se .036
    assert covered >= 6


def test_a_site_of_young_men_is_no_attribute(fakes):
    """The encoder knows the site and nothing else; sites differ in their share of men."""
    plain = fakes.build(fakes.recipe(sites=2, people=32, windows=2, identity=0.0, noise=0.3))
    context = at_sites(with_traits(plain, 3, men=(0.2, 0.8)), 3.0)
    row = rows(context, SEX_INFERENCE)["pooled"]
    assert row.ci95[0] <= 0.5
    assert row.main < 0.65
    careless = replace(SEX_INFERENCE, run=lambda given: infer(given, centre=False))
    assert rows(context, careless)["pooled"].main > 0.7


@pytest.mark.parametrize("attack", [SEX_INFERENCE, SOURCE_SITE], ids=lambda attack: attack.name)
def test_nobody_judged_is_known(fakes, attack):
    """Every fold: the labels of its people are hidden, those of their other ids too."""
    context = with_traits(fakes.build(fakes.recipe(sites=2, people=24, windows=2, twins=6)), 2)
    case, seen = build_case(context), []

    def spy(given):
        seen.append(given.known_labels.code_G == MISSING)
        return attack.run(given)

    inference(replace(attack, run=spy), gather(context, case, ()))
    pooled = seen[-12:]  # 4 folds, 3 encoders
    for hidden_G in pooled:
        assert not set(case.person_G[hidden_G]) & set(case.person_G[~hidden_G])
    assert np.sum(pooled[:4], axis=0).tolist() == [1] * len(case.person_G)  # everybody is judged once


def test_the_site_is_found_where_it_shows_and_only_there(fakes):
    plain = fakes.build(fakes.recipe(sites=3, people=16, windows=2, twins=2, identity=0.0, noise=1.0))
    silent = rows(plain, SOURCE_SITE)
    assert list(silent) == ["pooled"]
    assert silent["pooled"].ci95[0] <= 1 / 3 <= silent["pooled"].ci95[1]
    loud = rows(at_sites(plain, 6.0), SOURCE_SITE)["pooled"]
    assert loud.main > 0.95
    assert loud.n_participants == len(
        {p for s in plain.sites for p, m in zip(s.person_P, s.member_P, strict=True) if m}
    )
    assert "one site only" in rows(fakes.build(fakes.recipe(sites=1)), SOURCE_SITE)["pooled"].notes


def test_records_that_training_did_not_see_are_judged_where_there_are_some(fakes):
    """The trait is in the probe records only: the probe learns nothing, so nothing is found; and the other way."""
    context = with_traits(fakes.build(fakes.recipe(sites=2, people=24, windows=2)), 4, effect=4.0)
    sites = []
    for site in context.sites:
        x_NL = site.windows.x_NL.copy()
        x_NL[~site.split.gallery_N, SEX_AT] = 0.0
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    assert rows(context, SEX_INFERENCE)["pooled"].main > 0.9
    assert rows(replace(context, sites=tuple(sites)), SEX_INFERENCE)["pooled"].main < 0.75
    single = with_traits(fakes.build(fakes.recipe(sites=2, people=24, records=1, windows=2)), 4, effect=4.0)
    row = rows(single, SEX_INFERENCE)["pooled"]
    assert row.main > 0.9
    assert f"save for {row.n_participants} who have none" in row.notes


def test_bad_input_is_a_reason(fakes):
    context = fakes.build(fakes.recipe(sites=2, people=24, windows=2))
    assert "0 members of class M" in rows(context, SEX_INFERENCE)["pooled"].notes  # everybody is a woman
    labelled = with_traits(context, 5)
    unknown = tuple(
        replace(s, windows=replace(s.windows, records=tuple(replace(r, sex=None) for r in s.windows.records)))
        for s in labelled.sites
    )
    assert "no labelled people" in rows(replace(labelled, sites=unknown), SEX_INFERENCE)["pooled"].notes
    broken = replace(labelled, model=fakes.model(fakes.reader(broken=True)))
    assert "not finite" in rows(broken, SEX_INFERENCE)["pooled"].notes
    alike = replace(labelled, model=fakes.model(fakes.reader(constant=True)))
    assert "all alike" in rows(alike, SEX_INFERENCE)["pooled"].notes
    few = with_traits(fakes.build(fakes.recipe(sites=1, people=8, windows=2)), 6)
    assert "are needed of each" in rows(few, AGE_INFERENCE)["pooled"].notes
    for found in (rows(broken, AGE_INFERENCE), rows(alike, SOURCE_SITE)):
        assert all(row.main is None for row in found.values())


def test_without_controls_everybody_is_main(fakes):
    recipe = fakes.recipe(sites=2, people=16, windows=2, audit_split="none")
    row = rows(with_traits(fakes.build(recipe), 7, effect=4.0), SEX_INFERENCE)["pooled"]
    assert (row.control, row.n_participants) == (None, 32)
    assert "everybody was trained on" in row.notes
    strangers = with_traits(fakes.build(recipe, strangers=True), 7, effect=4.0)
    assert "never trained on; no control" in rows(strangers, SEX_INFERENCE)["pooled"].notes


def test_a_class_that_nobody_known_has_is_never_guessed(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=20, windows=2))
    evidence = gather(context, build_case(context), ())
    code_G = np.arange(20) % 2
    held = {name: evidence.held[name] for name in ("gallery", "probes", "released-model")}
    held["known-labels"] = KnownLabels(code_G, 3)
    scores = SEX_INFERENCE.run(Given(SEX_INFERENCE.artefacts, held))
    assert np.isneginf(scores[:, 2]).all()
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0)
