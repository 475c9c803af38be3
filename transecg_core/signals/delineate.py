"""Heartbeat components: one delineation per record, painted on every beat.

A record's typical beat is its beats' sample-wise median, which has far less noise than any of them.
On it each boundary is *measured* (`waves`) and then *placed*: drawn towards where it usually is, the
more so the less the measurement is worth. A wave lost in noise ends up at the usual offsets, a clear
one where it is.

A P wave has to stand out of the typical beat's noise and to be steady: that noise shrinks with the number
of beats, and in half an hour of atrial fibrillation any bump stands out of it, but single beats don't share
the bump. Where no such P wave is found (as in atrial fibrillation), that is said.

The constants below were chosen on LUDB's manual annotations (twelve leads, 200 people) and nothing
else; ``python benchmarks/delineators.py DATA_ROOT --fit`` prints the fitted ones. docs/signals.md compares
the result with other delineators, on LUDB and on QTDB, and counts P waves in atrial fibrillation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.signals.schema import FS_HZ
from transecg_core.signals.waves import Place, Span, Wave, find_qrs, find_wave, steadiness, typical_beat

RR_LIMITS_S = (0.35, 1.8)
FALLBACK = "delineation: fixed offsets used"
NO_P = "delineation: P wave not found"
NO_T = "delineation: T wave not found"
FLAT_T = "delineation: T wave lost in noise, usual place taken"

FOUND_SNR = 3.0
"""A wave this many times higher than the typical beat's noise is placed half by its measurement and half
by what is usual; a lower P wave counts as not found. Noise alone seldom reaches it in ten seconds."""
P_STEADY = 1.0
"""Mean over scatter of the P wave in single beats (`waves.steadiness`) under which it counts as not found. How far
it may go without a loss among LUDB's annotated P waves: ``benchmarks/delineators.py DATA_ROOT --p``."""
QRS_SHORTEST_S, P_SHORTEST_S, T_SHORTEST_S = 0.04, 0.03, 0.05
"""Anything shorter is no such wave."""
P_EARLIEST_S = 0.36
"""How long before the QRS a P wave may peak: a first-degree block's PR interval has room."""
P_PEAK_S, T_PEAK = -0.153, (0.233, 0.041)
"""Where their peaks usually are, seconds from R: medians over the twelve leads, slope on the square root of
RR and constant for the T wave."""
P_SPREAD_S, T_SPREAD_S = 0.1, 0.07
"""How far from there a deflection counts half."""
P_FLANK_S, T_FLANK = 0.08, 0.13
"""Longest flank of a wave; the T wave's goes with the square root of RR."""
T_SOONEST_S = 0.04
"""How soon after the QRS a T wave may peak."""
T_LATEST = (0.36, 0.26)
"""Latest peak from the QRS's onset, slope on the square root of RR and constant: a long QT interval has room."""
T_CYCLE, P_CYCLE = 0.75, 0.35
"""Parts of the RR interval after and before the QRS's onset that may hold a T and a P wave's peak."""
BEYOND_S = 0.04
"""How much further than the range of its peak a wave may reach on the far side."""


@dataclass(frozen=True)
class Edge:
    """How a measured boundary becomes a placed one.

    Attributes
    ----------
    shift_s
        Added to the measurement: cardiologists don't put edges where tangents and slopes do.
    trust
        Weight of the measurement against the usual offset; None: by the wave's height over the noise.
    """

    shift_s: float
    trust: float | None = None


EDGES: Mapping[str, Edge] = {
    "P on": Edge(-0.007),
    "P off": Edge(-0.001),
    "QRS on": Edge(-0.013, 0.60),
    "QRS off": Edge(0.006, 0.83),
    "T on": Edge(-0.021),
    "T off": Edge(0.012),
}


