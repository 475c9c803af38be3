"""Fiducial features: the intervals, heights, slopes and areas that a cardiologist could name.

Measured on one beat (a record's median beat, or a single one) between the boundaries that the
delineation painted. They know nothing of a cohort and nothing of other people. What a beat does not
show (no P wave, a T wave that runs out of the window) is NaN, never a number.

A window is z-normed and holds one beat: absolute millivolts and heart rate are not in it. Heights
are therefore relative to R's, measured from the level at the QRS's onset, and counted in R's own
direction: 0.2 is a fifth of R to the same side, also where the lead points R down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.signals.schema import FS_HZ, R_OFFSET

_MS = 1000 / FS_HZ
_FLAT = 1e-6
_ST_AFTER_J = round(0.06 * FS_HZ)
"""ST level is read 60 ms after J, or at the T wave's peak if that comes first."""
_LEVEL = 3
"""Samples up to the QRS's onset whose mean is the level."""


@dataclass(frozen=True)
class Fiducial:
    """One feature: its name, unit and meaning.

    Attributes
    ----------
    wave
        What must be there to measure it: P, QRS or T.
    component
        The component of the beat that it speaks of: the one whose samples it is read from. An interval
        that runs over several belongs to the segment between the waves (PR to PQ, QT to ST), whose
        length it shares more of than of any one wave's.
    """

    name: str
    unit: str
    wave: str
    component: str
    meaning: str


FIDUCIALS: tuple[Fiducial, ...] = (
    Fiducial("QRS duration", "ms", "QRS", "QRS", "onset of QRS to J"),
    Fiducial("QRS onset to R", "ms", "QRS", "QRS", "onset of QRS to the R peak"),
    Fiducial("R to J", "ms", "QRS", "QRS", "R peak to the end of QRS"),
    Fiducial("Q to R", "ms", "QRS", "QRS", "lowest point before R to the R peak"),
    Fiducial("R to S", "ms", "QRS", "QRS", "R peak to the lowest point after it"),
    Fiducial("R height", "z", "QRS", "QRS", "R above the level at QRS onset, in standard deviations of the window; signed"),
    Fiducial("Q height", "R", "QRS", "QRS", "lowest point before R"),
    Fiducial("S height", "R", "QRS", "QRS", "lowest point after R"),
    Fiducial("J height", "R", "QRS", "QRS", "level at the end of QRS"),
    Fiducial("QRS upslope", "R/ms", "QRS", "QRS", "steepest rise within QRS"),
    Fiducial("QRS downslope", "R/ms", "QRS", "QRS", "steepest fall within QRS"),
    Fiducial("QRS area", "R ms", "QRS", "QRS", "signed area of QRS"),
    Fiducial("QRS absolute area", "R ms", "QRS", "QRS", "area of QRS, both signs counted up"),
    Fiducial("P duration", "ms", "P", "P", "onset to end of P"),
    Fiducial("PR interval", "ms", "P", "PQ", "onset of P to onset of QRS"),
    Fiducial("PQ segment", "ms", "P", "PQ", "end of P to onset of QRS"),
    Fiducial("P peak to R", "ms", "P", "PQ", "peak of P to the R peak"),
    Fiducial("P height", "R", "P", "P", "largest deflection of P"),
    Fiducial("P upslope", "R/ms", "P", "P", "steepest rise within P"),
    Fiducial("P downslope", "R/ms", "P", "P", "steepest fall within P"),
    Fiducial("P area", "R ms", "P", "P", "signed area of P"),
    Fiducial("P rise share", "1", "P", "P", "onset to peak over duration of P"),
    Fiducial("ST segment", "ms", "T", "ST", "J to onset of T"),
    Fiducial("ST height", "R", "T", "ST", "level 60 ms after J"),
    Fiducial("ST slope", "R/ms", "T", "ST", "J to onset of T"),
    Fiducial("T duration", "ms", "T", "T", "onset to end of T"),
    Fiducial("QT interval", "ms", "T", "ST", "onset of QRS to end of T"),
    Fiducial("R to T peak", "ms", "T", "ST", "R peak to the peak of T"),
    Fiducial("T peak to end", "ms", "T", "T", "peak to end of T"),
    Fiducial("T height", "R", "T", "T", "largest deflection of T"),
    Fiducial("T upslope", "R/ms", "T", "T", "steepest rise within T"),
    Fiducial("T downslope", "R/ms", "T", "T", "steepest fall within T"),
    Fiducial("T area", "R ms", "T", "T", "signed area of T"),
    Fiducial("T rise share", "1", "T", "T", "onset to peak over duration of T"),
)  # fmt: skip
"""The features (F), in the order of the columns of `fiducials`."""
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FIDUCIALS)


def record_fiducials(x_NL: np.ndarray, component_NL: np.ndarray, record_N: np.ndarray) -> np.ndarray:
    """Return the features (R, F) of each record's median beat.

    Parameters
    ----------
    x_NL
        Windows, z-normed, the R peak at `R_OFFSET`, 250 Hz.
    component_NL
        Component code per sample.
    record_N
        Record of each window: dense indices 0..R-1, each with a window.
    """
    rows = []
    for record in range(int(record_N.max()) + 1 if len(record_N) else 0):
        own_N = record_N == record
        rows.append(fiducials(np.median(x_NL[own_N], axis=0), _usual_codes(component_NL[own_N])))
    return np.array(rows).reshape(len(rows), len(FIDUCIALS))


