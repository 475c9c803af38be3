"""From an audit context to the artefacts that attacks hold and the truth that judges them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.artefacts import Delineation, Gallery, Probes, Targets
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.crossfit import Folds
from transecg_core.risk.duplicates import across_sites
from transecg_core.risk.rows import NotMeasurable
from transecg_core.risk.table import CROSS_SITE
from transecg_core.training.local import task_codes

WINDOWS_PER_RECORD = 30
"""Windows that stand for a record, evenly spaced in time: a public constant of the audit."""
FOLDS = 4
LABEL_TASKS = ("sex", "age", "beat", "diagnosis")


@dataclass(frozen=True)
class People:
    """Canonical people over all sites (C, sorted) and their part in training.

    Attributes
    ----------
    member_C, control_C
        bool; a person trained on under some of their ids only is neither.
    sites_C
        Number of sites at which the person is present.
    units_C
        Number of training units (a declared person at a site) that may hold something of the person: more
        than the sites where two undeclared ids turned out to be one person, or a recording has two owners.
    fold_C
        Cross-fitting fold.
    """

    names: tuple[str, ...]
    member_C: np.ndarray
    control_C: np.ndarray
    sites_C: np.ndarray
    units_C: np.ndarray
    fold_C: np.ndarray


@dataclass(frozen=True)
class Case:
    """What linkage attacks are handed (gallery, probes), and who is who (the rest).

    Attributes
    ----------
    gallery_row_N, probe_row_N
        Row of each gallery and probe window in its site's windows.
    local_G
        Index of each enrolled person among the participants of their site's windows.
    entry_of_Q
        Gallery entry of the query's own local id; -1 if that id enrolled nothing.
    duplicates
        People who count as another one here: nobody declared it, but all of one's recordings are the other's.
    """

    people: People
    site_names: tuple[str, ...]
    gallery: Gallery
    probes: Probes
    delineation: Delineation
    targets: Targets
    gallery_row_N: np.ndarray
    probe_row_N: np.ndarray
    person_G: np.ndarray
    local_G: np.ndarray
    person_Q: np.ndarray
    protocol_Q: np.ndarray
    entry_of_Q: np.ndarray
    person_T: np.ndarray
    duplicates: int

    @property
    def folds(self) -> Folds:
        """The fold of each enrolled person, the same at every site, and of each query's."""
        return Folds(self.people.fold_C[self.person_G], self.people.fold_C[self.person_Q])


def people_of(ctx: AuditContext) -> People:
    """Return the canonical people of all sites."""
    trained: dict[str, list[bool]] = {}
    sites: dict[str, set[str]] = {}
    for site in ctx.sites:
        for person, member in zip(site.person_P, site.member_P, strict=True):
            trained.setdefault(person, []).append(bool(member))
            sites.setdefault(person, set()).add(site.name)
    names = tuple(sorted(trained))
    units = ctx.duplicates.units if ctx.duplicates is not None else {}
    order = sorted(range(len(names)), key=lambda c: hashlib.sha256(names[c].encode()).digest())
    fold_C = np.empty(len(names), dtype=np.int64)
    fold_C[order] = np.arange(len(names)) % FOLDS
    return People(
        names,
        np.array([all(trained[name]) for name in names], dtype=bool),
        np.array([not any(trained[name]) for name in names], dtype=bool),
        np.array([len(sites[name]) for name in names], dtype=np.int64),
        np.array([units.get(name, len(sites[name])) for name in names], dtype=np.int64),
        fold_C,
    )


@dataclass(frozen=True)
class _Block:
    """Some windows of one record of one local participant, in one role."""

    site: int
    local: int
    person: int
    record: int
    role: str
    rows: np.ndarray


