"""Heartbeat components: one delineation per record, painted on every beat.

The record's median beat is tiled and delineated once (neurokit2, discrete wavelet
method). That agrees better with exact boundaries than delineating every beat, and
costs hundreds of times less. Where the method fails, offsets that scale with the RR
interval take its place, and the failure is counted.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.signals.schema import FS_HZ

Span = tuple[float, float]

BEFORE_R = 0.4
"""Part of the RR interval before R at which the median beat is cut: late diastole, between T and P."""
RR_LIMITS_S = (0.35, 1.8)
TILED_S = 4.4
"""neurokit2 refuses signals under 4 s."""
FALLBACK = "delineation: fixed offsets used"
NO_P = "delineation: P wave not found"
NO_T = "delineation: T wave not found"


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


def fixed_offsets(rr_s: float, notes: tuple[str, ...] = ()) -> Boundaries:
    """Return typical boundaries for an RR interval (s).

    PQ and QRS hardly change with rate; the T wave's end follows Bazett's law
    (QT = 0.40 s * sqrt(RR), counted from QRS onset).
    """
    root = math.sqrt(min(max(rr_s, RR_LIMITS_S[0]), 1.3))
    pq = 0.16 * (0.75 + 0.25 * root)
    qrs = (-0.045, 0.050)
    p_on = qrs[0] - pq
    t_off = qrs[0] + 0.40 * root
    return Boundaries(
        qrs=qrs,
        p=(p_on, p_on + 0.10 * pq / 0.16),
        t=(max(t_off - 0.20 * root, 0.08), t_off),
        rr_s=rr_s,
        notes=notes,
    )


def delineate(x_T: np.ndarray, r_B: np.ndarray, typical_K: np.ndarray) -> Boundaries:
    """Delineate one record by its median beat.

    Parameters
    ----------
    x_T
        Cleaned signal at 250 Hz.
    r_B
        All its R peaks (samples): they give the RR interval.
    typical_K
        R peaks of the beats the median is taken over.

    Returns
    -------
    Boundaries
        Physiologically ordered; the fixed offsets, with a note, if the method failed.
    """
    rr = _median_rr(r_B)
    beat_R = _median_beat(x_T, typical_K, rr)
    if beat_R is None:
        return fixed_offsets(rr / FS_HZ, (FALLBACK,))
    waves = _wavelet(beat_R, round(BEFORE_R * rr))
    found = None if waves is None else _ordered(waves, rr / FS_HZ)
    return fixed_offsets(rr / FS_HZ, (FALLBACK,)) if found is None else found


def _median_rr(r_B: np.ndarray) -> int:
    rr = float(np.median(np.diff(r_B))) if r_B.size > 1 else 0.8 * FS_HZ
    return round(min(max(rr, RR_LIMITS_S[0] * FS_HZ), RR_LIMITS_S[1] * FS_HZ))


def _median_beat(x_T: np.ndarray, r_B: np.ndarray, rr: int) -> np.ndarray | None:
    """Return the median cycle of `rr` samples, R at ``BEFORE_R * rr`` and positive, peak 1, ends joined."""
    start_B = r_B - round(BEFORE_R * rr)
    start_B = start_B[(start_B >= 0) & (start_B + rr <= x_T.shape[0])]
    if start_B.size == 0:
        return None
    beat_R = np.median(x_T[start_B[:, None] + np.arange(rr)], axis=0)
    # Tiling must not add a step between two copies.
    beat_R = beat_R - np.linspace(beat_R[0], beat_R[-1], rr)
    height = beat_R[round(BEFORE_R * rr)]
    return beat_R / height if abs(height) > 1e-3 else None


def _wavelet(beat_R: np.ndarray, r: int) -> dict[str, float] | None:
    """Delineate the tiled beat; return wave name -> seconds from R (NaN: not found), None if it fails."""
    # Seconds to import, and not needed when windows come from the cache.
    import neurokit2

    rr = beat_R.shape[0]
    copies = max(6, math.ceil(TILED_S * FS_HZ / rr))
    r_C = np.arange(copies) * rr + r
    try:
        with warnings.catch_warnings():
            # Its warnings (empty slices, too few peaks) say that a wave was not found: the NaN says so too.
            warnings.simplefilter("ignore")
            _, waves = neurokit2.ecg_delineate(
                np.tile(beat_R, copies), r_C, sampling_rate=int(FS_HZ), method="dwt"
            )
    except Exception:
        # Known crash modes (IndexError, KeyError, ValueError, ...) on unusual beats; the caller counts them.
        return None
    middle = copies // 2
    return {name: (float(values[middle]) - r_C[middle]) / FS_HZ for name, values in waves.items()}


def _ordered(waves: dict[str, float], rr_s: float) -> Boundaries | None:
    """Turn neurokit2's points into boundaries, dropping waves that can't be where they are said to be."""
    qrs = _qrs(waves)
    if qrs is None:
        return None
    p = _span(waves, "ECG_P")
    if p is not None and not (
        max(-0.36, -0.5 * rr_s) <= p[0] and p[1] <= qrs[0] and 0.03 <= p[1] - p[0] <= 0.2
    ):
        p = None
    t = _span(waves, "ECG_T")
    if t is not None:
        t = (max(t[0], qrs[1]), t[1])
        # The next P wave starts after this T wave ends.
        latest = rr_s + (p[0] if p is not None else qrs[0])
        if not (0.05 <= t[1] - t[0] <= 0.4 and t[1] <= min(latest, 0.65)):
            t = None
    notes = (NO_P,) * (p is None) + (NO_T,) * (t is None)
    return Boundaries(qrs=qrs, p=p, t=t, rr_s=rr_s, notes=notes)


def _qrs(waves: dict[str, float]) -> Span | None:
    on, off = waves["ECG_R_Onsets"], waves["ECG_R_Offsets"]
    plausible = -0.13 <= on <= -0.01 and 0.01 <= off <= 0.16 and off - on >= 0.04
    return (on, off) if plausible else None


def _span(waves: dict[str, float], wave: str) -> Span | None:
    """Return onset and offset; an edge that is missing mirrors the other one about the peak."""
    on, peak, off = (waves[f"{wave}_{part}"] for part in ("Onsets", "Peaks", "Offsets"))
    on = 2 * peak - off if math.isnan(on) else on
    off = 2 * peak - on if math.isnan(off) else off
    return (on, off) if on < off else None


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
