"""sleepecg's C code writes and reads past its arrays on some signals: ours never lets it, and finds the same."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sleepecg import _heartbeat_detection as c_code
from sleepecg.heartbeats import _thresholding_py, detect_heartbeats

from transecg_core.cohorts import READERS, open_reader, synthetic
from transecg_core.cohorts.schema import SkipLog
from transecg_core.signals.preprocess import clean
from transecg_core.signals.rpeaks import SLEEPECG_LEARNING, SLEEPECG_REFRACTORY, detect, sleepecg_peaks

MakeEcg = Callable[..., tuple[np.ndarray, np.ndarray]]
MALLOC_CHECK = "libc_malloc_debug.so.0"


def hum(hz: float = 24.4, size: int = 1049) -> np.ndarray:
    """Return a hum of whose maxima every fifth is just past the refractory period."""
    return np.asarray(np.sin(2 * np.pi * hz * np.arange(size) / 250 + 1))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run the Python twin of the C code, which raises where that would write past the end; sizes it was given."""
    sizes: list[int] = []

    def thresholding(filtered_T: np.ndarray, integrated_T: np.ndarray, fs: float) -> np.ndarray:
        assert filtered_T.size == integrated_T.size >= SLEEPECG_LEARNING  # what it reads unasked
        sizes.append(filtered_T.size)
        return np.asarray(_thresholding_py(filtered_T, integrated_T, fs))

    monkeypatch.setattr(c_code, "_thresholding", thresholding)
    return sizes


def test_a_hum_has_more_peaks_than_sleepecg_has_room_for() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        detect_heartbeats(hum(), 250.0, backend="python")


@pytest.mark.parametrize("size", [1000, 1001, 1049, 1050, 1051, 2500, 2553])
def test_there_is_always_room(checked: list[int], size: int) -> None:
    most = 0.0
    for hz in np.arange(24.2, 24.7, 0.1):
        peaks = sleepecg_peaks(hum(hz, size)).size
        assert 1 < peaks <= 1 + (size - 3) // SLEEPECG_REFRACTORY
        most = max(most, peaks / (size // SLEEPECG_REFRACTORY))
    assert most >= (1 if size < 2000 else 0.95)  # there was no room
    assert checked


@given(st.integers(0, 2**32 - 1), st.integers(500, 900), st.floats(20, 30))
def test_peaks_are_never_more_than_the_proof_says(seed: int, size: int, hz: float) -> None:
    """Whatever the signal: inner samples, a refractory period apart, within the room of the longer signal."""
    random = np.random.default_rng(seed)
    x_T = hum(hz, size) * random.uniform(0.1, 10, size) + random.standard_normal(size) * random.uniform(0, 1)
    found_B = sleepecg_peaks(x_T)
    assert ((found_B > 0) & (found_B < size - 1)).all()
    assert (np.diff(found_B) >= SLEEPECG_REFRACTORY).all()
    assert found_B.size < (size + 2 * SLEEPECG_REFRACTORY) // SLEEPECG_REFRACTORY


@pytest.mark.parametrize(
    "x_T",
    [
        np.empty(0),
        np.zeros(1),
        hum(size=20),
        hum(size=SLEEPECG_LEARNING - 1),
        np.zeros(5000),
        np.full(5000, 3.0),
        np.concatenate([np.zeros(5000), hum(size=300)]),  # flat until 1.2 s before the end
        np.append(hum(), np.nan),
        np.append(hum(), np.inf),
        np.append(hum(), -np.inf),
    ],
    ids=["empty", "one", "20", "2 s", "zero", "constant", "late", "nan", "inf", "-inf"],
)
def test_what_it_can_not_learn_from_it_is_not_given(checked: list[int], x_T: np.ndarray) -> None:
    assert detect(x_T).size == 0
    assert checked == []


def test_finds_what_sleepecg_finds(make_ecg: MakeEcg) -> None:
    signals = [
        clean(make_ecg(seconds=s, seed=k, rr_s=0.5 + 0.1 * k)[0], 500.0)
        for k, s in enumerate((4.0, 9.0, 31.0))
    ]
    signals += [np.concatenate([np.full(400, x_T[0]), x_T]) for x_T in signals]  # flat at first
    signals += [np.random.default_rng(seed).standard_normal(1000 + 333 * seed) for seed in range(20)]
    signals += [clean(r.signal_mv, r.fs_hz) for r in synthetic.open_site("synth-b", 4, 0).read(SkipLog())]
    for x_T in signals:
        np.testing.assert_array_equal(sleepecg_peaks(x_T), detect_heartbeats(x_T, 250.0))


@pytest.mark.real
@pytest.mark.parametrize("dataset", sorted(READERS))
def test_finds_what_sleepecg_finds_in_real_records(data_root: Path, dataset: str) -> None:
    for recording in open_reader(dataset, data_root / dataset, dataset).read(SkipLog()):
        x_T = clean(recording.signal_mv, recording.fs_hz)
        np.testing.assert_array_equal(sleepecg_peaks(x_T), detect_heartbeats(x_T, 250.0), recording.record)


@pytest.mark.parametrize("ours", [True, False])
def test_the_heap_stays_whole(tmp_path: Path, ours: bool) -> None:
    """In a process whose allocator checks what is freed; sleepecg's own call is the control that must die."""
    try:
        ctypes.CDLL(MALLOC_CHECK)
    except OSError:
        pytest.skip(f"{MALLOC_CHECK} (glibc's checking allocator) is not installed")
    np.save(tmp_path / "hum.npy", hum())
    call = (
        "from transecg_core.signals.rpeaks import detect; detect(x_T)"
        if ours
        else "from sleepecg.heartbeats import detect_heartbeats; detect_heartbeats(x_T, 250.0)"
    )
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; import numpy as np; x_T = np.load(sys.argv[1]); {call}",
            tmp_path / "hum.npy",
        ],
        env={**os.environ, "LD_PRELOAD": MALLOC_CHECK, "MALLOC_CHECK_": "3"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode == 0) == ours, process.stderr
    assert ("free(): invalid pointer" in process.stderr) != ours
