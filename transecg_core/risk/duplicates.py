"""What an audit does about recordings that appear twice.

Everything happens here, after training: what a site trains on, and every person's coin, stay as if
nobody had looked. Under differential privacy that is a must (nothing of one person may depend on
another's data); without, it keeps the arms of a comparison the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transecg_core.risk.context import AuditContext
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
    """

    pairs: tuple[DuplicatePair, ...]
    within_ids: int
    across_ids: int
    across_sites: int
    undeclared: int
    probes_left_out: int


def resolve_duplicates(ctx: AuditContext) -> AuditContext:
    """Return the context with one person per waveform, and no probe that copies an enrolled recording.

    Ids that share a recording become one canonical person, whatever was declared: never an impostor
    pair, and neither member nor control where one of them trained and the other didn't.
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
    splits, left_out = take_out_copies([(s.name, s.windows, s.split) for s in ctx.sites], pairs)
    same = _one_person(pairs, declared)
    sites = tuple(
        replace(site, split=split, person_P=tuple(same.get(person, person) for person in site.person_P))
        for site, split in zip(ctx.sites, splits, strict=True)
    )
    refuse_copies([(site.name, site.windows, site.split) for site in sites], pairs)
    return replace(ctx, sites=sites, duplicates=_counted(pairs, declared, left_out))


def _owners(pair: DuplicatePair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.site_a, pair.participant_a), (pair.site_b, pair.participant_b)


def _one_person(pairs: Sequence[DuplicatePair], declared: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Return person -> the first name, in order, of all those that a chain of copies makes one."""
    same: dict[str, str] = {}
    for pair in pairs:
        a, b = (_root(same, declared[owner]) for owner in _owners(pair))
        same[max(a, b)] = min(a, b)
    return {person: _root(same, person) for person in same}


def _root(same: Mapping[str, str], person: str) -> str:
    while same.get(person, person) != person:
        person = same[person]
    return person


def _counted(
    pairs: tuple[DuplicatePair, ...], declared: Mapping[tuple[str, str], str], left_out: int
) -> Duplicates:
    unknown = {_owners(p) for p in pairs if len({declared[owner] for owner in _owners(p)}) > 1}
    here = [p for p in pairs if p.site_a == p.site_b]
    across = sum(_owners(p) in unknown for p in here)
    return Duplicates(pairs, len(here) - across, across, len(pairs) - len(here), len(unknown), left_out)


def across_sites(ctx: AuditContext) -> frozenset[tuple[str, str, str]]:
    """Return (site, participant, record) of every record that is also another site's.

    It is no second recording of its person: linking it across sites would be no finding.
    """
    pairs = ctx.duplicates.pairs if ctx.duplicates is not None else ()
    return frozenset(
        owner for p in pairs if p.site_a != p.site_b
        for owner in ((p.site_a, p.participant_a, p.record_a), (p.site_b, p.participant_b, p.record_b))
    )  # fmt: skip
