from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import UNKNOWN, SkipLog
from transecg_core.signals import rpeaks
from transecg_core.signals.preprocess import clean
from transecg_core.signals.rpeaks import MATCH, REFRACTORY, detect, match_labels

MakeEcg = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize("fs_hz", [100.0, 128.0, 250.0, 360.0, 500.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_finds_every_beat_to_one_sample(make_ecg: MakeEcg, fs_hz: float, sign: int) -> None:
    x_T, times = make_ecg(fs_hz=fs_hz)
    found = detect(clean(sign * x_T, fs_hz))
    assert found.size == times.size
    assert np.abs(found / 250 - times).max() <= max(0.008, 1.5 / fs_hz)


def test_flat_or_empty_signal_has_no_beat() -> None:
    assert detect(np.zeros(5000)).size == 0


@given(st.integers(0, 2**32 - 1))
def test_peaks_ascend_and_keep_the_refractory_period(seed: int) -> None:
    found = detect(np.random.default_rng(seed).standard_normal(2500))
    assert (np.diff(found) >= REFRACTORY).all()
    assert ((found >= 0) & (found < 2500)).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_the_detector_missed_is_found_and_what_it_took_for_a_beat_dropped(
    make_ecg: MakeEcg, monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    signal, times = make_ecg(ventricular=(9,))
    x_T = clean(sign * signal, 500.0)
    right_B = np.round(times * 250).astype(np.int64)
    # As sleepecg does at a blocked beat's P wave, and at early or different beats.
    p_wave = right_B[15] - 40
    for missing in (9, 15):
        wrong_B = np.sort(np.append(np.delete(right_B, missing), p_wave if missing == 15 else []))
        monkeypatch.setattr(rpeaks, "sleepecg_peaks", lambda _x_T, wrong=wrong_B: wrong.astype(np.int64))
        found = detect(x_T)
        assert found.size == right_B.size
        assert np.abs(found - right_B).max() <= 3


@pytest.mark.parametrize("sign", [1, -1])
def test_all_beats_of_a_record_get_the_same_of_two_peaks(make_ecg: MakeEcg, sign: int) -> None:
    signal, times = make_ecg(noise_mv=0.0)
    t_T = np.arange(signal.size) / 500.0
    # An S wave that is deeper than R is high in every third beat only.
    for k, at in enumerate(times):
        signal -= (1.3 if k % 3 == 0 else 0.6) * np.exp(-0.5 * ((t_T - at - 0.03) / 0.008) ** 2)
    x_T = clean(sign * signal, 500.0)
    r_B = detect(x_T)
    assert r_B.size == times.size
    assert np.unique(np.sign(x_T[r_B])).size == 1
    assert np.ptp(r_B / 250 - times) < 0.012


def test_a_pause_stays_a_pause(make_ecg: MakeEcg) -> None:
    signal, times = make_ecg(seconds=30.0)
    beat = np.argmin(np.abs(times - 15.0))
    middle = round(times[beat] * 500)
    # One beat gone, with its waves: nothing but noise in its place.
    signal[middle - 150 : middle + 230] = 0.01 * np.random.default_rng(1).standard_normal(380)
    assert detect(clean(signal, 500.0)).size == times.size - 1


def test_labels_go_to_the_nearest_beat_once() -> None:
    r_B = np.array([100, 300, 500, 700])
    classes, missed = match_labels(
        r_B, np.array([110.0, 296.0, 320.0, 600.0]), np.array([0, 1, 2, 0], dtype=np.uint8)
    )
    assert classes.tolist() == [0, 1, UNKNOWN, UNKNOWN]
    assert missed == 2


@given(
    st.sets(st.integers(0, 5000), max_size=40),
    st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 2)), max_size=40),
)
def test_matching_conserves_beats(detected: set[int], reference: list[tuple[float, int]]) -> None:
    r_B = np.array(sorted(detected), dtype=np.int64)
    at_A = np.array([at for at, _ in reference])
    class_A = np.array([code for _, code in reference], dtype=np.uint8)
    classes, missed = match_labels(r_B, at_A, class_A)
    assert (classes != UNKNOWN).sum() + missed == at_A.size
    for r, code in zip(r_B, classes, strict=True):
        if code != UNKNOWN:
            assert (np.abs(at_A[class_A == code] - r) <= MATCH).any()


@pytest.mark.real
def test_agrees_with_the_cardiologists_of_mitdb(data_root: Path) -> None:
    hits = detections = references = 0
    for recording in open_reader("mitdb", data_root / "mitdb", "mitdb", people=12).read(SkipLog()):
        labels = recording.labels
        assert labels.beat_sample_B is not None
        r_B = detect(clean(recording.signal_mv, recording.fs_hz))
        codes = np.zeros(labels.beat_sample_B.size, dtype=np.uint8)
        _, missed = match_labels(r_B, labels.beat_sample_B * 250 / recording.fs_hz, codes)
        hits += codes.size - missed
        detections += r_B.size
        references += codes.size
    assert 2 * hits / (detections + references) > 0.98
