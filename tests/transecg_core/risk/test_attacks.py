"""Every attack gets what it declared and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.artefacts import ARTEFACTS, Given, KnownLabels, ModelAccess, UndeclaredArtefact
from transecg_core.risk.attacks import pca_lda
from transecg_core.risk.attributes import attributes_of
from transecg_core.risk.cases import FOLDS, build_case
from transecg_core.risk.public import public_people
from transecg_core.risk.recordings import recordings_of
from transecg_core.risk.registry import ATTACKS
from transecg_core.training.local import MISSING

OF_TRAINING = {"site-updates", "global-rounds", "audit-models", "client-update"}
"""Artefacts that only training makes; attacks that hold one are tested with what makes it."""


def held(context):
    case = build_case(context)
    return case, {
        "gallery": case.gallery,
        "probes": case.probes,
        "folds": case.folds,
        "delineation": case.delineation,
        "recordings": recordings_of(context, case),
        "known-labels": KnownLabels(
            np.where(case.folds.fold_G == 0, MISSING, np.arange(len(case.folds.fold_G)) % 2), 2
        ),
        "attributes": attributes_of(context, case),
        "public": public_people(),
        "targets": case.targets,
        "released-model": ModelAccess(context.model),
        "architecture": ModelAccess(context.random_model),
        "start": ModelAccess(context.random_model),
    }


def test_undeclared_artefacts_are_out_of_reach():
    everything = dict.fromkeys(ARTEFACTS)
    for name in ARTEFACTS:
        given = Given([other for other in ARTEFACTS if other != name], everything)
        with pytest.raises(UndeclaredArtefact, match=name):
            getattr(given, name.replace("-", "_"))
    with pytest.raises(ValueError, match="no artefact"):
        Given(["coins"], everything)


@pytest.mark.parametrize(
    "attack", [a for a in ATTACKS if not OF_TRAINING & set(a.artefacts)], ids=lambda attack: attack.name
)
def test_each_attack_runs_on_exactly_its_declared_artefacts(attack, fakes):
    case, everything = held(fakes.build(fakes.recipe(people=8, sites=2)))
    scores = attack.run(Given(attack.artefacts, everything))
    shape = (len(case.targets.site_T),)
    if attack.measure != "membership":
        shape = (len(case.probes.site_Q), len(case.gallery.site_G))
    if attack.measure == "inference":
        shape = (sum(shape), 2)
    assert scores.shape == shape
    assert np.isfinite(scores).all()
    for name in attack.artefacts:
        with pytest.raises(UndeclaredArtefact, match=name):
            attack.run(Given([other for other in attack.artefacts if other != name], everything))


def test_no_attack_on_the_signal_holds_a_trained_model():
    assert {a.name for a in ATTACKS if a.kind == "A" and "released-model" in a.artefacts} == set()
    assert all("released-model" in a.artefacts for a in ATTACKS if a.kind == "B")
    trained = {"released-model", *OF_TRAINING}
    assert all(trained & set(a.artefacts) for a in ATTACKS if a.kind == "C")


def test_pca_lda_is_fitted_on_other_people_only(fakes, monkeypatch):
    case, everything = held(fakes.build(fakes.recipe(people=12, sites=2, twins=3)))
    seen = []

    def spy(x_NL, entry_N, use_N):
        seen.append(set(case.person_G[entry_N[use_N]]))
        assert x_NL.shape == case.gallery.x_NL.shape  # gallery windows, never probes
        return fit(x_NL, entry_N, use_N)

    fit = pca_lda._fit
    monkeypatch.setattr(pca_lda, "_fit", spy)
    pca_lda.PCA_LDA.run(Given(pca_lda.PCA_LDA.artefacts, everything))
    assert len(seen) == FOLDS
    for fold, people in enumerate(seen):
        assert people.isdisjoint(case.person_Q[case.folds.fold_Q == fold])
        assert len(people) > 10


def test_a_missing_label_says_nothing_and_the_label_changes_the_loss(fakes):
    context = fakes.build(fakes.recipe(people=8, sites=1, mark=True))
    attack = next(a for a in ATTACKS if a.name == "shared-head-loss")
    _, everything = held(context)
    plain = attack.run(Given(attack.artefacts, everything))
    site = context.sites[0]
    records = tuple(
        replace(info, sex=None) if info.participant == "p3" else info for info in site.windows.records
    )
    unknown = replace(site, windows=replace(site.windows, records=records))
    _, everything = held(replace(context, sites=(unknown,)))
    blurred = attack.run(Given(attack.artefacts, everything))
    others = np.arange(8) != 3
    assert np.allclose(plain[others], blurred[others])
    assert plain[others].min() - 1e-9 <= blurred[3] <= plain[others].max() + 1e-9


def test_consistency_does_not_depend_on_how_many_windows_there_are(fakes):
    """Nobody is consistent here; fewer windows must not look tighter."""
    context = fakes.build(fakes.recipe(people=40, sites=1, windows=12, identity=0.0))
    (site,) = context.sites
    gallery_N = site.split.gallery_N & ((site.windows.participant_N % 2 == 0) | (np.arange(960) % 12 < 3))
    context = replace(context, sites=(replace(site, split=replace(site.split, gallery_N=gallery_N)),))
    attack = next(a for a in ATTACKS if a.name == "embedding-consistency")
    case, everything = held(context)
    assert sorted(set(np.bincount(case.targets.target_N).tolist())) == [3, 12]
    scores = attack.run(Given(attack.artefacts, everything))
    assert abs(scores[::2].mean()) < 0.05
    assert abs(scores[1::2].mean()) < 0.1
