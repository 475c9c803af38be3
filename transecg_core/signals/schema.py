"""Model-ready windows: the contract between signals and everything after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import Diagnosis, Sex

FS_HZ = 250.0
WINDOW = 200
"""Samples per window (L): R - 0.30 s .. R + 0.50 s at 250 Hz."""
R_OFFSET = 75
"""Index of the R peak inside a window."""


@dataclass(frozen=True)
class RecordInfo:
    """What is known about one record; ``participant`` is the local id."""

    participant: str
    session: int
    record: str
    lead: str
    duration_s: float
    age: float | None
    sex: Sex | None
    diagnosis: Diagnosis | None


@dataclass(frozen=True)
class Skip:
    """`count` things of `record` left out or mended for `reason`; the name stays local."""

    record: str
    reason: str
    count: int


@dataclass(frozen=True)
class Windows:
    """All windows of one site.

    Attributes
    ----------
    x_NL
        float32, z-normed windows (N, L = 200) at 250 Hz; may be memory-mapped read-only.
    participant_N, record_N
        int32 indices into `participants` and `records`.
    session_N
        int16 session rank.
    beat_N
        uint8 code of `transecg_core.cohorts.schema.BEATS`, or ``UNKNOWN``.
    component_NL
        uint8 component code per sample.
    r_sample_N
        int64 position of the R peak in its record at 250 Hz; rows of a record ascend.
    scale_N
        float32 standard deviation (mV) of the window before it was z-normed: what normalising took out.
    rpeak_B, rpeak_record_B
        Every R peak detected (int64, position in its record at 250 Hz) and its record (int32 index
        into `records`); rows of a record are together and ascend. Windows are capped per record
        and pass a quality gate, so they alone don't show the rhythm.
    skips
        What was left out or mended, one entry per record and reason, in order of first appearance.
    """

    x_NL: np.ndarray
    participant_N: np.ndarray
    session_N: np.ndarray
    record_N: np.ndarray
    beat_N: np.ndarray
    component_NL: np.ndarray
    r_sample_N: np.ndarray
    scale_N: np.ndarray
    rpeak_B: np.ndarray
    rpeak_record_B: np.ndarray
    participants: tuple[str, ...]
    records: tuple[RecordInfo, ...]
    skips: tuple[Skip, ...]

    @property
    def skipped(self) -> Mapping[str, int]:
        """Reason -> count over records and windows, sorted by reason; names nobody."""
        counts: Counter[str] = Counter()
        for skip in self.skips:
            counts[skip.reason] += skip.count
        return dict(sorted(counts.items()))

    def __len__(self) -> int:
        return int(self.x_NL.shape[0])
