import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.cohorts import open_reader, synthetic
from transecg_core.cohorts.schema import COMPONENT_CODE, COMPONENTS, SkipLog
from transecg_core.signals import delineate
from transecg_core.signals.preprocess import clean
from transecg_core.signals.rpeaks import detect

MakeEcg = Callable[..., tuple[np.ndarray, np.ndarray]]

NEXT = {"P": "PQ", "PQ": "QRS", "QRS": "ST", "ST": "T", "T": "TP", "TP": "P"}


def runs(code_T: np.ndarray) -> list[str]:
    return [COMPONENTS[code] for code, _ in itertools.groupby(code_T.tolist())]


def assert_ordered(bounds: delineate.Boundaries) -> None:
    points: list[float] = [*(bounds.p or ()), *bounds.qrs, *(bounds.t or ())]
    assert points == sorted(points)
    assert bounds.qrs[0] < 0 < bounds.qrs[1]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("rr_s", [0.6, 0.8, 1.1])
def test_finds_known_waves(make_ecg: MakeEcg, rr_s: float, sign: int) -> None:
    x_T, _ = make_ecg(rr_s=rr_s)
    x_T = clean(sign * x_T, 500.0)
    r_B = detect(x_T)
    bounds = delineate.delineate(x_T, r_B, r_B)
    assert bounds.notes == ()
    assert bounds.p is not None
    assert bounds.t is not None
    # A Gaussian wave's edges lie about 2 to 2.5 widths from its centre.
    assert np.mean(bounds.p) == pytest.approx(-0.16, abs=0.025)
    assert np.mean(bounds.t) == pytest.approx(0.26 * np.sqrt(rr_s / 0.8), abs=0.04)
    assert bounds.qrs == pytest.approx((-0.045, 0.045), abs=0.02)
    assert_ordered(bounds)


def test_finds_an_inverted_t_wave(make_ecg: MakeEcg) -> None:
    x_T = clean(make_ecg(t_sign=-1)[0], 500.0)
    r_B = detect(x_T)
    bounds = delineate.delineate(x_T, r_B, r_B)
    assert bounds.t is not None
    assert np.mean(bounds.t) == pytest.approx(0.26, abs=0.04)


def test_codes_follow_the_heartbeat(make_ecg: MakeEcg) -> None:
    x_T = clean(make_ecg()[0], 500.0)
    r_B = detect(x_T)
    code_T = delineate.component_codes(delineate.delineate(x_T, r_B, r_B), r_B, x_T.size)
    names = runs(code_T)
    assert set(names) == set(NEXT)
    assert all(NEXT[a] == b for a, b in itertools.pairwise(names))
    assert (code_T[r_B] == COMPONENT_CODE["QRS"]).all()


@given(rr_s=st.floats(0.2, 3.0))
def test_fixed_offsets_are_ordered_at_any_rate(rr_s: float) -> None:
    bounds = delineate.fixed_offsets(rr_s)
    assert_ordered(bounds)
    code_T = delineate.component_codes(bounds, np.array([500]), 1000)
    assert runs(code_T) == ["TP", "P", "PQ", "QRS", "ST", "T", "TP"]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), beats=st.integers(1, 12), scale=st.sampled_from([1e-9, 1.0, 1e3]))
