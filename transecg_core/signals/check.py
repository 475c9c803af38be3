"""Whether windows keep their contract: shapes, types, and indices and codes that mean something."""

from __future__ import annotations

import numpy as np

from transecg_core.cohorts.schema import BEATS, COMPONENTS, UNKNOWN
from transecg_core.signals.schema import WINDOW, Windows

TYPES = {
    "x_NL": np.float32,
    "participant_N": np.int32,
    "session_N": np.int16,
    "record_N": np.int32,
    "beat_N": np.uint8,
    "component_NL": np.uint8,
    "r_sample_N": np.int64,
    "scale_N": np.float32,
    "rpeak_B": np.int64,
    "rpeak_record_B": np.int32,
}


def check(windows: Windows) -> None:
    """Check windows against the contract in `Windows`.

    Raises
    ------
    ValueError
        Naming the first array that breaks it.
    """
    beats, participants, records = windows.rpeak_B.size, len(windows.participants), len(windows.records)
    shapes = {"_NL": (len(windows), WINDOW), "_N": (len(windows),), "_B": (beats,)}
    for name, dtype in TYPES.items():
        array = getattr(windows, name)
        if array.dtype != dtype or array.shape != shapes[name[name.rindex("_") :]]:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    _within("participant_N", windows.participant_N, 0, participants)
    _within("record_N", windows.record_N, 0, records)
    _within("rpeak_record_B", windows.rpeak_record_B, 0, records)
    _within("component_NL", windows.component_NL, 0, len(COMPONENTS))
    _within("beat_N", windows.beat_N[windows.beat_N != UNKNOWN], 0, len(BEATS))
    _within("session_N", windows.session_N, 1, np.inf)
    _within("r_sample_N", windows.r_sample_N, 0, np.inf)
    if not (np.isfinite(windows.scale_N).all() and (windows.scale_N > 0).all()):
        raise ValueError("scale_N is out of bounds")
    _within("rpeak_B", windows.rpeak_B, 0, np.inf)
    place = {participant: index for index, participant in enumerate(windows.participants)}
    owner_R = np.array([place.get(record.participant, -1) for record in windows.records])
    session_R = np.array([record.session for record in windows.records])
    if (owner_R[windows.record_N] != windows.participant_N).any():
        raise ValueError("participant_N says otherwise than the records")
    if (session_R[windows.record_N] != windows.session_N).any():
        raise ValueError("session_N says otherwise than the records")


def _within(name: str, array: np.ndarray, start: float, stop: float) -> None:
    if array.size and not (array.min() >= start and array.max() < stop):
        raise ValueError(f"{name} is out of bounds")
