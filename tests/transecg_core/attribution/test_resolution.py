from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.attribution.components import shares
from transecg_core.attribution.resolution import kept, unresolved
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS


def _beat(start: int, *stretches: tuple[str, int]) -> np.ndarray:
    """Return one window: TP, then the stretches from `start` on, then TP."""
    code_L = np.full(200, COMPONENT_CODE["TP"], dtype=np.uint8)
    for name, length in stretches:
        code_L[start : start + length] = COMPONENT_CODE[name]
        start += length
    return code_L


USUAL_BL = np.stack(
    [_beat(s, ("P", 28), ("PQ", 12), ("QRS", 22), ("ST", 14), ("T", 60)) for s in range(20, 40)]
)


def test_at_20_ms_every_component_of_a_usual_beat_is_resolved_and_at_40_ms_the_short_ones_are_not():
    assert unresolved(USUAL_BL, 5) == ()
    assert unresolved(USUAL_BL, 10) == ("PQ", "ST")


def test_a_component_on_patch_edges_keeps_all_and_half_a_patch_keeps_half():
    found = kept(_beat(50, ("QRS", 20), ("T", 5))[None], 10)
    assert found["QRS"] == 1
    assert found["T"] == 0.5
    assert found["P"] is None
    assert "undefined" not in found


@pytest.mark.parametrize("patch", [5, 10])
def test_it_is_the_share_that_a_perfect_map_per_patch_would_get(patch):
    for name, share in kept(USUAL_BL, patch).items():
        code = COMPONENT_CODE[name]
        perfect_BT = (USUAL_BL == code).reshape(len(USUAL_BL), -1, patch).sum(axis=2)
        map_BL = np.repeat(perfect_BT / patch, patch, axis=1)
        assert share == pytest.approx(shares(map_BL, USUAL_BL)[:, code].mean())


@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 10]))
def test_one_sample_a_patch_keeps_all_and_no_patch_keeps_less_than_one_sample(seed, patch):
    rng = np.random.default_rng(seed)
    component_BL = np.repeat(rng.integers(0, len(COMPONENTS), (3, 40)), 5, axis=1)
    component_BL = np.roll(component_BL, rng.integers(0, 5), axis=1)
    for name, share in kept(component_BL, patch).items():
        fine = kept(component_BL, 1)[name]
        assert (share is None) == (fine is None)
        if share is not None:
            assert 1 / patch - 1e-9 <= share <= fine + 1e-9 == 1 + 1e-9


def test_what_is_absent_is_not_called_unresolved():
    assert unresolved(np.full((2, 200), COMPONENT_CODE["undefined"], dtype=np.uint8), 10) == ()