def test_noise_never_raises_and_stays_ordered(seed: int, beats: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x_T = scale * rng.standard_normal(2500)
    r_B = np.sort(rng.choice(2500, size=beats, replace=False))
    bounds = delineate.delineate(x_T, r_B, r_B)
    assert_ordered(bounds)
    assert delineate.component_codes(bounds, r_B, 2500).max() < len(COMPONENTS)


def test_a_wave_that_was_not_found_is_undefined() -> None:
    bounds = delineate.Boundaries(qrs=(-0.04, 0.05), p=None, t=(0.2, 0.35), rr_s=0.8)
    assert runs(delineate.component_codes(bounds, np.array([500]), 1000)) == [
        "TP",
        "undefined",
        "QRS",
        "ST",
        "T",
        "TP",
    ]
    bounds = delineate.Boundaries(qrs=(-0.04, 0.05), p=(-0.2, -0.1), t=None, rr_s=0.8)
    assert runs(delineate.component_codes(bounds, np.array([500]), 1000)) == [
        "TP",
        "P",
        "PQ",
        "QRS",
        "undefined",
        "TP",
    ]


@pytest.mark.parametrize("signal", ["flat", "no whole beat", "one spike"])
def test_no_beat_to_delineate_is_counted_as_fallback(signal: str) -> None:
    x_T, r_B = np.zeros(2500), np.arange(200, 2400, 200)
    if signal == "no whole beat":
        r_B = np.array([20])
        x_T[20] = 1.0
    if signal == "one spike":
        x_T[r_B] = 1.0
    bounds = delineate.delineate(x_T, r_B, r_B)
    assert bounds.notes == (delineate.FALLBACK,)
    assert bounds.p == delineate.fixed_offsets(bounds.rr_s).p


@pytest.mark.real
def test_agrees_with_the_cardiologists_of_ludb(data_root: Path) -> None:
    agreement = []
    for recording in open_reader("ludb", data_root / "ludb", "ludb", people=40).read(SkipLog()):
        notes = wfdb.rdann(str(data_root / "ludb" / recording.record), "i")
        x_T = clean(recording.signal_mv, recording.fs_hz)
        r_B = detect(x_T)
        code_T = delineate.component_codes(delineate.delineate(x_T, r_B, r_B), r_B, x_T.size)
        truth_T = manual_codes(notes.sample * 250 / recording.fs_hz, notes.symbol, x_T.size)
        known_T = (truth_T != COMPONENT_CODE["undefined"]) & (code_T != COMPONENT_CODE["undefined"])
        agreement.append(float((code_T[known_T] == truth_T[known_T]).mean()))
    assert np.mean(agreement) > 0.82


def manual_codes(sample_A: np.ndarray, symbols: list[str], samples: int) -> np.ndarray:
    """Turn LUDB's ``( p )``, ``( N )``, ``( t )`` into codes; never pairs brackets by position alone."""
    waves = [
        (symbols[i], round(sample_A[i - 1]), round(sample_A[i + 1]))
        for i in range(1, len(symbols) - 1)
        if symbols[i] in "pNt" and symbols[i - 1] == "(" and symbols[i + 1] == ")"
    ]
    code_T = np.full(samples, COMPONENT_CODE["undefined"], dtype=np.uint8)
    own = {"p": "P", "N": "QRS", "t": "T"}
    after = {"pN": "PQ", "Nt": "ST", "tp": "TP"}
    for (kind, on, off), (following, start, _) in itertools.pairwise([*waves, ("", 0, 0)]):
        code_T[on:off] = COMPONENT_CODE[own[kind]]
        if kind + following in after:
            code_T[off:start] = COMPONENT_CODE[after[kind + following]]
    return code_T


def test_agrees_with_the_exact_truth_of_synthetic_records() -> None:
    right, shifted = [], []
    for recording in synthetic.open_site("synth-c", 4, 0).read(SkipLog()):
        truth_T = recording.labels.component_T
        assert truth_T is not None
        x_T = clean(recording.signal_mv, recording.fs_hz)
        r_B = detect(x_T)
        code_T = delineate.component_codes(delineate.delineate(x_T, r_B, r_B), r_B, x_T.size)
        at_T = np.round(np.arange(x_T.size) * recording.fs_hz / 250).astype(np.int64)
        truth_T = truth_T[np.minimum(at_T, truth_T.size - 1)]
        found_T = code_T != COMPONENT_CODE["undefined"]
        right.append(float((code_T == truth_T)[found_T].mean()))
        shifted.append(float((np.roll(code_T, 25) == truth_T)[found_T].mean()))
    assert np.mean(right) > 0.8
    # Negative control: 100 ms late is much worse.
    assert np.mean(shifted) < np.mean(right) - 0.3
