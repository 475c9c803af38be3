"""Matching on the recordings alone: principal components and fiducial features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks import pca
from transecg_core.risk.attacks.fiducial import FIDUCIAL
from transecg_core.risk.attacks.pca import PCA
from transecg_core.risk.audit import audit
from transecg_core.risk.cases import FOLDS, build_case
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for

TIME_S = (np.arange(200) - 75) / 250


def hearts(context, planted: bool = True, lost_p: bool = False):
    """Replace the windows by drawn beats; a person's waves have their own heights and places, if `planted`."""
    sites = []
    for site in context.sites:
        windows, rng = site.windows, np.random.default_rng(seed_for(context.seed, site.name))
        who = [f"{site.person_P[p]}" if planted else "anybody" for p in windows.participant_N]
        x_NL = np.stack([heart(name) for name in who]) + 0.02 * rng.normal(size=windows.x_NL.shape)
        component_NL = windows.component_NL.copy()
        if lost_p:
            component_NL[(windows.participant_N % 2 == 0)[:, None] & (component_NL == 0)] = 6
        x_NL = x_NL.astype(np.float32)
        sites.append(replace(site, windows=replace(windows, x_NL=x_NL, component_NL=component_NL)))
    return replace(context, sites=tuple(sites))


def heart(name: str) -> np.ndarray:
    rng = np.random.default_rng(seed_for(0, "heart", name))
    waves = ((0.2, -0.14, 0.02), (1.0, 0.0, 0.01), (-0.2, 0.03, 0.01), (0.35, 0.22, 0.04))
    own = [(a * rng.uniform(0.5, 1.5), m + rng.uniform(-0.01, 0.01), s) for a, m, s in waves]
    return sum(a * np.exp(-((TIME_S - m) ** 2) / (2 * s**2)) for a, m, s in own)


def rank1(context, name: str) -> float:
    (row,) = [
        row for row in audit(context).rows if (row.name, row.metric, row.site) == (name, "rank-1", "pooled")
    ]
    return row.main


def held(context):
    case = build_case(context)
    return {
        "gallery": case.gallery,
        "probes": case.probes,
        "folds": case.folds,
        "delineation": case.delineation,
    }


@pytest.mark.audit
@pytest.mark.parametrize("name", ["pca", "fiducial"])
def test_hearts_of_their_own_are_found_and_one_heart_is_not(name, fakes):
    context = fakes.build(fakes.recipe(sites=2, people=14))
    assert rank1(hearts(context), name) > 0.45
    silent = [rank1(hearts(replace(context, seed=seed), planted=False), name) for seed in range(4)]
    assert np.mean(silent) == pytest.approx(1 / 28, abs=0.06)


@pytest.mark.parametrize("lost", [True, False])
def test_having_no_p_wave_is_a_feature_itself(lost, fakes):
    context = hearts(fakes.build(fakes.recipe(sites=1, people=40, windows=4)), planted=False, lost_p=lost)
    everything = held(context)
    score_QG = FIDUCIAL.run(Given(FIDUCIAL.artefacts, everything))
    alike_QG = np.arange(40)[:, None] % 2 == np.arange(40)[None, :] % 2
    more = score_QG[alike_QG].mean() - score_QG[~alike_QG].mean()
    assert (more > 0.05) == lost


def test_a_query_is_judged_by_the_gallery_and_never_by_the_other_probes(fakes):
    everything = held(hearts(fakes.build(fakes.recipe(sites=2, people=8))))
    probes = everything["probes"]
    before = FIDUCIAL.run(Given(FIDUCIAL.artefacts, everything))
    x_NL = probes.x_NL.copy()
    x_NL[probes.query_N != 3] *= -3
    changed = everything | {"probes": replace(probes, x_NL=x_NL)}
    after = FIDUCIAL.run(Given(FIDUCIAL.artefacts, changed))
    assert after[3] == pytest.approx(before[3])
    assert not np.allclose(after, before)


def test_components_are_fitted_on_other_people_only(fakes, monkeypatch):
    context = fakes.build(fakes.recipe(people=12, sites=2, twins=3))
    case, seen, fit = build_case(context), [], pca._fit

    def spy(x_NL, entry_N, use_N):
        seen.append(set(case.person_G[entry_N[use_N]]))
        return fit(x_NL, entry_N, use_N)

    monkeypatch.setattr(pca, "_fit", spy)
    PCA.run(Given(PCA.artefacts, held(context)))
    assert len(seen) == FOLDS
    for fold, people in enumerate(seen):
        assert people.isdisjoint(case.person_Q[case.folds.fold_Q == fold])


@pytest.mark.parametrize("value", [1.0, np.nan], ids=["identical", "not finite"])
@pytest.mark.parametrize("attack", [PCA, FIDUCIAL], ids=lambda attack: attack.name)
def test_bad_windows_are_a_reason(attack, value, fakes):
    context = fakes.build(fakes.recipe(sites=2, people=8))
    sites = [replace(s.windows, x_NL=np.full_like(s.windows.x_NL, value)) for s in context.sites]
    context = replace(
        context, sites=tuple(replace(s, windows=w) for s, w in zip(context.sites, sites, strict=True))
    )
    with pytest.raises(NotMeasurable, match=r"identical|not finite|no gallery record"):
        attack.run(Given(attack.artefacts, held(context)))


def test_too_few_people_to_fit_on_are_a_reason(fakes):
    context = fakes.build(fakes.recipe(sites=1, people=5))
    with pytest.raises(NotMeasurable, match="PCA needs 5 people besides the probe's fold, found"):
        PCA.run(Given(PCA.artefacts, held(context)))
