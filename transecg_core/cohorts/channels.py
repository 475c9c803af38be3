"""Which channel of a file is read, given what the file and the participants table say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from transecg_core.cohorts.leads import LEADS, MV_PER_UNIT, LeadChoice, UnsafeRecord, lead_name
from transecg_core.cohorts.wfdb_files import MAX_AMPLITUDE_MV
from transecg_core.cohorts.wfdb_headers import MAX_FS_HZ

MAX_SAMPLES = 25_000_000
"""Longest channel decoded: 27 hours at 250 Hz."""
UNNAMED = "ECG"
RATE_TOLERANCE = 1e-3

_PREFIX = re.compile(r"\s*(?:ECG|EKG)[ _-]+(?:LEAD[ _-]+)?(?=\S)|\s*LEAD[ _-]+(?=\S)", re.IGNORECASE)


@dataclass(frozen=True)
class Stated:
    """What the participants table says about a record's file; None where it says nothing.

    Attributes
    ----------
    lead
        The lead to read, in standard spelling.
    column
        The label of the channel, or of the CSV's column.
    fs_hz, units
        Sampling rate, and unit of the samples (a key of `MV_PER_UNIT`).
    """

    lead: str | None = None
    column: str | None = None
    fs_hz: float | None = None
    units: str | None = None


def standard_lead(label: str) -> str:
    """Return a label's lead in standard spelling: ``EKG II``, ``ECG_II`` and ``Lead II`` are ``II``."""
    return lead_name(_PREFIX.sub("", label, count=1))


def choose(
    stated: Stated, labels: Sequence[str], units: Sequence[str], leads: LeadChoice
) -> tuple[int, str, str]:
    """Return index, lead and unit of the channel to read.

    The table's ``column`` says which channel, its ``lead`` which lead that is; without ``column``
    the lead is looked for among the labels. A channel with no lead in its label is read only if
    the table, or the site's own spellings, say which one it is. The run's wanted lead comes first.

    Parameters
    ----------
    stated
        What the table says.
    labels, units
        Of the file's channels; an empty unit is one that the file doesn't give.
    leads
        What the site says.

    Raises
    ------
    UnsafeRecord
        If no channel, or no single one, is what the table and the site ask for.
    """
    among = _candidates(stated, labels)
    names = {labels[index]: standard_lead(labels[index]) for index in among} | dict(leads.names)
    only = labels[among[0]]
    if stated.lead is not None and len(among) == 1:
        unknown = names[only] not in LEADS or names[only] == UNNAMED
        if stated.column is not None or unknown:
            names[only] = stated.lead
    wanted = leads.wanted or stated.lead
    filled = [units[index] or stated.units or "" for index in among]
    choice = replace(leads, wanted=wanted, names=names)
    position, lead = choice.pick([labels[index] for index in among], filled)
    if lead == UNNAMED and wanted is None:
        raise UnsafeRecord("record: no lead in its label; name it in the table's lead column")
    if stated.units is not None and filled[position] != stated.units:
        raise UnsafeRecord("record: units in the table differ from the file's")
    return among[position], lead, filled[position]


def _candidates(stated: Stated, labels: Sequence[str]) -> list[int]:
    if stated.column is None:
        if not labels:
            raise UnsafeRecord("record: no channel")
        return list(range(len(labels)))
    among = [index for index, label in enumerate(labels) if label == stated.column]
    if len(among) != 1:
        raise UnsafeRecord(f"record: {'no' if not among else 'more than one'} channel of the column's name")
    return among


def agreed_rate(stated: Stated, fs_hz: float) -> float:
    """Return a file's sampling rate, checked against the table's and against bounds."""
    if not 0 < fs_hz <= MAX_FS_HZ:
        raise UnsafeRecord("record: sampling rate is out of bounds")
    if stated.fs_hz is not None and abs(stated.fs_hz - fs_hz) > RATE_TOLERANCE * fs_hz:
        raise UnsafeRecord("record: rate in the table differs from the file's")
    return fs_hz


def in_millivolts(x_T: np.ndarray, units: str) -> np.ndarray:
    """Return samples as float32 in millivolts, shape (T,)."""
    with np.errstate(over="ignore"):  # what is too large for float32 is no ECG either
        return np.asarray(x_T * MV_PER_UNIT[units], dtype=np.float32)


def checked(x_T: np.ndarray) -> np.ndarray:
    """Return samples in millivolts, shape (T,), as they are; `UnsafeRecord` if no ECG holds such ones."""
    if x_T.size == 0:
        raise UnsafeRecord("record: no samples")
    if not np.isfinite(x_T).all():
        raise UnsafeRecord("record: samples that are not numbers")
    middle = np.median(x_T)
    if max(x_T.max() - middle, middle - x_T.min()) > MAX_AMPLITUDE_MV:
        raise UnsafeRecord(f"record: corrupt samples (beyond {MAX_AMPLITUDE_MV:g} mV)")
    return x_T