@dataclass(frozen=True)
class Boundaries:
    """Onsets and offsets of one record's typical beat, in seconds from R.

    ``p`` or ``t`` is None where the wave was not found. ``notes`` names what went
    wrong, in the words of the skip log.
    """

    qrs: Span
    p: Span | None
    t: Span | None
    rr_s: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What was measured on a record: its typical beat's QRS edges (samples from R) and waves, if any.

    ``p_steady`` is the P wave's `waves.steadiness`.
    """

    qrs: Span
    p: Wave | None
    t: Wave | None
    p_steady: float


def fixed_offsets(rr_s: float, notes: tuple[str, ...] = ()) -> Boundaries:
    """Return typical boundaries for an RR interval (s).

    Medians and, for the T wave, regressions on the square root of RR of LUDB's manual
    annotations in lead I (200 people). P and QRS hardly change with rate.
    """
    root = math.sqrt(min(max(rr_s, RR_LIMITS_S[0]), RR_LIMITS_S[1]))
    return Boundaries(
        qrs=(-0.044, 0.044),
        p=(-0.194, -0.094),
        t=(0.149 * root + 0.023, 0.299 * root + 0.060),
        rr_s=rr_s,
        notes=notes,
    )


def delineate(x_T: np.ndarray, r_B: np.ndarray, typical_K: np.ndarray) -> Boundaries:
    """Delineate one record by its typical beat.

    Parameters
    ----------
    x_T
        Cleaned signal at 250 Hz; neither its sign nor its scale matters.
    r_B
        All its R peaks (samples): they give the RR interval.
    typical_K
        R peaks of the beats the median is taken over.

    Returns
    -------
    Boundaries
        Physiologically ordered; the fixed offsets, with a note, if there is no beat with a QRS.
    """
    rr = median_rr(r_B)
    measured = measure(x_T, typical_K, rr)
    return place(measured, rr / FS_HZ) if measured else fixed_offsets(rr / FS_HZ, (FALLBACK,))


def median_rr(r_B: np.ndarray) -> int:
    """Return the median RR interval in samples, within `RR_LIMITS_S`; 0.8 s for a single beat."""
    rr = float(np.median(np.diff(r_B))) if r_B.size > 1 else 0.8 * FS_HZ
    return round(min(max(rr, RR_LIMITS_S[0] * FS_HZ), RR_LIMITS_S[1] * FS_HZ))


def measure(x_T: np.ndarray, typical_K: np.ndarray, rr: int) -> Measured | None:
    """Measure a record by its typical beat of `rr` samples; None if it has no QRS."""
    beat = typical_beat(x_T, typical_K, rr)
    if beat is None:
        return None
    qrs = find_qrs(beat)
    if qrs[1] - qrs[0] < QRS_SHORTEST_S * FS_HZ:
        return None
    usual = fixed_offsets(rr / FS_HZ)
    on, off = (edge * FS_HZ for edge in _qrs(qrs, usual, EDGES))
    p, t = find_wave(beat, _p_place(on, rr)), find_wave(beat, _t_place(on, off, rr))
    return Measured(qrs, p, t, steadiness(x_T, typical_K, p) if p else 0.0)


def _p_place(on: float, rr: int) -> Place:
    earliest = on - min(P_EARLIEST_S * FS_HZ, P_CYCLE * rr)
    edges = earliest - BEYOND_S * FS_HZ, on
    return Place(
        earliest, on - 2, P_PEAK_S * FS_HZ, P_SPREAD_S * FS_HZ, edges, P_FLANK_S * FS_HZ, smoothing=7
    )


def _t_place(on: float, off: float, rr: int) -> Place:
    root = math.sqrt(rr / FS_HZ)
    latest = on + min((T_LATEST[0] * root + T_LATEST[1]) * FS_HZ, T_CYCLE * rr)
    edges = off, latest + BEYOND_S * FS_HZ
    first, usual = off + T_SOONEST_S * FS_HZ, (T_PEAK[0] * root + T_PEAK[1]) * FS_HZ
    return Place(first, latest, usual, T_SPREAD_S * FS_HZ, edges, T_FLANK * root * FS_HZ, smoothing=9)


def place(measured: Measured, rr_s: float, edges: Mapping[str, Edge] = EDGES) -> Boundaries:
    """Turn measurements into boundaries: in seconds, drawn towards the usual ones, and in order."""
    usual = fixed_offsets(rr_s)
    qrs = _qrs(measured.qrs, usual, edges)
    real = measured.p is not None and measured.p.snr >= FOUND_SNR and measured.p_steady >= P_STEADY
    p = _wave(measured.p, "P", usual.p, edges) if real else None
    if p is not None:
        p = p[0], min(p[1], qrs[0])
        p = p if p[1] - p[0] >= P_SHORTEST_S else None
    t = _wave(measured.t, "T", usual.t, edges)
    if t is not None:
        # The next QRS starts after this T wave ends.
        t = max(t[0], qrs[1]), min(t[1], rr_s + qrs[0])
        t = t if t[1] - t[0] >= T_SHORTEST_S else None
    # Every heart that contracts repolarises, but one in atrial fibrillation has no P wave.
    flat = t is not None and measured.t is not None and measured.t.snr < FOUND_SNR
    notes = (NO_P,) * (p is None) + (NO_T,) * (t is None) + (FLAT_T,) * flat
    return Boundaries(qrs=qrs, p=p, t=t, rr_s=rr_s, notes=notes)


def _qrs(found: Span, usual: Boundaries, edges: Mapping[str, Edge]) -> Span:
    on, off = edges["QRS on"], edges["QRS off"]
    assert on.trust is not None
    assert off.trust is not None
    return _drawn(found[0], on, on.trust, usual.qrs[0]), _drawn(found[1], off, off.trust, usual.qrs[1])


def _wave(found: Wave | None, name: str, usual: Span | None, edges: Mapping[str, Edge]) -> Span | None:
    if found is None or usual is None:
        return None
    trust = found.snr**2 / (found.snr**2 + FOUND_SNR**2)
    return (
        _drawn(found.on, edges[f"{name} on"], trust, usual[0]),
        _drawn(found.off, edges[f"{name} off"], trust, usual[1]),
    )


def _drawn(at: float, edge: Edge, trust: float, usual_s: float) -> float:
    """Return a measured boundary (samples) in seconds, shifted and drawn towards the usual one."""
    return usual_s + trust * (at / FS_HZ + edge.shift_s - usual_s)


def component_codes(bounds: Boundaries, r_B: np.ndarray, samples: int) -> np.ndarray:
    """Paint every beat of a record.

    Parameters
    ----------
    bounds
        The record's boundaries.
    r_B
        R peaks of all its beats, samples at 250 Hz.
    samples
        Length of the record at 250 Hz (T).

    Returns
    -------
    numpy.ndarray
        uint8 codes (T,): P, PQ, QRS, ST, T around each R, TP between beats, and
        ``undefined`` where a wave that was not found would have been.
    """
    code_T = np.full(samples, COMPONENT_CODE["TP"], dtype=np.uint8)
    expected = fixed_offsets(bounds.rr_s)
    spans: list[tuple[str, Span]] = []
    if bounds.t is None:
        assert expected.t is not None
        spans.append(("undefined", (bounds.qrs[1], max(expected.t[1], bounds.qrs[1]))))
    else:
        spans += [("T", bounds.t), ("ST", (bounds.qrs[1], bounds.t[0]))]
    if bounds.p is None:
        assert expected.p is not None
        spans.append(("undefined", (min(expected.p[0], bounds.qrs[0]), bounds.qrs[0])))
    else:
        spans += [("P", bounds.p), ("PQ", (bounds.p[1], bounds.qrs[0]))]
    # At high rates a beat's P runs into the last beat's T: the later beat wins, and QRS always does.
    for name, (on, off) in [*spans, ("QRS", bounds.qrs)]:
        at_BK = r_B[:, None] + np.arange(round(on * FS_HZ), round(off * FS_HZ))
        code_T[at_BK[(at_BK >= 0) & (at_BK < samples)]] = COMPONENT_CODE[name]
    return code_T
