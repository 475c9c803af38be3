"""What an audit does about recordings that appear twice.

Everything happens here, after training: what a site trains on, and every person's coin, stay as if
nobody had looked. Under differential privacy that is a must (nothing of one person may depend on
another's data); without, it keeps the arms of a comparison the same.

Two people who share a recording may be one person under two ids, or two people of whom one got the
other's file, or a device's test signal. They count as one only if *all* recordings of one of them are
copies of the other's, and nobody else has that waveform. Else they stay apart and every copy is left
out of the audit, on both sides: it belongs to an unknown one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np

from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.signals.schema import Windows
from transecg_core.splits.copies import refuse_copies, take_out_copies
from transecg_core.splits.duplicates import DuplicatePair, near_duplicates


@dataclass(frozen=True)
class Duplicates:
    """Pairs of records that hold one waveform.

    Attributes
    ----------
    within_ids
        Pairs of one site under one id, or under ids declared to be one person.
    across_ids
        Pairs of one site under two ids that nobody declared to be one person.
    across_sites
        Pairs of two sites.
    undeclared
        Pairs of ids, within or across sites, that nobody declared to be one person.
    probes_left_out
        Probe windows that copied an enrolled recording.
    merged
        People who were counted as another one.
    records_left_out
        Records of people who share them and stay apart.
    units
        Canonical person -> training units (a declared person at a site) that may hold something of theirs:
        each is clipped and accounted for on its own.
    """

    pairs: tuple[DuplicatePair, ...]
    within_ids: int
    across_ids: int
    across_sites: int
    undeclared: int
    probes_left_out: int
    merged: int
    records_left_out: int
    units: Mapping[str, int] = field(default_factory=dict)


_PER_WINDOW = tuple(field.name for field in fields(Windows) if field.name.endswith(("_N", "_NL")))
_Name = TypeVar("_Name", str, tuple[str, str, str])
Record = tuple[str, str, str]
"""Site, participant, record."""


def resolve_duplicates(ctx: AuditContext) -> AuditContext:
    """Return the context with at most one person per waveform, and no probe that copies an enrolled recording.

    People of whom one has nothing but copies of the other's become one canonical person, whatever was
    declared: never an impostor pair, and neither member nor control where one of them trained and the
    other didn't. What others share is left out: its windows are in no part of the audit.
    A context that went through before comes back as it is.
    """
    if ctx.duplicates is not None:
        return ctx
    pairs = near_duplicates([(site.name, site.windows) for site in ctx.sites])
    declared = {
        (site.name, local): person
        for site in ctx.sites
        for local, person in zip(site.windows.participants, site.person_P, strict=True)
    }
    waveforms = _waveforms(pairs)
    same = _one_person(pairs, waveforms, declared, dict(_records(ctx.sites, declared)))
    contested = frozenset(
        record for waveform in waveforms for record in waveform
        if len({_root(same, declared[owner[:2]]) for owner in waveform}) > 1
    )  # fmt: skip
    kept = tuple(_without(site, contested) for site in ctx.sites)
    splits, left_out = take_out_copies([(s.name, s.windows, s.split) for s in kept], pairs)
    sites = tuple(
        replace(site, split=split, person_P=tuple(_root(same, person) for person in site.person_P))
        for site, split in zip(kept, splits, strict=True)
    )
    refuse_copies([(site.name, site.windows, site.split) for site in sites], pairs)
    found = _counted(pairs, declared, left_out, len(same), len(contested))
    return replace(ctx, sites=sites, duplicates=replace(found, units=_units(declared, waveforms, same)))


def _owners(pair: DuplicatePair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.site_a, pair.participant_a), (pair.site_b, pair.participant_b)


def _copies(pair: DuplicatePair) -> tuple[Record, Record]:
    a, b = _owners(pair)
    return (*a, pair.record_a), (*b, pair.record_b)


def _waveforms(pairs: Sequence[DuplicatePair]) -> tuple[tuple[Record, ...], ...]:
    """Return the records that a chain of copies joins, a waveform each, in order."""
    joined: dict[Record, Record] = {}
    for pair in pairs:
        a, b = (_root(joined, record) for record in _copies(pair))
        if a != b:
            joined[max(a, b)] = min(a, b)
    chains = defaultdict(list)
    for record in sorted({record for pair in pairs for record in _copies(pair)}):
        chains[_root(joined, record)].append(record)
    return tuple(tuple(chain) for chain in chains.values())


def _records(
    sites: Sequence[AuditSite], declared: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, frozenset[Record]]]:
    """Yield each declared person and all their records that have windows."""
    owned: dict[str, set[Record]] = defaultdict(set)
    for site in sites:
        for index in np.unique(site.windows.record_N):
            info = site.windows.records[index]
            owned[declared[site.name, info.participant]].add((site.name, info.participant, info.record))
    for person, records in owned.items():
        yield person, frozenset(records)


def _one_person(
    pairs: Sequence[DuplicatePair], waveforms: Sequence[Sequence[Record]],
    declared: Mapping[tuple[str, str], str], owned: Mapping[str, frozenset[Record]],
) -> dict[str, str]:  # fmt: skip
    """Return person -> an earlier name, for people of whom one has nothing but copies of the other's.

    A waveform that three people have says nothing about who is who.
    """
    shared_by = {record: {declared[o[:2]] for o in waveform} for waveform in waveforms for record in waveform}
    copied: dict[tuple[str, str], set[Record]] = defaultdict(set)
    for pair in pairs:
        a, b = _copies(pair)
        if len(shared_by[a]) == 2:
            copied[declared[a[:2]], declared[b[:2]]].add(a)
            copied[declared[b[:2]], declared[a[:2]]].add(b)
    same: dict[str, str] = {}
    for (person, other), records in copied.items():
        if person != other and records == owned[person]:
            first, second = sorted((_root(same, person), _root(same, other)))
            if first != second:
                same[second] = first
    return same


def _units(
    declared: Mapping[tuple[str, str], str], waveforms: Sequence[Sequence[Record]], same: Mapping[str, str]
) -> dict[str, int]:
    """Return how many training units hold something of each canonical person, their own or a copy of theirs."""
    held: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for (site, _), person in declared.items():
        held[_root(same, person)].add((site, person))
    for waveform in waveforms:
        owners = {(site, declared[site, local]) for site, local, _ in waveform}
        for _, person in owners:
            held[_root(same, person)] |= owners
    return {person: len(units) for person, units in held.items()}


def _without(site: AuditSite, contested: frozenset[Record]) -> AuditSite:
    """Return the site without the windows of some records; nothing that trains looks here."""
    windows, split = site.windows, site.split
    out_R = np.array([(site.name, r.participant, r.record) in contested for r in windows.records], dtype=bool)
    if not out_R.any():
        return site
    keep = np.flatnonzero(~out_R[windows.record_N])
    rows = {name: getattr(windows, name)[keep] for name in _PER_WINDOW}
    note = f"{int(out_R.sum())} records left out: people who stay apart share them"
    probes = {name: mask[keep] for name, mask in split.probes.items()}
    split = replace(
        split, gallery_N=split.gallery_N[keep], notes=(*split.notes, note),
        probes={name: mask for name, mask in probes.items() if mask.any()},
    )  # fmt: skip
    return replace(site, windows=replace(windows, **rows), split=split)


def _root(same: Mapping[_Name, _Name], name: _Name) -> _Name:
    while name in same:
        name = same[name]
    return name


def _counted(
    pairs: tuple[DuplicatePair, ...], declared: Mapping[tuple[str, str], str], left_out: int, merged: int,
    records: int,
) -> Duplicates:  # fmt: skip
    unknown = {_owners(p) for p in pairs if len({declared[owner] for owner in _owners(p)}) > 1}
    here = [p for p in pairs if p.site_a == p.site_b]
    across = sum(_owners(p) in unknown for p in here)
    return Duplicates(
        pairs, len(here) - across, across, len(pairs) - len(here), len(unknown), left_out, merged, records
    )


def across_sites(ctx: AuditContext) -> frozenset[tuple[str, str, str]]:
    """Return (site, participant, record) of every record that is also another site's.

    It is no second recording of its person: linking it across sites would be no finding.
    """
    pairs = ctx.duplicates.pairs if ctx.duplicates is not None else ()
    return frozenset(
        owner for p in pairs if p.site_a != p.site_b
        for owner in ((p.site_a, p.participant_a, p.record_a), (p.site_b, p.participant_b, p.record_b))
    )  # fmt: skip
