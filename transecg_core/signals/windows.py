"""Recordings to windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import BEATS, COMPONENT_CODE, UNKNOWN, Recording, SiteSource, SkipLog
from transecg_core.errors import UserError
from transecg_core.signals import delineate, preprocess, quality, rpeaks
from transecg_core.signals.schema import FS_HZ, R_OFFSET, WINDOW, RecordInfo, Skip, Windows

MAX_PER_RECORD = 400
NO_BEAT = "record: no usable heartbeat"
EDGE = "window: beat at the edge of the record"
FLAT = "window: flat"
UNLIKE = f"window: correlation with the record's median beat below {quality.MIN_CORRELATION:g}"
OVER_CAP = "window: over the cap per record"
MISSED = "beat: reference beat not detected"
POINTS_DOWN = "record kept: R peak points down"


@dataclass(frozen=True)
class RecordWindows:
    """Windows and all R peaks of one record; arrays as in `Windows`."""

    x_NL: np.ndarray
    beat_N: np.ndarray
    component_NL: np.ndarray
    r_sample_N: np.ndarray
    scale_N: np.ndarray
    rpeak_B: np.ndarray


def build_windows(source: SiteSource, max_per_record: int = MAX_PER_RECORD) -> Windows:
    """Read a site and cut it into windows.

    Parameters
    ----------
    source
        The site.
    max_per_record
        Most windows kept of one record: labelled V and S beats first, up to half
        of it, the rest evenly spaced.

    Returns
    -------
    Windows
        Only participants and records with at least one window; everything left
        out is listed in ``skips``.

    Raises
    ------
    UserError
        If the site has no usable record.
    """
    skips = SkipLog()
    participants: dict[str, int] = {}
    infos: list[RecordInfo] = []
    parts: list[RecordWindows] = []
    owner: list[int] = []
    for recording, part in _usable(source, max_per_record, skips):
        owner.append(participants.setdefault(recording.participant, len(participants)))
        infos.append(_info(recording))
        parts.append(part)
    if not parts:
        raise _unusable(source, skips)
    return _joined(tuple(participants), owner, infos, parts, _listed(skips))


def _joined(
    participants: tuple[str, ...],
    owner: list[int],
    infos: list[RecordInfo],
    parts: list[RecordWindows],
    skips: tuple[Skip, ...],
) -> Windows:
    size = [part.x_NL.shape[0] for part in parts]
    peaks = [part.rpeak_B.shape[0] for part in parts]
    return Windows(
        x_NL=np.concatenate([part.x_NL for part in parts]),
        participant_N=np.repeat(np.asarray(owner, dtype=np.int32), size),
        session_N=np.repeat(np.asarray([info.session for info in infos], dtype=np.int16), size),
        record_N=np.repeat(np.arange(len(infos), dtype=np.int32), size),
        beat_N=np.concatenate([part.beat_N for part in parts]),
        component_NL=np.concatenate([part.component_NL for part in parts]),
        r_sample_N=np.concatenate([part.r_sample_N for part in parts]),
        scale_N=np.concatenate([part.scale_N for part in parts]),
        rpeak_B=np.concatenate([part.rpeak_B for part in parts]),
        rpeak_record_B=np.repeat(np.arange(len(infos), dtype=np.int32), peaks),
        participants=participants,
        records=tuple(infos),
        skips=skips,
    )


def _unusable(source: SiteSource, skips: SkipLog) -> UserError:
    reasons = "; ".join(f"{reason} ({count})" for reason, count in skips.counts().items())
    return UserError(
        f"site '{source.name}': no usable record: {reasons or 'nothing to read'}; check units and rates first"
    )


def _listed(skips: SkipLog) -> tuple[Skip, ...]:
    return tuple(Skip(record, reason, count) for (record, reason), count in Counter(skips.items).items())


def _usable(
    source: SiteSource, max_per_record: int, skips: SkipLog
) -> Iterator[tuple[Recording, RecordWindows]]:
    for recording in source.read(skips):
        try:
            part = record_windows(recording, max_per_record, skips)
        except ValueError as error:
            skips.add(recording.record, f"record: {error}")
            continue
        if part is None:
            skips.add(recording.record, NO_BEAT)
        else:
            yield recording, part


def _info(recording: Recording) -> RecordInfo:
    return RecordInfo(
        participant=recording.participant,
        session=recording.session,
        record=recording.record,
        lead=recording.lead,
        duration_s=recording.signal_mv.shape[0] / recording.fs_hz,
        age=recording.age,
        sex=recording.sex,
        diagnosis=recording.labels.diagnosis,
    )


def record_windows(recording: Recording, max_per_record: int, skips: SkipLog) -> RecordWindows | None:
    """Cut one recording into windows; None if it has no usable heartbeat.

    Windows keep the lead's sign: which way R points is the heart's axis, and the person's. Records in
    which it points down are noted.

    Raises
    ------
    ValueError
        If the recording can't be cleaned (see `preprocess.clean`).
    """
    x_T = preprocess.clean(recording.signal_mv, recording.fs_hz)
    all_r_B = rpeaks.detect(x_T)
    all_beat_B = _beats(recording, all_r_B, skips)
    cut = _cut(x_T, all_r_B, all_beat_B)
    for reason, count in cut.left_out().items():
        skips.add(recording.record, reason, count)
    if not cut.good_B.any():
        return None
    if rpeaks.points_down(x_T, cut.r_B[cut.good_B]):
        skips.add(recording.record, POINTS_DOWN)
    typical_r = cut.r_B[cut.good_B & ~_ectopic(cut.beat_B)]
    component_T = _components(x_T, all_r_B, all_beat_B, typical_r, recording.record, skips)
    kept = np.flatnonzero(cut.good_B)
    kept = kept[_spread(cut.beat_B[kept], max_per_record)]
    skips.add(recording.record, OVER_CAP, int(cut.good_B.sum()) - kept.size)
    x_NL, scale_N = _znorm(cut.x_BL[kept])
    return RecordWindows(
        x_NL=x_NL,
        beat_N=cut.beat_B[kept],
        component_NL=component_T[_samples(cut.r_B[kept])],
        r_sample_N=cut.r_B[kept],
        scale_N=scale_N,
        rpeak_B=all_r_B.astype(np.int64),
    )


@dataclass(frozen=True)
class _Cut:
    """Windows around the beats that have room for one, in mV; ``edge`` beats have none."""

    r_B: np.ndarray
    beat_B: np.ndarray
    x_BL: np.ndarray
    flat_B: np.ndarray
    good_B: np.ndarray
    edge: int

    def left_out(self) -> dict[str, int]:
        """Return reason -> number of beats without a usable window."""
        unlike = int((~self.good_B & ~self.flat_B).sum())
        return {EDGE: self.edge, FLAT: int(self.flat_B.sum()), UNLIKE: unlike}


def _cut(x_T: np.ndarray, r_B: np.ndarray, beat_B: np.ndarray) -> _Cut:
    inside_B = (r_B >= R_OFFSET) & (r_B - R_OFFSET + WINDOW <= x_T.shape[0])
    edge, r_B, beat_B = int((~inside_B).sum()), r_B[inside_B], beat_B[inside_B]
    x_BL = x_T[_samples(r_B)]
    flat_B = quality.flat(x_BL)
    return _Cut(r_B, beat_B, x_BL, flat_B, quality.typical(x_BL, _ectopic(beat_B), flat_B), edge)


def _samples(r_B: np.ndarray) -> np.ndarray:
    """Return the samples of each beat's window, (B, L)."""
    return np.asarray(r_B[:, None] + np.arange(-R_OFFSET, WINDOW - R_OFFSET))


