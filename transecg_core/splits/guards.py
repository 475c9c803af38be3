"""Guards that refuse a split in which the probe was, in effect, already seen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from transecg_core.signals.schema import WINDOW, Windows

GAP = WINDOW
"""Samples of silence between the last gallery window and the first probe of a record: one window."""

AFTER = WINDOW + GAP
"""Least distance (samples) of a ``later-in-record`` probe's R peak from every enrolled one of its record."""


def refuse_leaks(
    windows: Windows, gallery_N: np.ndarray, probes: Mapping[str, np.ndarray], leaky: bool = False
) -> None:
    """Raise if a probe leaks into the gallery.

    Always refused: a window in two parts. Unless `leaky`: a recording on both sides
    (``other-record``, ``other-session``), a session on both sides (``other-session``),
    a probe less than `AFTER` behind a gallery window of its recording
    (``later-in-record``), and a probe identical to a gallery window.

    Raises
    ------
    ValueError
        Naming the protocol and what was shared.
    """
    times_used = gallery_N.astype(np.int64) + sum(mask.astype(np.int64) for mask in probes.values())
    if (times_used > 1).any():
        raise ValueError("split refused: a window is in the gallery and a probe set, or in two probe sets")
    if leaky:
        return
    for name, mask in probes.items():
        if name == "later-in-record":
            _refuse_overlap(windows, gallery_N, mask)
        elif np.intersect1d(windows.record_N[gallery_N], windows.record_N[mask]).size:
            raise ValueError(f"split refused: {name} has windows of one recording on both sides")
        if name == "other-session" and _sessions(windows, gallery_N) & _sessions(windows, mask):
            raise ValueError("split refused: other-session has one session on both sides")
        if identical(windows, gallery_N, mask).any():
            raise ValueError(
                f"split refused: {name} has identical windows on both sides (a duplicate recording)"
            )


def identical(windows: Windows, gallery_N: np.ndarray, mask_N: np.ndarray) -> np.ndarray:
    """Return which windows of `mask_N` are byte-identical to a gallery window, bool (N,)."""
    enrolled = {_digest(x_L) for x_L in windows.x_NL[gallery_N]}
    same_N = np.zeros(len(windows), dtype=bool)
    for row in np.flatnonzero(mask_N):
        same_N[row] = _digest(windows.x_NL[row]) in enrolled
    return same_N


def _refuse_overlap(windows: Windows, gallery_N: np.ndarray, mask: np.ndarray) -> None:
    for record in np.unique(windows.record_N[mask]):
        own = windows.record_N == record
        enrolled = windows.r_sample_N[own & gallery_N]
        if len(enrolled) and windows.r_sample_N[own & mask].min() - enrolled.max() < AFTER:
            raise ValueError(
                "split refused: later-in-record has probes that overlap, precede or closely follow enrolled windows"
            )


def _sessions(windows: Windows, mask: np.ndarray) -> set[tuple[int, int]]:
    pairs = np.stack([windows.participant_N[mask], windows.session_N[mask]], axis=1)
    return {(int(person), int(session)) for person, session in np.unique(pairs, axis=0)}


def _digest(x_L: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(x_L).tobytes(), digest_size=16).digest()
