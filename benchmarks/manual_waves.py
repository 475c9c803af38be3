"""Cardiologists' P, QRS and T waves of LUDB and QTDB, at 250 Hz, and what a sample of theirs may be called."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transecg_core.cohorts import open_reader, wfdb_files
from transecg_core.cohorts.leads import LeadChoice, UnsafeRecord
from transecg_core.cohorts.schema import COMPONENT_CODE, Recording, SkipLog
from transecg_core.signals import preprocess, quality, rpeaks
from transecg_core.signals.schema import R_OFFSET, WINDOW

LUDB_LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
KIND = {"p": "P", "N": "QRS", "t": "T"}
ECTOPIC_GAP = 1.6
"""Annotated beats further apart than this many median RR intervals have an unannotated one between them."""


@dataclass(frozen=True)
class Wave:
    """One annotated wave, in samples at 250 Hz; NaN where an edge was not annotated."""

    kind: str
    on: float
    peak: float
    off: float


@dataclass(frozen=True)
class Case:
    """One annotated record: cleaned signal, its beats, the beats that look typical, and the waves."""

    participant: str
    x_T: np.ndarray
    r_B: np.ndarray
    typical_K: np.ndarray
    waves: tuple[Wave, ...]


def ludb(root: Path, lead: str = "I") -> Iterator[Case]:
    """Yield LUDB's records in one lead, annotated in that lead."""
    source = open_reader("ludb", root / "ludb", "ludb", leads=LeadChoice(wanted=lead))
    for recording in source.read(SkipLog()):
        yield _case(root / "ludb", recording, lead.lower())


def qtdb(root: Path) -> Iterator[Case]:
    """Yield QTDB's records in the lead that our reader takes, as annotator 1 saw them (in both leads)."""
    for recording in open_reader("qtdb", root / "qtdb", "qtdb").read(SkipLog()):
        yield _case(root / "qtdb", recording, "q1c")


def _case(root: Path, recording: Recording, extension: str) -> Case:
    x_T = preprocess.clean(recording.signal_mv, recording.fs_hz)
    r_B = rpeaks.detect(x_T)
    try:
        sample_A, symbols = wfdb_files.read_annotations(root, recording.record, extension)
    except UnsafeRecord as error:
        raise SystemExit(f"{recording.record}: {error}") from None
    waves = read_waves(preprocess.to_common_rate(sample_A, recording.fs_hz), symbols)
    return Case(recording.participant, x_T, r_B, _typical(x_T, r_B), waves)


def _typical(x_T: np.ndarray, r_B: np.ndarray) -> np.ndarray:
    """Return the R peaks whose windows look like the record's median beat, as windows are cut."""
    inside_B = r_B[(r_B >= R_OFFSET) & (r_B - R_OFFSET + WINDOW <= x_T.size)]
    x_BL = x_T[inside_B[:, None] + np.arange(-R_OFFSET, WINDOW - R_OFFSET)]
    good_B = quality.typical(x_BL, np.zeros(inside_B.size, dtype=bool), quality.flat(x_BL))
    return inside_B[good_B] if good_B.any() else r_B


def read_waves(at_A: np.ndarray, symbols: list[str]) -> tuple[Wave, ...]:
    """Pair each peak with the brackets next to it, never by position alone: some are missing.

    Two T peaks in a row are one biphasic wave.
    """
    waves: list[Wave] = []
    for i, symbol in enumerate(symbols):
        if symbol not in KIND:
            continue
        on = at_A[i - 1] if i and symbols[i - 1] == "(" else np.nan
        off = at_A[i + 1] if i + 1 < len(symbols) and symbols[i + 1] == ")" else np.nan
        if symbol == "t" and waves and waves[-1].kind == "T":
            first = waves.pop()
            waves.append(Wave("T", first.on, first.peak, float(off)))
        else:
            waves.append(Wave(KIND[symbol], float(on), float(at_A[i]), float(off)))
    return tuple(waves)


def allowed(waves: tuple[Wave, ...], samples: int) -> np.ndarray:
    """Return a bit per `COMPONENT_CODE` that each sample may be called, (T,) uint8; 0 where not annotated.

    Between a QRS and the peak of a T wave without an annotated onset, ST and T are both right.
    """
    bits_T = np.zeros(samples, dtype=np.uint8)

    def mark(start: float, stop: float, *names: str) -> None:
        if np.isfinite(start) and np.isfinite(stop) and start < stop:
            bits_T[max(0, round(start)) : max(0, round(stop))] = sum(1 << COMPONENT_CODE[n] for n in names)

    rr = _rr(waves)
    for wave, after in itertools.pairwise([*waves, Wave("", np.nan, np.nan, np.nan)]):
        no_onset = wave.kind == "T" and np.isnan(wave.on)
        mark(wave.peak if no_onset else wave.on, wave.off, wave.kind)
        match wave.kind, after.kind:
            case "P", "QRS":
                mark(wave.off, after.on, "PQ")
            case "QRS", "T" if np.isfinite(after.on):
                mark(wave.off, after.on, "ST")
            case "QRS", "T":
                mark(wave.off, after.peak, "ST", "T")
            case "T", "P" if after.peak - wave.peak < ECTOPIC_GAP * rr:
                mark(wave.off, after.on, "TP")
    return bits_T


def _rr(waves: tuple[Wave, ...]) -> float:
    at = [wave.peak for wave in waves if wave.kind == "QRS"]
    return float(np.median(np.diff(at))) if len(at) > 1 else 250.0


def agreement(code_T: np.ndarray, bits_T: np.ndarray) -> float:
    """Return the share of annotated samples whose code is right; NaN without any."""
    known_T = bits_T > 0
    if not known_T.any():
        return float("nan")
    return float(((bits_T[known_T] >> code_T[known_T]) & 1).mean())
