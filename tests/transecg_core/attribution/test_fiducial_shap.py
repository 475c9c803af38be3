"""SHAP of the trees: values that add up, shares that sum to one, agreement whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from transecg_core.attribution.fiducial_people import grown
from transecg_core.attribution.fiducial_shap import (
    FEATURE_COMPONENTS,
    TOP,
    agreement,
    chance_spread,
    component_shares,
    feature_enrichments,
    own_class_shap,
    top_features,
)
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.report.template_attribution import FIDUCIALS as FIDUCIAL_SECTION
from transecg_core.signals.fiducials import FEATURE_NAMES, FIDUCIALS

T_HEIGHT = FEATURE_NAMES.index("T height")


def table(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with holes, one feature that nobody shows and one record that shows nothing; T height tells the class."""
    rng = np.random.default_rng(seed)
    x_RF, class_R = rng.normal(size=(rows, len(FIDUCIALS))), np.arange(rows) % classes
    x_RF[rng.random(x_RF.shape) < 0.15] = np.nan
    x_RF[:, T_HEIGHT] = 2.0 * class_R + 0.1 * rng.normal(size=rows)
    x_RF[:, 3] = np.nan
    x_RF[1] = np.nan
    return x_RF, class_R


@pytest.mark.parametrize("classes", [2, 7])
def test_values_and_base_add_up_to_the_probability_also_where_features_are_missing(classes: int) -> None:
    x_RF, class_R = table(70, classes)
    forest = grown(x_RF, class_R, 1, leaf=2)
    asked_RF, _ = table(30, classes, seed=9)
    asked_RF[4, ::2] = np.nan
    own_R = np.arange(30) % classes
    shap_RF, base_R = own_class_shap(forest, asked_RF, own_R)
    wanted = forest.predict_proba(asked_RF)[np.arange(30), own_R]
    assert np.allclose(shap_RF.sum(axis=1) + base_R, wanted, atol=1e-9)
    assert (shap_RF[:, 3] == 0).all()  # nobody shows it, so no tree asks for it
    strength_F = np.abs(shap_RF).mean(axis=0)
    assert strength_F.argmax() == T_HEIGHT
    shares = component_shares(strength_F)
    assert max(shares, key=lambda name: shares[name]) == "T"


def test_one_class_at_a_time_says_what_the_library_says_of_the_whole_forest() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap

    x_RF, class_R = table(60, 3)
    forest = grown(x_RF, class_R, 1, leaf=2)
    whole_RFC = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent").shap_values(x_RF)
    assert np.allclose(
        own_class_shap(forest, x_RF, class_R)[0], whole_RFC[np.arange(60), :, class_R], atol=1e-9
    )


def test_every_feature_has_a_component_and_equal_strength_counts_features() -> None:
    assert {feature.component for feature in FIDUCIALS} == set(FEATURE_COMPONENTS) < set(COMPONENTS)
    shares = component_shares(np.ones(len(FIDUCIALS)))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["PQ"] == pytest.approx(3 / len(FIDUCIALS))


def test_the_strongest_features_come_first_and_name_unit_and_component() -> None:
    strength_F = np.arange(1.0, len(FIDUCIALS) + 1)
    strength_F[T_HEIGHT] = 1000.0
    top = top_features(strength_F)
    assert len(top) == TOP
    assert (top[0]["name"], top[0]["unit"], top[0]["component"]) == ("T height", "R", "T")
    assert top[0]["share"] > 0.5
    assert [row["share"] for row in top] == sorted((row["share"] for row in top), reverse=True)


def drawn_map(values: tuple[float, ...], shown: bool = True) -> dict[str, object]:
    shares = dict(zip(FEATURE_COMPONENTS, values, strict=True)) | {"TP": 0.9, "undefined": 0.0}
    return {"shown": shown, "components": {name: {"enrichment": value} for name, value in shares.items()}}


def strength(*per_feature: float) -> np.ndarray:
    """Every feature as strong as its component says."""
    of = dict(zip(FEATURE_COMPONENTS, per_feature, strict=True))
    return np.array([of[feature.component] for feature in FIDUCIALS])


def test_agreement_compares_shown_maps_of_methods_that_may_carry_a_claim_and_no_others() -> None:
    shares = component_shares(strength(0.1, 0.2, 0.3, 0.15, 0.25))
    same, reverse = (1.0, 3.0, 5.0, 2.0, 4.0), (5.0, 3.0, 1.0, 4.0, 2.0)
    maps = {
        "gradient-attention": drawn_map(same),
        "occlusion": drawn_map(reverse),
        "integrated-gradients": drawn_map(same, shown=False),
        "component-occlusion": drawn_map((1.0,) * 5),
        "rollout": drawn_map(same),
        "random": drawn_map(same),
    }
    assert agreement(shares, maps) == {
        "gradient-attention": pytest.approx(1.0), "occlusion": pytest.approx(-1.0), "component-occlusion": None,
    }  # fmt: skip
    assert agreement(shares, {"rollout": drawn_map(same)}) is None
    lacks = drawn_map((1.0, 3.0, None, 2.0, 4.0))  # no window has an ST segment
    assert agreement(shares, {"occlusion": lacks}) == {"occlusion": None}


def test_enrichment_is_one_where_every_feature_is_as_strong() -> None:
    found = feature_enrichments(component_shares(strength(1, 1, 1, 1, 1)))
    assert found == {name: pytest.approx(1.0) for name in FEATURE_COMPONENTS}
    twice = feature_enrichments(component_shares(strength(1, 2, 1, 1, 1)))
    assert max(twice, key=lambda name: twice[name]) == FEATURE_COMPONENTS[1]


def test_explanations_that_know_nothing_agree_about_nothing() -> None:
    rng = np.random.default_rng(0)
    duration = {"P": 0.12, "PQ": 0.06, "QRS": 0.12, "ST": 0.11, "T": 0.2}
    enriched, by_share = [], []
    for _ in range(300):
        shares = component_shares(rng.exponential(size=len(FIDUCIALS)))
        per_sample = {name: rng.lognormal(0, 0.1) for name in duration}
        row = {"shown": True, "components": {n: {"enrichment": v} for n, v in per_sample.items()}}
        enriched.append(agreement(shares, {"occlusion": row})["occlusion"])
        drawn = [(shares[n], per_sample[n] * duration[n]) for n in FEATURE_COMPONENTS]
        by_share.append(spearmanr(*zip(*drawn, strict=True)).statistic)
    assert abs(np.mean(enriched)) < 0.1  # three standard errors of a mean of 300 are 0.09
    assert np.mean(by_share) > 0.3  # what shares would say: components with many features last long
    beyond = np.abs(enriched) - chance_spread()
    assert np.mean(beyond > 1e-6) < 0.05 < np.mean(beyond > -1e-6)


def test_the_chance_spread_is_that_of_all_orders_and_the_page_says_it() -> None:
    assert [chance_spread(items) for items in (3, 4, 5)] == pytest.approx([1.0, 1.0, 0.9])
    assert f"{len(FEATURE_COMPONENTS)} enrichments; chance ±{chance_spread():.1f}" in FIDUCIAL_SECTION
