from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from transecg_core.attribution import attribution_by_site, explain
from transecg_core.attribution.methods import CLAIM_METHODS


@pytest.fixture(scope="module")
def small(toy):
    return replace(toy, tasks=("sex",), attribution_windows=24)


@pytest.fixture(scope="module")
def groups(small):
    return explain(small)


def test_each_site_has_its_own_sums(small, groups):
    found = attribution_by_site(small, groups)["sex"]
    assert set(found) == set(CLAIM_METHODS)
    for sites in found.values():
        assert list(sites) == ["toy-a", "toy-b"]
        assert sites["toy-a"] != sites["toy-b"]
        for row in sites.values():
            assert row["n_participants"] >= 10
            assert row["reason"] is None
            parts = row["components"]
            assert max(parts, key=lambda name: parts[name]["enrichment"] or 0) == "QRS"
    json.dumps(found, allow_nan=False)


def test_a_site_of_few_people_or_without_relevance_has_its_reason(small, groups):
    (group,) = groups
    first = group.cohort.site_B == 0
    rows = {"sex": first & (np.isin(group.cohort.person_B, np.unique(group.cohort.person_B)[:4]))}
    found = attribution_by_site(small, (replace(group, rows_B=rows),))["sex"]["occlusion"]
    assert found["toy-a"]["components"] is None
    assert "too few people: 4, and 10" in found["toy-a"]["reason"]
    assert "too few people: 0" in found["toy-b"]["reason"]
    maps = {"sex": group.maps["sex"] | {"occlusion": np.where(first[:, None], np.nan, -1.0)}}
    found = attribution_by_site(small, (replace(group, maps=maps),))["sex"]["occlusion"]
    assert "0 people only" in found["toy-a"]["reason"]
    assert found["toy-b"]["reason"] == "on the whole nothing speaks for the true class"
