"""R-peak detectors on the MIT-BIH Arrhythmia Database: accuracy and cost.

    python benchmarks/rpeak_detectors.py DATA_ROOT [--slow-every N]

Every detector gets the same cleaned signal at 250 Hz (`preprocess.clean`) of all 48 records and is
judged by every annotated beat, 150 ms apart at most, each beat used once. wfdb's two detectors run in
pure Python; ``--slow-every 4`` gives them every fourth record only. Pooled F1, Se and PPV; the interval is
95 %, by resampling the 47 people (2,000 times). The paired difference is to `rpeaks.detect` on the same records.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import SkipLog
from transecg_core.risk.estimate import percentile, resamples
from transecg_core.seeds import seed_for
from transecg_core.signals import preprocess, rpeaks
from transecg_core.signals.schema import FS_HZ

BOOTSTRAP = 2000
OURS = "rpeaks.detect (sleepecg, checked)"
Detector = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Record:
    """A cleaned record with its annotated beats, both at 250 Hz."""

    participant: str
    x_T: np.ndarray
    beat_A: np.ndarray


@dataclass(frozen=True)
class Result:
    """Hits, detections and annotated beats per record, with the detector's CPU seconds."""

    hits_R: np.ndarray
    found_R: np.ndarray
    beats_R: np.ndarray
    hours: float
    cpu_s: float


def load(root: Path) -> tuple[list[Record], float]:
    """Return all records and the CPU seconds that cleaning them took."""
    records, cpu_s = [], 0.0
    for recording in open_reader("mitdb", root / "mitdb", "mitdb").read(SkipLog()):
        beat_A = recording.labels.beat_sample_B
        assert beat_A is not None
        start = time.process_time()
        x_T = preprocess.clean(recording.signal_mv, recording.fs_hz)
        cpu_s += time.process_time() - start
        records.append(Record(recording.participant, x_T, preprocess.to_common_rate(beat_A, recording.fs_hz)))
    return records, cpu_s


def sleepecg_alone(x_T: np.ndarray) -> np.ndarray:
    """Run sleepecg and nothing after it."""
    from sleepecg.heartbeats import detect_heartbeats

    return np.asarray(detect_heartbeats(x_T, FS_HZ))


def neurokit(method: str) -> Detector:
    """Return neurokit2's detector of that name, without its artefact correction."""

    def detect(x_T: np.ndarray) -> np.ndarray:
        import neurokit2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = neurokit2.ecg_findpeaks(x_T, sampling_rate=int(FS_HZ), method=method, show=False)
        return np.asarray(found["ECG_R_Peaks"])

    return detect


def wfdb_xqrs(x_T: np.ndarray) -> np.ndarray:
    """Run wfdb's XQRS."""
    from wfdb import processing

    with contextlib.redirect_stdout(io.StringIO()):
        return np.asarray(processing.xqrs_detect(x_T, int(FS_HZ), verbose=False))


def wfdb_gqrs(x_T: np.ndarray) -> np.ndarray:
    """Run wfdb's port of GQRS. It wants 16-bit units, here 5 microvolts."""
    from wfdb import processing

    return np.asarray(processing.gqrs_detect(x_T, fs=FS_HZ, adc_gain=200, adc_zero=0))


FAST: dict[str, Detector] = {
    OURS: rpeaks.detect,
    "sleepecg": sleepecg_alone,
    **{
        f"neurokit2 {method}": neurokit(method)
        for method in (
            "neurokit",
            "pantompkins1985",
            "hamilton2002",
            "elgendi2010",
            "rodrigues2021",
        )
    },
}
SLOW: dict[str, Detector] = {"wfdb xqrs": wfdb_xqrs, "wfdb gqrs": wfdb_gqrs}


def measure(detect: Detector, records: list[Record]) -> Result:
    """Run a detector over records."""
    detect(records[0].x_T[: round(20 * FS_HZ)])  # what it imports or compiles isn't detection
    hits, found, cpu_s = [], [], 0.0
    for record in records:
        start = time.process_time()
        r_B = np.unique(detect(record.x_T).astype(np.int64))
        cpu_s += time.process_time() - start
        _, missed = rpeaks.match_labels(r_B, record.beat_A, np.zeros(record.beat_A.size, dtype=np.uint8))
        hits.append(record.beat_A.size - missed)
        found.append(r_B.size)
    beats = [record.beat_A.size for record in records]
    hours = sum(record.x_T.size for record in records) / FS_HZ / 3600
    return Result(np.array(hits), np.array(found), np.array(beats), hours, cpu_s)


def f1(result: Result, weight_BR: np.ndarray) -> np.ndarray:
    """Return pooled F1 (B,) for weights over records."""
    total = weight_BR @ (result.found_R + result.beats_R)
    return np.asarray(2 * (weight_BR @ result.hits_R) / total)


def by_person(records: list[Record], name: str) -> np.ndarray:
    """Return weights (`BOOTSTRAP`, records): a person is drawn with all records or none."""
    _, person_R = np.unique([record.participant for record in records], return_inverse=True)
    rng = np.random.default_rng(seed_for(0, "rpeak-detectors", name))
    return resamples(int(person_R.max()) + 1, BOOTSTRAP, rng)[:, person_R]


def row(name: str, result: Result, ours: Result, records: list[Record]) -> str:
    """Return a table row; `ours` is of the same records."""
    weight_BR, all_1R = by_person(records, name), np.ones((1, len(records)))
    low, high = percentile(f1(result, weight_BR))
    gap = float((f1(result, all_1R) - f1(ours, all_1R))[0])
    gap_low, gap_high = percentile(f1(result, weight_BR) - f1(ours, weight_BR))
    hits = result.hits_R.sum()
    return (
        f"| {name} | {len(records)} | {f1(result, all_1R)[0]:.4f} ({low:.4f} to {high:.4f}) "
        f"| {hits / result.beats_R.sum():.4f} | {hits / result.found_R.sum():.4f} "
        f"| {gap:+.4f} ({gap_low:+.4f} to {gap_high:+.4f}) | {result.cpu_s / result.hours:.3f} "
        f"| {(result.cpu_s / result.hours) / (ours.cpu_s / ours.hours):.1f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path)
    parser.add_argument(
        "--slow-every", type=int, default=1, help="give wfdb's detectors every Nth record only"
    )
    options = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)
    records, cpu_s = load(options.data_root)
    hours = sum(record.x_T.size for record in records) / FS_HZ / 3600
    people = len({record.participant for record in records})
    print(
        f"{len(records)} records, {people} people, {hours:.1f} h; cleaning: {cpu_s / hours:.3f} CPU-s per hour"
    )
    print("| detector | records | F1 (95 %) | Se | PPV | F1 minus ours (95 %) | CPU-s per hour | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    ours: dict[int, Result] = {}
    for name, detect in {**FAST, **SLOW}.items():
        some = records[:: options.slow_every] if name in SLOW else records
        if len(some) not in ours:
            ours[len(some)] = measure(FAST[OURS], some)
        result = ours[len(some)] if name == OURS else measure(detect, some)
        print(row(name, result, ours[len(some)], some), flush=True)


if __name__ == "__main__":
    main()
