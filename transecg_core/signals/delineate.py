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
BEATS_GIVEN = 4
"""It needs this many to know the heart rate."""
FALLBACK = "delineation: fixed offsets used"
NO_P = "delineation: P wave not found"
NO_T = "delineation: T wave not found"

QRS_REACH = (0.11, 0.13)
"""How far (s) before and after R a QRS may begin and end."""
QRS_SLOPE, QRS_CALM = 0.06, 6
P_ON_EARLY, T_ON_EARLY, T_OFF_LATE = 0.008, 0.032, 0.012
"""Seconds by which neurokit2 puts P and T onsets later, and T offsets earlier, than LUDB's
cardiologists do (medians over 200 people, lead I); taken back here. Fitted on LUDB; QTDB was not used for these three."""
P_TOLERANCE, T_TOLERANCE = 0.08, 0.12
"""A wave whose edge lies further (s) from where it usually is was mistaken for something else, as
happens where there is none (atrial fibrillation) or a flat one: it counts as not found."""


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

    Medians and, for the T wave, regressions on the square root of RR of LUDB's manual
    annotations in lead I (200 people). P and QRS hardly change with rate.
    """
    root = math.sqrt(min(max(rr_s, RR_LIMITS_S[0]), RR_LIMITS_S[1]))
    return Boundaries(
        qrs=(-0.044, 0.046),
        p=(-0.194, -0.092),
        t=(0.174 * root + 0.005, 0.321 * root + 0.045),
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
    return _from_beat(beat_R) or fixed_offsets(rr / FS_HZ, (FALLBACK,))


def _from_beat(beat_R: np.ndarray) -> Boundaries | None:
    """Delineate the median beat; None if the method fails or finds neither P nor T."""
    rr_s, r = beat_R.shape[0] / FS_HZ, round(BEFORE_R * beat_R.shape[0])
    usual = fixed_offsets(rr_s)
    waves = _wavelet(beat_R, r)
    if waves is None:
        return None
    qrs = _qrs(beat_R, r)
    if qrs is None:
        return None
    p = _p_wave(waves, usual, qrs)
    # The method looks for upright T waves only: an inverted one is upright on the flipped beat.
    inverted = _inverted_t(beat_R, r, usual)
    t = None if inverted else _t_wave(waves, usual, qrs)
    if t is None:
        t = _t_wave(_wavelet(-beat_R, r) or {}, usual, qrs)
    if t is None and inverted:
        t = _t_wave(waves, usual, qrs)
    if p is None and t is None:
        return None
    notes = (NO_P,) * (p is None) + (NO_T,) * (t is None)
    return Boundaries(qrs=qrs, p=p, t=t, rr_s=rr_s, notes=notes)


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
    copies = max(BEATS_GIVEN + 2, math.ceil(TILED_S * FS_HZ / rr))
    # Not the first and last copies: their neighbours are missing. Its cost is per beat.
    r_C = np.arange(1, BEATS_GIVEN + 1) * rr + r
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
    middle = BEATS_GIVEN // 2
    return {name: (float(values[middle]) - float(r_C[middle])) / FS_HZ for name, values in waves.items()}


def _inverted_t(beat_R: np.ndarray, r: int, usual: Boundaries) -> bool:
    """Return whether the largest deflection where the T wave is expected points down (R points up)."""
    assert usual.t is not None
    part = beat_R[r + round((usual.t[0] - 0.04) * FS_HZ) : r + round((usual.t[1] + 0.04) * FS_HZ)]
    if part.size < 3:
        return False
    part = part - np.linspace(part[0], part[-1], part.size)
    return bool(-part.min() > part.max())


def _qrs(beat_R: np.ndarray, r: int) -> Span | None:
    """Return where the steep part around R begins and ends, in seconds; None if that is no QRS.

    An edge is where the smoothed slope stays under a small part of its largest value for 24 ms. (The
    wavelet method's own QRS edges need a P wave and a T wave to be found, and are off by 39 and 22 ms on
    average against QTDB's cardiologists, missing in one of five records; these by 10 and 11 ms, never missing,
    but their threshold was chosen on LUDB and QTDB together, so that figure is in-sample.)
    """
    slope_R = np.convolve(np.abs(np.gradient(beat_R)), [0.25, 0.5, 0.25], mode="same")
    first, last = (
        max(0, r - round(QRS_REACH[0] * FS_HZ)),
        min(slope_R.size - 1, r + round(QRS_REACH[1] * FS_HZ)),
    )
    steep_R = slope_R > QRS_SLOPE * slope_R[first : last + 1].max()
    on = _calm(steep_R, range(r - 3, first - 1, -1))
    off = _calm(steep_R, range(r + 3, last + 1))
    span = (on - r) / FS_HZ, (off - r) / FS_HZ
    return span if span[1] - span[0] >= 0.04 else None


def _calm(steep_R: np.ndarray, way: range) -> int:
    """Return the last steep sample before the first `QRS_CALM` calm ones on the way; its end if there are none."""
    run = 0
    for i in way:
        run = 0 if steep_R[i] else run + 1
        if run == QRS_CALM:
            return i - (QRS_CALM if way.step > 0 else -QRS_CALM)
    return way[-1]


def _p_wave(waves: dict[str, float], usual: Boundaries, qrs: Span) -> Span | None:
    p = _span(waves, "ECG_P", (P_ON_EARLY, 0.0))
    if p is None or not _near(p, usual.p, P_TOLERANCE):
        return None
    p = (p[0], min(p[1], qrs[0]))
    return p if 0.03 <= p[1] - p[0] else None


def _t_wave(waves: dict[str, float], usual: Boundaries, qrs: Span) -> Span | None:
    t = _span(waves, "ECG_T", (T_ON_EARLY, T_OFF_LATE))
    if t is None or not _near(t, usual.t, T_TOLERANCE):
        return None
    # The next QRS starts after this T wave ends.
    t = (max(t[0], qrs[1]), min(t[1], usual.rr_s + qrs[0]))
    return t if 0.05 <= t[1] - t[0] else None


def _near(span: Span, usual: Span | None, tolerance: float) -> bool:
    assert usual is not None
    return abs(span[0] - usual[0]) <= tolerance and abs(span[1] - usual[1]) <= tolerance


def _span(waves: dict[str, float], wave: str, correction: Span) -> Span | None:
    """Return corrected onset and offset; an edge that is missing mirrors the other one about the peak."""
    on, peak, off = (waves.get(f"{wave}_{part}", math.nan) for part in ("Onsets", "Peaks", "Offsets"))
    on, off = on - correction[0], off + correction[1]
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