def _beats(recording: Recording, r_B: np.ndarray, skips: SkipLog) -> np.ndarray:
    labels = recording.labels
    if labels.beat_sample_B is None or labels.beat_class_B is None:
        return np.full(r_B.size, UNKNOWN, dtype=np.uint8)
    reference_A = preprocess.to_common_rate(labels.beat_sample_B, recording.fs_hz)
    beat_B, missed = rpeaks.match_labels(r_B, reference_A, labels.beat_class_B)
    skips.add(recording.record, MISSED, missed)
    return beat_B


def _ectopic(beat_B: np.ndarray) -> np.ndarray:
    return np.asarray((beat_B != UNKNOWN) & (beat_B != BEATS.index("N")))


def _components(
    x_T: np.ndarray, r_B: np.ndarray, beat_B: np.ndarray, typical_r: np.ndarray, record: str, skips: SkipLog
) -> np.ndarray:
    bounds = delineate.delineate(x_T, r_B, typical_r if typical_r.size else r_B)
    for note in bounds.notes:
        skips.add(record, note)
    code_T = delineate.component_codes(bounds, r_B, x_T.shape[0])
    # The typical beat says nothing about a ventricular one: no P wave, a wide QRS, another T.
    rr = bounds.rr_s * FS_HZ
    wide = np.arange(-round(0.35 * rr), round(0.6 * rr))
    at_VK = r_B[beat_B == BEATS.index("V")][:, None] + wide
    code_T[at_VK[(at_VK >= 0) & (at_VK < x_T.shape[0])]] = COMPONENT_CODE["undefined"]
    return code_T


def _spread(beat_B: np.ndarray, cap: int) -> np.ndarray:
    """Return indices of at most `cap` beats: V and S first up to half the cap, the rest evenly spaced."""
    if beat_B.size <= cap:
        return np.arange(beat_B.size)
    rare, common = np.flatnonzero(_ectopic(beat_B)), np.flatnonzero(~_ectopic(beat_B))
    n_rare = min(rare.size, max(cap // 2, cap - common.size))
    return np.sort(np.concatenate([_even(rare, n_rare), _even(common, cap - n_rare)]))


def _even(index_K: np.ndarray, count: int) -> np.ndarray:
    return index_K[(np.arange(count) * index_K.size) // max(count, 1)]


def _znorm(x_NL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows with mean 0 and standard deviation 1, and the one they had (mV)."""
    x_NL = x_NL - x_NL.mean(axis=1, keepdims=True)
    scale_N1 = x_NL.std(axis=1, keepdims=True)
    return np.asarray(x_NL / scale_N1, dtype=np.float32), scale_N1[:, 0].astype(np.float32)
