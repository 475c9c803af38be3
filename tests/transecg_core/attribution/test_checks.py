from __future__ import annotations

import numpy as np
import pytest

from transecg_core.attribution.checks import (
    agreement,
    first_of,
    knockout_agreement,
    means_where_known,
)
from transecg_core.attribution.methods import CLAIM_METHODS, METHODS
from transecg_core.cohorts.schema import COMPONENTS

CODES = len(COMPONENTS)
COMPONENT_BL = np.tile(np.repeat(np.arange(5), 10), (6, 1))
PERSON_B = np.array([0, 0, 1, 1, 2, 2])


def _map(weight_K) -> np.ndarray:
    return np.array(weight_K, dtype=float)[COMPONENT_BL]


def _drop(weight_K) -> np.ndarray:
    drop_BK = np.full((6, CODES), np.nan)
    drop_BK[:, :5] = weight_K
    return drop_BK


def test_knockout_agreement_known_answers():
    weights = [1.0, 5.0, 2.0, 4.0, 3.0]
    assert knockout_agreement(_map(weights), _drop(weights), COMPONENT_BL, PERSON_B) == pytest.approx(1)
    against = [-w for w in weights]
    assert knockout_agreement(_map(weights), _drop(against), COMPONENT_BL, PERSON_B) == pytest.approx(-1)


def test_a_long_component_is_not_preferred_for_its_length():
    component_BL = np.tile(np.repeat([0, 1, 2], [60, 10, 30]), (6, 1))
    map_BL = np.array([1.0, 3.0, 2.0])[
        component_BL
    ]  # the longest has the most relevance, the least per sample
    drop_BK = np.full((6, CODES), np.nan)
    drop_BK[:, :3] = [0.1, 0.3, 0.2]
    assert knockout_agreement(map_BL, drop_BK, component_BL, PERSON_B) == pytest.approx(1)


def test_every_person_weighs_the_same():
    weights = np.arange(1.0, 6.0)
    map_BL, drop_BK = _map(weights), _drop(weights)
    drop_BK[4:, :5] = weights[::-1]  # the third person, with two of the windows
    person_B = np.array([0, 0, 0, 0, 2, 2])
    assert knockout_agreement(map_BL, drop_BK, COMPONENT_BL, person_B) == pytest.approx(0)


def test_too_few_components_or_no_relevance_have_no_agreement():
    assert knockout_agreement(_map([0.0] * 5), _drop([1.0] * 5), COMPONENT_BL, PERSON_B) is None
    assert knockout_agreement(_map(range(5)), _drop([1.0] * 5), COMPONENT_BL, PERSON_B) is None  # all equal
    drop_BK = _drop([1.0, 2.0, 3.0, 4.0, 5.0])
    drop_BK[:, 2:] = np.nan
    assert knockout_agreement(_map(range(1, 6)), drop_BK, COMPONENT_BL, PERSON_B) is None


def test_means_leave_out_what_is_not_known():
    value = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0]])
    means = means_where_known(value, np.array([0, 0, 1]))
    assert means[:, 0].tolist() == [2.0, 5.0]
    assert np.isnan(means[0, 1])
    assert means[1, 1] == 2.0


def test_first_component_of_the_drops():
    value_PK = np.full((2, CODES), np.nan)
    value_PK[:, 1], value_PK[0, 3] = 0.1, 0.5
    assert first_of(value_PK) == COMPONENTS[3]
    assert first_of(-value_PK) is None
    assert first_of(np.full((2, CODES), np.nan)) is None


def test_agreement_is_with_the_other_class_specific_methods():
    rng = np.random.default_rng(0)
    maps = {method: rng.random((6, 50)) for method in METHODS}
    maps["occlusion"] = maps["gradient-attention"] ** 3
    found = agreement(maps, np.array([True] * 5 + [False]), "gradient-attention", 5)
    assert set(found) == set(CLAIM_METHODS) - {"gradient-attention"}
    assert found["occlusion"] > 0.7 > abs(found["component-occlusion"]) + 0.3