def build_case(ctx: AuditContext) -> Case:
    """Choose the windows, number people, records and queries, and put the truth aside.

    Raises
    ------
    NotMeasurable
        If nobody at any site has a gallery window.
    """
    people = people_of(ctx)
    code = {name: index for index, name in enumerate(people.names)}
    blocks = [block for index, site in enumerate(ctx.sites) for block in _blocks(site, index, code)]
    enrolled = [block for block in blocks if block.role == "gallery"]
    if not enrolled:
        raise NotMeasurable("no site has a gallery window")
    entry = {key: i for i, key in enumerate(sorted({(block.site, block.local) for block in enrolled}))}
    gallery, person_G = _gallery(ctx, enrolled, entry)
    elsewhere_too = across_sites(ctx)
    twins = [b for b in enrolled if people.sites_C[b.person] > 1 and _name(ctx, b) not in elsewhere_too]
    asked = [block for block in blocks if block.role != "gallery"] + twins
    person_Q = np.array([block.person for block in asked], dtype=np.int64)
    probes = Probes(
        _stack(ctx, asked),
        _repeat(asked),
        np.array([block.site for block in asked], dtype=np.int64),
    )
    return Case(
        people=people,
        site_names=tuple(site.name for site in ctx.sites),
        gallery=gallery,
        probes=probes,
        delineation=Delineation(_components(ctx, enrolled), _components(ctx, asked)),
        targets=_targets(ctx, enrolled, gallery),
        gallery_row_N=_rows(enrolled),
        probe_row_N=_rows(asked),
        person_G=person_G,
        local_G=np.array([local for _, local in entry], dtype=np.int64),
        person_Q=person_Q,
        protocol_Q=np.array([CROSS_SITE if b.role == "gallery" else b.role for b in asked], dtype=object),
        entry_of_Q=np.array([entry.get((b.site, b.local), -1) for b in asked], dtype=np.int64),
        person_T=person_G,
        duplicates=ctx.duplicates.merged if ctx.duplicates is not None else 0,
    )


def _gallery(
    ctx: AuditContext, enrolled: list[_Block], entry: dict[tuple[int, int], int]
) -> tuple[Gallery, np.ndarray]:
    """Return what is enrolled, and the person behind each entry (G,)."""
    site_G = np.array([site for site, _ in entry], dtype=np.int64)
    entry_R = np.array([entry[block.site, block.local] for block in enrolled], dtype=np.int64)
    person_G = np.zeros(len(entry), dtype=np.int64)
    person_G[entry_R] = [block.person for block in enrolled]
    record_N = _repeat(enrolled)
    entry_N = entry_R[record_N]
    gallery = Gallery(_stack(ctx, enrolled), entry_N, record_N, site_G[entry_N], site_G)
    return gallery, person_G


def _blocks(site: AuditSite, index: int, code: dict[str, int]) -> Iterator[_Block]:
    windows = site.windows
    roles = {"gallery": site.split.gallery_N, **site.split.probes}
    for role, mask in roles.items():
        for record in np.unique(windows.record_N[mask]):
            rows = np.flatnonzero(mask & (windows.record_N == record))
            local = int(windows.participant_N[rows[0]])
            kept = rows[np.linspace(0, len(rows) - 1, min(len(rows), WINDOWS_PER_RECORD)).round().astype(int)]
            yield _Block(index, local, code[site.person_P[local]], int(record), role, kept)


def _name(ctx: AuditContext, block: _Block) -> tuple[str, str, str]:
    info = ctx.sites[block.site].windows.records[block.record]
    return ctx.sites[block.site].name, info.participant, info.record


def _repeat(blocks: list[_Block]) -> np.ndarray:
    return np.repeat(np.arange(len(blocks)), [len(block.rows) for block in blocks])


def _rows(blocks: list[_Block]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.int64), *(block.rows for block in blocks)])


def _stack(ctx: AuditContext, blocks: list[_Block]) -> np.ndarray:
    parts = [np.asarray(ctx.sites[block.site].windows.x_NL[block.rows]) for block in blocks]
    length = ctx.sites[0].windows.x_NL.shape[1]
    return np.concatenate(parts) if parts else np.empty((0, length), dtype=np.float32)


def _components(ctx: AuditContext, blocks: list[_Block]) -> np.ndarray:
    parts = [np.asarray(ctx.sites[block.site].windows.component_NL[block.rows]) for block in blocks]
    length = ctx.sites[0].windows.component_NL.shape[1]
    return np.concatenate(parts) if parts else np.empty((0, length), dtype=np.uint8)


def _targets(ctx: AuditContext, enrolled: list[_Block], gallery: Gallery) -> Targets:
    codes = [task_codes(ctx.sites[b.site].windows, b.rows, LABEL_TASKS) for b in enrolled]
    labels = {task: np.concatenate([code[task] for code in codes]) for task in LABEL_TASKS}
    return Targets(gallery.x_NL, gallery.entry_N, gallery.site_G, labels)
