"""Which named features a tree model decides by: SHAP values, summed per component of the beat.

Source: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for
trees" (path-dependent TreeSHAP, the shap library). A feature that the tree does not know of is averaged
over the training records that reach the split, so no background data are needed, a missing feature
takes the branch that the tree gives to missing values, and the values of a record add up to its score
less the mean score of the training records.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesClassifier

from transecg_core.attribution.methods import CLAIM_METHODS
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.signals.fiducials import FIDUCIALS

TOP = 8
"""Features that a row names."""
FEATURE_COMPONENTS: tuple[str, ...] = tuple(
    name for name in COMPONENTS if any(feature.component == name for feature in FIDUCIALS)
)
"""Components that a feature speaks of; none is measured between beats, or where nothing is defined."""


def own_class_shap(
    forest: ExtraTreesClassifier, x_RF: np.ndarray, class_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the SHAP values (R, F) of each row's probability of its own class, and the base (R,) they add to.

    Parameters
    ----------
    x_RF
        Features, NaN where a record doesn't show them.
    class_R
        The class whose probability is explained, of those that the forest knows.

    Raises
    ------
    shap.utils._exceptions.ExplainerError
        If base and values don't add up to the forest's probability.
    """
    explainer_of = _tree_explainer()
    shap_RF, base_R = np.zeros(x_RF.shape), np.zeros(len(x_RF))
    for column, name in enumerate(forest.classes_):
        own = np.flatnonzero(class_R == name)
        if len(own):
            explainer = explainer_of(_one_class(forest, column), feature_perturbation="tree_path_dependent")
            shap_RF[own] = explainer.shap_values(x_RF[own])
            base_R[own] = explainer.expected_value
    return shap_RF, base_R


def _tree_explainer() -> Any:
    """Return `shap.TreeExplainer`; imported here, since the library takes a second to load."""
    with warnings.catch_warnings():
        # Its colour maps, which nothing here uses, call what matplotlib announces to deprecate.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        from shap import TreeExplainer
    return TreeExplainer


def _one_class(forest: ExtraTreesClassifier, column: int) -> dict[str, Any]:
    """Return the forest's probability of one class in the library's own form.

    Given the forest itself it explains all classes, at a cost that grows with people squared.
    """
    scale = 1.0 / len(forest.estimators_)
    trees = []
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        left, right = tree.children_left, tree.children_right
        trees.append({
            "children_left": left,
            "children_right": right,
            "children_default": np.where(tree.missing_go_to_left, left, right),
            "features": tree.feature,
            "thresholds": tree.threshold,
            "values": tree.value[:, 0, column, None] * scale,
            "node_sample_weight": tree.weighted_n_node_samples,
        })  # fmt: skip
    # Trees compare single-precision features with double-precision thresholds.
    return {"trees": trees, "input_dtype": np.float32, "internal_dtype": np.float64}


def component_shares(strength_F: np.ndarray) -> dict[str, float]:
    """Return component -> share of the features' strength; of components that a feature speaks of."""
    share_F = strength_F / strength_F.sum()
    return {
        name: float(
            sum(v for v, feature in zip(share_F, FIDUCIALS, strict=True) if feature.component == name)
        )
        for name in FEATURE_COMPONENTS
    }


def top_features(strength_F: np.ndarray) -> list[dict[str, Any]]:
    """Return the strongest features with unit, component and share, the strongest first."""
    order = np.lexsort((np.arange(len(strength_F)), -strength_F))[:TOP]
    share_F = strength_F / strength_F.sum()
    return [
        {
            "name": FIDUCIALS[f].name,
            "unit": FIDUCIALS[f].unit,
            "component": FIDUCIALS[f].component,
            "share": float(share_F[f]),
        }
        for f in order
    ]


def feature_enrichments(shares: Mapping[str, float]) -> dict[str, float]:
    """Return component -> share of the strength / share of the features: 1 everywhere if all are as strong.

    Shares alone count features: a forest that knows nothing gives QRS, with 13 of 34, the most.
    """
    count = Counter(feature.component for feature in FIDUCIALS)
    return {name: shares[name] * len(FIDUCIALS) / count[name] for name in FEATURE_COMPONENTS}


def agreement(
    shares: Mapping[str, float], maps: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | None] | None:
    """Return method -> Spearman's correlation over components between two explanations; None without a map.

    Enrichments are compared, a map's per sample and the trees' per feature. Shares would agree about
    nothing: the components with the most features are also among the longest. Five components carry no
    test (`chance_spread`).

    Parameters
    ----------
    shares
        From `component_shares`.
    maps
        Method -> a row of the report's ``attribution`` for the same task. Only methods that may carry a
        claim and whose map is shown are compared; None where an enrichment is missing or all are alike.
    """
    own = feature_enrichments(shares)
    out: dict[str, float | None] = {}
    for method in CLAIM_METHODS:
        row = maps.get(method)
        if row is None or not row["shown"]:
            continue
        other = [row["components"][name]["enrichment"] for name in FEATURE_COMPONENTS]
        known = None not in other and np.ptp(other) > 0 and np.ptp(list(own.values())) > 0
        out[method] = float(spearmanr(list(own.values()), other).statistic) if known else None
    return out or None


@cache
def chance_spread(items: int = len(FEATURE_COMPONENTS)) -> float:
    """Return the 95th percentile of the absolute Spearman correlation of random orders, over all orders."""
    rank = np.arange(items)
    squared = np.array([np.square(rank - order).sum() for order in permutations(rank)])
    size = np.abs(1 - 6 * squared / (items * (items**2 - 1)))
    return float(np.quantile(size, 0.95, method="inverted_cdf"))
