"""Amplitude and rhythm of the recordings behind an audit's windows."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.artefacts import Recordings
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.signals.schema import FS_HZ, Windows


def recordings_of(ctx: AuditContext, case: Case) -> Recordings:
    """Return what the gallery records and the queries tell beside the shape of their beats.

    Only the stretch between the first and the last window counts: of a record that is part gallery,
    part probe, each side has its own beats.
    """
    gallery, probes = case.gallery, case.probes
    enrolled = _grouped(case.gallery_row_N, gallery.record_N)
    asked = _grouped(case.probe_row_N, probes.query_N)
    site_R = [int(site) for site in gallery.site_N[np.unique(gallery.record_N, return_index=True)[1]]]
    first = [_told(ctx.sites[s].windows, rows) for s, rows in zip(site_R, enrolled, strict=True)]
    second = [_told(ctx.sites[s].windows, rows) for s, rows in zip(probes.site_Q, asked, strict=True)]
    return Recordings(
        np.array([scale for scale, _ in first]),
        np.array([scale for scale, _ in second]),
        tuple(rr for _, rr in first),
        tuple(rr for _, rr in second),
    )


def _grouped(row_N: np.ndarray, group_N: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each group; groups are numbered in order of appearance."""
    return np.split(row_N, np.flatnonzero(np.diff(group_N)) + 1) if len(row_N) else []


def _told(windows: Windows, rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the median scale (mV) of windows of one record, and the RR intervals (s) that they span."""
    at_N = windows.r_sample_N[rows]
    own = slice(*np.searchsorted(windows.rpeak_record_B, windows.record_N[rows[0]] + np.arange(2)))
    peak_B = windows.rpeak_B[own]
    peak_B = peak_B[(peak_B >= at_N.min()) & (peak_B <= at_N.max())]
    return float(np.median(windows.scale_N[rows])), np.diff(peak_B) / FS_HZ
