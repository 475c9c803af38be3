"""Fiducial features: a drawn beat's known answers, what may not matter, and what is missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.signals.fiducials import FEATURE_NAMES, FIDUCIALS, fiducials, record_fiducials
from transecg_core.signals.schema import R_OFFSET, WINDOW

ENDS = ((30, 5), (52, 0), (62, 1), (88, 2), (104, 3), (150, 4), (WINDOW, 5))
"""(end sample, component code): TP, P, PQ, QRS, ST, T, TP."""


def codes(ends=ENDS) -> np.ndarray:
    out, start = np.empty(WINDOW, dtype=np.uint8), 0
    for end, code in ends:
        out[start:end], start = code, end
    return out


def drawn() -> np.ndarray:
    """A beat of straight lines: P .2 at 40, Q -.1 at 70, R 1 at 75, S -.25 at 80, T .4 at 130."""
    at = (0, 30, 40, 51, 62, 70, R_OFFSET, 80, 87, 104, 130, 149, WINDOW - 1)
    height = (0, 0, 0.2, 0, 0, -0.1, 1, -0.25, 0, 0, 0.4, 0, 0)
    return np.interp(np.arange(WINDOW), at, height)


KNOWN = {
    "QRS duration": 26 * 4,
    "QRS onset to R": 13 * 4,
    "R to J": 12 * 4,
    "Q to R": 5 * 4,
    "R to S": 5 * 4,
    "Q height": -0.1,
    "S height": -0.25,
    "J height": 0.0,
    "P duration": 22 * 4,
    "PR interval": 32 * 4,
    "PQ segment": 10 * 4,
    "P peak to R": 35 * 4,
    "P height": 0.2,
    "P rise share": 10 / 21,
    "ST segment": 16 * 4,
    "T duration": 46 * 4,
    "QT interval": 88 * 4,
    "R to T peak": 55 * 4,
    "T peak to end": 19 * 4,
    "T height": 0.4,
    "QRS upslope": 1.1 / 5 / 4,
    "QRS downslope": -1.25 / 5 / 4,
    "P upslope": 0.02 / 4,
    "T area": 0.4 * 45 / 2 * 4,
    "P area": 0.2 * 21 / 2 * 4,
}


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, values.tolist(), strict=True))


def test_a_drawn_beat_gives_its_known_answers() -> None:
    found = named(fiducials(drawn(), codes()))
    assert np.isfinite(list(found.values())).all()
    assert {name: found[name] for name in KNOWN} == pytest.approx(KNOWN, abs=1e-9)
    assert found["R height"] == pytest.approx(1.0)
    assert {feature.unit for feature in FIDUCIALS} == {"ms", "z", "R", "R/ms", "R ms", "1"}


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.1, 10).flatmap(lambda a: st.sampled_from((a, -a))),
    st.floats(-5, 5),
    st.integers(0, 2**32 - 1),
)
def test_scale_offset_and_polarity_touch_the_r_height_alone(scale: float, offset: float, seed: int) -> None:
    x_L = drawn() + 0.02 * np.random.default_rng(seed).normal(size=WINDOW)
    plain, moved = fiducials(x_L, codes()), fiducials(scale * x_L + offset, codes())
    r = FEATURE_NAMES.index("R height")
    assert moved[r] == pytest.approx(scale * plain[r])
    assert np.delete(moved, r) == pytest.approx(np.delete(plain, r), abs=1e-6)


@pytest.mark.parametrize(
    ("ends", "gone"),
    [
        (((62, 6), (88, 2), (104, 3), (150, 4), (WINDOW, 5)), {f.name for f in FIDUCIALS if f.wave == "P"}),
        (((30, 5), (52, 0), (62, 1), (88, 2), (WINDOW, 6)), {f.name for f in FIDUCIALS if f.wave == "T"}),
        (((52, 0), *ENDS[2:]), {"P duration", "PR interval", "P rise share", "P area"}),
        ((*ENDS[:5], (WINDOW, 4)), {"T duration", "QT interval", "T peak to end", "T rise share", "T area"}),
        (((WINDOW, 5),), set(FEATURE_NAMES)),
    ],
    ids=["no P", "no T", "P before the window", "T beyond the window", "no QRS"],
)  # fmt: skip
def test_what_a_beat_does_not_show_is_missing_and_nothing_else(ends, gone) -> None:
    found = named(fiducials(drawn(), codes(ends)))
    assert {name for name, value in found.items() if np.isnan(value)} == gone


@pytest.mark.parametrize("x", [np.ones(WINDOW), np.full(WINDOW, np.nan)], ids=["flat", "not finite"])
def test_a_beat_without_a_height_has_no_features(x) -> None:
    assert np.isnan(fiducials(x, codes())).all()


def test_a_record_is_measured_on_its_median_beat() -> None:
    """One wild beat in five, with another delineation, changes nothing."""
    x_NL = np.tile(drawn(), (10, 1))
    x_NL[[0, 7]] += np.random.default_rng(0).normal(size=(2, WINDOW))
    x_NL[5:] *= 2
    component_NL = np.tile(codes(), (10, 1))
    component_NL[[0, 7]] = 6
    record_N = np.repeat([0, 1], 5)
    found_RF = record_fiducials(x_NL, component_NL, record_N)
    assert found_RF[0] == pytest.approx(fiducials(drawn(), codes()))
    assert found_RF[1] == pytest.approx(fiducials(2 * drawn(), codes()))
    assert record_fiducials(x_NL[:0], component_NL[:0], record_N[:0]).shape == (0, len(FIDUCIALS))