def _usual_codes(component_KL: np.ndarray) -> np.ndarray:
    """Return the most frequent code of every sample (L)."""
    codes = np.unique(component_KL)
    counts_CL = (component_KL[None, :, :] == codes[:, None, None]).sum(axis=1)
    return np.asarray(codes[counts_CL.argmax(axis=0)])


def fiducials(x_L: np.ndarray, component_L: np.ndarray) -> np.ndarray:
    """Return the features (F,) of one beat; NaN for what it does not show.

    Parameters
    ----------
    x_L
        One beat, the R peak at `R_OFFSET`, 250 Hz; scale and offset don't matter, save for ``R height``.
    component_L
        Component code per sample.
    """
    found: dict[str, float] = {}
    qrs = _run(component_L, "QRS", R_OFFSET)
    if qrs is not None and np.isfinite(x_L).all():
        level = float(x_L[max(0, qrs[0] - _LEVEL + 1) : qrs[0] + 1].mean())
        height = float(x_L[R_OFFSET]) - level
        if abs(height) > _FLAT:
            y_L = (x_L.astype(np.float64) - level) / height
            found |= {"R height": height, **_qrs(y_L, qrs)}
            found |= _p(y_L, component_L, qrs) | _t(y_L, component_L, qrs)
    return np.array([found.get(name, np.nan) for name in FEATURE_NAMES])


def _run(component_L: np.ndarray, wave: str, at: int) -> tuple[int, int] | None:
    """Return first and last sample of the stretch of a component around sample `at`; None if it isn't there."""
    own_L = component_L == COMPONENT_CODE[wave]
    if not own_L[at]:
        return None
    gaps = np.flatnonzero(~own_L)
    before, after = gaps[gaps < at], gaps[gaps > at]
    return int(before[-1]) + 1 if len(before) else 0, int(after[0]) - 1 if len(after) else len(own_L) - 1


def _qrs(y_L: np.ndarray, qrs: tuple[int, int]) -> dict[str, float]:
    on, off = qrs
    q, s = on + int(y_L[on : R_OFFSET + 1].argmin()), R_OFFSET + int(y_L[R_OFFSET : off + 1].argmin())
    inside = y_L[on : off + 1]
    return {
        "QRS duration": (off - on + 1) * _MS,
        "QRS onset to R": (R_OFFSET - on) * _MS,
        "R to J": (off - R_OFFSET) * _MS,
        "Q to R": (R_OFFSET - q) * _MS,
        "R to S": (s - R_OFFSET) * _MS,
        "Q height": float(y_L[q]),
        "S height": float(y_L[s]),
        "J height": float(y_L[off]),
        "QRS absolute area": float(np.abs(inside).sum()) * _MS,
        **_wave("QRS", inside),
    }


def _wave(name: str, y_K: np.ndarray) -> dict[str, float]:
    """Return steepest rise and fall, and the signed area."""
    step_K = np.diff(y_K) / _MS
    if len(step_K) == 0:
        return {}
    return {
        f"{name} upslope": float(step_K.max()),
        f"{name} downslope": float(step_K.min()),
        f"{name} area": float(y_K.sum()) * _MS,
    }


def _p(y_L: np.ndarray, component_L: np.ndarray, qrs: tuple[int, int]) -> dict[str, float]:
    before = np.flatnonzero(component_L[: qrs[0]] == COMPONENT_CODE["P"])
    span = _run(component_L, "P", int(before[-1])) if len(before) else None
    if span is None:
        return {}
    on, off = span
    peak = on + int(np.abs(y_L[on : off + 1]).argmax())
    found = {
        "PQ segment": (qrs[0] - off - 1) * _MS,
        "P peak to R": (R_OFFSET - peak) * _MS,
        "P height": float(y_L[peak]),
        **_wave("P", y_L[on : off + 1]),
    }
    if on > 0:  # else it began before the window
        found["P duration"] = (off - on + 1) * _MS
        found["PR interval"] = (qrs[0] - on) * _MS
        found["P rise share"] = (peak - on) / max(off - on, 1)
    else:
        found.pop("P area", None)
    return found


def _t(y_L: np.ndarray, component_L: np.ndarray, qrs: tuple[int, int]) -> dict[str, float]:
    after = np.flatnonzero(component_L[qrs[1] + 1 :] == COMPONENT_CODE["T"])
    span = _run(component_L, "T", qrs[1] + 1 + int(after[0])) if len(after) else None
    if span is None:
        return {}
    on, off = span
    peak, j = on + int(np.abs(y_L[on : off + 1]).argmax()), qrs[1]
    found = {
        "ST segment": (on - j - 1) * _MS,
        "ST height": float(y_L[min(j + _ST_AFTER_J, peak)]),
        "ST slope": float(y_L[on] - y_L[j]) / ((on - j) * _MS),
        "R to T peak": (peak - R_OFFSET) * _MS,
        "T height": float(y_L[peak]),
        **_wave("T", y_L[on : off + 1]),
    }
    if off < len(y_L) - 1:  # else it ends after the window
        found["T duration"] = (off - on + 1) * _MS
        found["QT interval"] = (off - qrs[0] + 1) * _MS
        found["T peak to end"] = (off - peak) * _MS
        found["T rise share"] = (peak - on) / max(off - on, 1)
    else:
        found.pop("T area", None)
    return found
