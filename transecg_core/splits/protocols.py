"""How probes are kept apart from the windows that train and enrol.

Every protocol is decided per participant, from that participant's own recordings and
the seed alone, so nobody's split depends on who else is at the site.

These cut a person's own windows into gallery and probes. ``participant-disjoint`` is no cut of that
kind but says on whom a figure is measured: it is what the membership coin (`splits.membership`,
``audit-split=halves``) gives. Controls train under none of their ids, at no site; utility and every
control column are measured on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.seeds import seed_for
from transecg_core.signals.schema import Windows
from transecg_core.splits.guards import AFTER, identical, refuse_leaks

PROTOCOLS: tuple[str, ...] = ("auto", "random-window", "later-in-record", "other-record", "other-session")
PROBE_SHARE = 0.3
"""Share of windows that ``later-in-record`` and ``random-window`` put aside."""

Parts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Which windows may train and enrol, and which are probes.

    Attributes
    ----------
    gallery_N
        bool (N,): windows that may train (members) and enrol (everyone).
    probes
        Protocol -> bool (N,), each disjoint from `gallery_N` and from the others.
        Windows in neither are guard gaps.
    leaky
        True for ``random-window`` only: neighbouring beats of one recording on both sides.
    notes
        Plain sentences: how many participants each protocol covers, and who could not be measured.
    """

    gallery_N: np.ndarray
    probes: Mapping[str, np.ndarray]
    leaky: bool
    notes: tuple[str, ...]


def split(windows: Windows, protocol: str, seed: int) -> Split:
    """Keep probes apart from the gallery.

    ``auto`` gives each participant the strongest protocols their data allow, several at
    once: with two sessions the last one is the ``other-session`` probe; of what remains,
    if two records, the last (by session, then natural order of names) is the
    ``other-record`` probe; a participant with one record keeps the last 30 % of its
    windows as the ``later-in-record`` probe. A named protocol applies that one alone:
    ``other-record`` then takes the last record of all (possibly of another day),
    ``later-in-record`` cuts every record, ``random-window`` draws 30 % of the windows.
    Participants without the structure keep everything in the gallery.

    Parameters
    ----------
    windows
        One site's windows.
    protocol
        One of `PROTOCOLS`.
    seed
        The run's seed; only ``random-window`` draws from it.

    Raises
    ------
    ValueError
        For an unknown protocol, or if a guard finds a leak.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol '{protocol}' is not one of {', '.join(PROTOCOLS)}")
    gallery_N = np.zeros(len(windows), dtype=bool)
    probes: Parts = {}
    people = np.unique(windows.participant_N)
    for index in people:
        rows = np.flatnonzero(windows.participant_N == index)
        parts = _RULES[protocol](windows, rows, seed)
        gallery_N[parts.pop("gallery")] = True
        for name, chosen in parts.items():
            probes.setdefault(name, np.zeros(len(windows), dtype=bool))[chosen] = True
    probes = {name: probes[name] for name in sorted(probes)}
    leaky = protocol == "random-window"
    dropped = 0 if leaky else _drop_identical(windows, gallery_N, probes)
    refuse_leaks(windows, gallery_N, probes, leaky)
    return Split(gallery_N, probes, leaky, _notes(protocol, windows, probes, len(people), dropped))


def _drop_identical(windows: Windows, gallery_N: np.ndarray, probes: Parts) -> int:
    """Take probes that are byte-identical to a gallery window out of `probes`; return their number."""
    dropped = 0
    for name in tuple(probes):
        same_N = identical(windows, gallery_N, probes[name])
        dropped += int(same_N.sum())
        probes[name] = probes[name] & ~same_N
        if not probes[name].any():
            del probes[name]
    return dropped


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which ``rec_2`` comes before ``rec_10``."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _records(windows: Windows, rows: np.ndarray) -> list[int]:
    """Return the record indices behind `rows`, in order of session and natural name."""
    found = [int(r) for r in np.unique(windows.record_N[rows])]
    return sorted(found, key=lambda r: (windows.records[r].session, natural_key(windows.records[r].record)))


def _cut_records(windows: Windows, rows: np.ndarray, records: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Cut each record in time; return gallery and probe rows, with the guard gap in neither."""
    early: list[np.ndarray] = []
    late: list[np.ndarray] = []
    for record in records:
        own = rows[windows.record_N[rows] == record]
        own = own[np.argsort(windows.r_sample_N[own], kind="stable")]
        first = len(own) - int(np.ceil(PROBE_SHARE * len(own)))
        before = own[windows.r_sample_N[own] <= windows.r_sample_N[own[first]] - AFTER]
        if len(before):
            early.append(before)
            late.append(own[first:])
        else:
            early.append(own)
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *early]), np.concatenate([empty, *late])


def _later_in_record(windows: Windows, rows: np.ndarray, seed: int) -> Parts:
    gallery, probe = _cut_records(windows, rows, _records(windows, rows))
    return {"gallery": gallery, "later-in-record": probe} if len(probe) else {"gallery": rows}


def _other_record(windows: Windows, rows: np.ndarray, seed: int) -> Parts:
    records = _records(windows, rows)
    if len(records) < 2:
        return {"gallery": rows}
    last = windows.record_N[rows] == records[-1]
    return {"gallery": rows[~last], "other-record": rows[last]}


def _other_session(windows: Windows, rows: np.ndarray, seed: int) -> Parts:
    sessions = windows.session_N[rows]
    last = sessions == sessions.max()
    if last.all():
        return {"gallery": rows}
    return {"gallery": rows[~last], "other-session": rows[last]}


def _random_window(windows: Windows, rows: np.ndarray, seed: int) -> Parts:
    if len(rows) < 2:
        return {"gallery": rows}
    person = windows.participants[int(windows.participant_N[rows[0]])]
    rng = np.random.default_rng(seed_for(seed, "random-window", person))
    count = min(len(rows) - 1, int(np.ceil(PROBE_SHARE * len(rows))))
    probe = np.zeros(len(rows), dtype=bool)
    probe[rng.permutation(len(rows))[:count]] = True
    return {"gallery": rows[~probe], "random-window": rows[probe]}


def _auto(windows: Windows, rows: np.ndarray, seed: int) -> Parts:
    if len(_records(windows, rows)) == 1:
        return _later_in_record(windows, rows, seed)
    parts = _other_session(windows, rows, seed)
    return {**parts, **_other_record(windows, parts["gallery"], seed)}


_RULES: Mapping[str, Callable[[Windows, np.ndarray, int], Parts]] = {
    "auto": _auto,
    "random-window": _random_window,
    "later-in-record": _later_in_record,
    "other-record": _other_record,
    "other-session": _other_session,
}

_NEEDS: Mapping[str, str] = {
    "auto": "two sessions, two records, or one record long enough for a guard gap",
    "random-window": "two windows",
    "later-in-record": "a record long enough for a guard gap of one window",
    "other-record": "two records",
    "other-session": "two sessions",
}


def _notes(protocol: str, windows: Windows, probes: Parts, people: int, dropped: int) -> tuple[str, ...]:
    notes = [
        f"{name}: probes of {len(np.unique(windows.participant_N[mask]))} of {people} participants"
        for name, mask in probes.items()
    ]
    if not probes:
        notes.append(f"{protocol}: not measurable, no participant has {_NEEDS[protocol]}")
    if dropped:
        notes.append(
            f"{dropped} probe windows left out: identical to a gallery window (a duplicate recording)"
        )
    if protocol == "random-window":
        notes.append("random-window is leaky: neighbouring beats of one recording are on both sides")
    return tuple(notes)
