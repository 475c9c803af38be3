from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.attribution.components import shown_by_few, summarise
from transecg_core.attribution.stability import (
    UNDEFINED,
    Moved,
    _stretches,
    enrichments,
    mean_enrichment,
    moved,
    ranges,
    share_first,
    stability,
)
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS

NOBODY_K = np.zeros(len(COMPONENTS), dtype=bool)
LENGTHS = {"TP": 25, "P": 25, "PQ": 15, "QRS": 25, "ST": 20, "T": 55}
CODE_L = np.concatenate([np.full(n, COMPONENT_CODE[name]) for name, n in LENGTHS.items()] + [np.full(35, 5)])
CODE_BL = np.tile(CODE_L, (4, 1))
PERSON_B = np.array([0, 0, 1, 2])
EDGES = [0, 25, 50, 65, 90, 110, 165, 200]


def _peak(at: float, width: float = 2.0) -> np.ndarray:
    return np.tile(np.exp(-0.5 * ((np.arange(200) - at) / width) ** 2), (4, 1))


def test_boundaries_move_by_20_ms_at_most_and_on_their_own():
    cut = moved(CODE_BL, np.arange(4), seed=1, draws=300)
    assert cut.code_BM[0].tolist() == [5, 0, 1, 2, 3, 4, 5]
    move_DBM = cut.edge_DBM - np.array(EDGES)
    assert set(np.unique(move_DBM[:, :, 1:-1])) == set(range(-5, 6))
    assert (move_DBM[:, :, [0, -1]] == 0).all()
    flat = move_DBM[:, :, 1:-1].reshape(300, -1).T  # each boundary of each record, over the draws
    r = np.corrcoef(flat)[np.triu_indices(len(flat), 1)]
    assert np.abs(r).max() < 0.25


def test_windows_of_one_record_move_together():
    cut = moved(CODE_BL, np.array([7, 7, 9, 7]), seed=1)
    assert (cut.edge_DBM[:, 0] == cut.edge_DBM[:, 3]).all()
    assert (cut.edge_DBM[:, 0] != cut.edge_DBM[:, 2]).any()


@settings(max_examples=30)
@given(st.lists(st.integers(0, UNDEFINED), min_size=20, max_size=20), st.integers(0, 99))
def test_any_delineation_stays_in_order_and_covers_the_window(codes, seed):
    code_BL = np.repeat(np.array([codes, [UNDEFINED] * 20]), 3, axis=1)  # some shorter than the move
    cut = moved(code_BL, np.arange(2), seed, draws=20)
    assert (np.diff(cut.edge_DBM, axis=2) >= 0).all()
    assert (cut.edge_DBM[:, :, 0] == 0).all()
    assert (cut.edge_DBM[:, :, -1] == 60).all()
    found = enrichments(np.ones(code_BL.shape), cut, np.array([0, 1]), NOBODY_K)
    assert np.allclose(found[np.isfinite(found)], 1)  # a map without preference has none under any boundaries


def test_without_moves_the_sums_are_those_of_the_table():
    rng = np.random.default_rng(0)
    code_BL, person_B = np.tile(CODE_L, (16, 1)), np.repeat(np.arange(12), [2, 1, 1] * 4)
    map_BL = rng.normal(size=code_BL.shape)
    still = Moved(np.tile(np.array(EDGES), (1, 16, 1)), np.tile([5, 0, 1, 2, 3, 4, 5], (16, 1)))
    found_K = enrichments(map_BL, still, person_B, NOBODY_K)[0]
    rows = summarise(map_BL, code_BL, person_B, 10, 0)
    for code, name in enumerate(COMPONENTS[:-1]):
        assert found_K[code] == pytest.approx(rows[name]["enrichment"])
    assert np.isnan(found_K[UNDEFINED])
    assert mean_enrichment(map_BL, code_BL, person_B, NOBODY_K)[:-1] == pytest.approx(found_K[:-1])


def test_a_component_of_a_few_people_counts_as_undefined_everywhere_alike():
    """P is shown by 5 of 20: the table, the jitter and the models trained again must fold it alike."""
    rng = np.random.default_rng(0)
    code_BL = np.repeat(CODE_BL[:1], 20, axis=0)
    code_BL[5:][code_BL[5:] == COMPONENT_CODE["P"]] = COMPONENT_CODE["TP"]
    map_BL, person_B = rng.normal(0.4, 1, (20, 200)), np.arange(20)
    map_BL[:, code_BL[0] == COMPONENT_CODE["P"]] -= 1.5
    rows, few_K = summarise(map_BL, code_BL, person_B, 20, 0), shown_by_few(code_BL, person_B)
    still = Moved(*(part[None] if k == 0 else part for k, part in enumerate(_stretches(code_BL))))
    for found_K in (
        mean_enrichment(map_BL, code_BL, person_B, few_K),
        enrichments(map_BL, still, person_B, few_K)[0],
    ):
        assert np.isnan(found_K[COMPONENT_CODE["P"]])
        for name in ("PQ", "QRS", "ST", "T", "TP"):
            assert found_K[COMPONENT_CODE[name]] == pytest.approx(rows[name]["enrichment"])


def test_relevance_inside_a_wave_stays_first_and_relevance_at_a_boundary_does_not():
    cut = moved(CODE_BL, np.zeros(4), seed=2)
    inside = enrichments(_peak(77), cut, PERSON_B, NOBODY_K)
    assert share_first(inside, "QRS") == 1.0
    assert ranges(inside)["QRS"][0] > 5
    edge = enrichments(_peak(89.5, 1.0), cut, PERSON_B, NOBODY_K)
    assert 0.2 < share_first(edge, "QRS") < 0.8
    assert share_first(edge, "QRS") + share_first(edge, "ST") == pytest.approx(1)


def test_nothing_delineated_has_no_first_component():
    cut = moved(np.full((4, 200), UNDEFINED), np.arange(4), seed=0)
    found = enrichments(_peak(77), cut, PERSON_B, NOBODY_K)
    assert set(ranges(found)) == {"undefined"}
    assert share_first(found, None) is None
    empty = enrichments(np.full((4, 200), np.nan), cut, PERSON_B, NOBODY_K)
    assert ranges(empty) == {}
    assert np.isnan(mean_enrichment(np.zeros((4, 200)), CODE_BL, PERSON_B, NOBODY_K)).all()


def test_the_entry_says_null_for_what_was_not_measured():
    assert stability(None, "QRS", {"mean": "T", "zero": None}, None) == {
        "jitter": None,
        "jitter_first": None,
        "fills": {"mean": "T", "zero": None},
        "seeds": None,
    }
