"""Who shares what, and who is asked about: the windows behind what-if de-identification.

The data owner shares the probe records of the run's hardest protocol. The attacker holds the gallery records,
identified and unchanged: recorded at another time, and nobody can call them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from transecg_core.attribution.cohort import ectopic
from transecg_core.attribution.deidentify import Shapes, common_edges, donor_rows, shapes_of, unscaled
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.model.heads import CLASSES
from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.crossfit import Folds
from transecg_core.risk.problems import Problem, problems
from transecg_core.risk.protocols import judged_by
from transecg_core.risk.rows import POOLED, NotMeasurable
from transecg_core.risk.table import CROSS_SITE
from transecg_core.seeds import seed_for
from transecg_core.training.local import task_codes

WINDOWS = 6
"""Windows that stand for a record here, evenly spaced."""
BEATS = 2
"""More ectopic beats of a record, for the task ``beat``."""


@dataclass(frozen=True)
class Shared:
    """Windows that are shared: M, those of a query first, then others that only utility looks at.

    The others are of people with probes of other protocols only, and more ectopic beats.

    Attributes
    ----------
    query_M
        Query of each window; -1 for the latter.
    scale_M
        Spread (mV) that each window had before it was z-normed.
    site_M, person_M, fold_M
        Its site, canonical person, and their cross-fitting fold.
    beats_M
        Ectopic beats that were added for the task ``beat`` alone, bool.
    judged_M
        Windows of people whom utility is measured on, bool.
    label_M
        Task with a shared head -> class, `MISSING` where not known.
    """

    x_ML: np.ndarray
    component_ML: np.ndarray
    scale_M: np.ndarray
    query_M: np.ndarray
    site_M: np.ndarray
    person_M: np.ndarray
    fold_M: np.ndarray
    beats_M: np.ndarray
    judged_M: np.ndarray
    label_M: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SharedCase:
    """One question asked before and after a change: K queries against G enrolled people.

    Attributes
    ----------
    component_NL, scale_N
        Of the gallery's windows, as in `Shared`.
    gallery_person_N
        Canonical person of the gallery's windows.
    """

    problem: Problem
    gallery: Gallery
    component_NL: np.ndarray
    scale_N: np.ndarray
    gallery_person_N: np.ndarray
    probes: Probes
    folds: Folds
    shared: Shared
    seed: int

    @cached_property
    def asked_M(self) -> np.ndarray:
        """Shared windows that belong to a query, bool."""
        asked: np.ndarray = self.shared.query_M >= 0
        return asked

    @cached_property
    def _typical_S(self) -> np.ndarray:
        """Each site's typical spread (mV): the median over the gallery's windows; of all where a site has none."""
        site_N, sites = self.gallery.site_N, int(self.shared.site_M.max()) + 1
        own = [self.scale_N[site_N == site] for site in range(max(sites, int(site_N.max()) + 1))]
        return np.array([np.median(scales if len(scales) else self.scale_N) for scales in own])

    @cached_property
    def gallery_unscaled_NL(self) -> np.ndarray:
        """The gallery's windows as changes are made on them (`deidentify.unscaled`)."""
        return unscaled(self.gallery.x_NL, self.scale_N, self.gallery.site_N, self._typical_S)

    @cached_property
    def shared_unscaled_ML(self) -> np.ndarray:
        """The shared windows as changes are made on them."""
        return unscaled(self.shared.x_ML, self.shared.scale_M, self.shared.site_M, self._typical_S)

    def held(self, model: Any, gallery_x_NL: np.ndarray, shared_x_ML: np.ndarray) -> dict[str, Any]:
        """Return what the attacks hold, with these windows."""
        return {
            "gallery": replace(self.gallery, x_NL=gallery_x_NL),
            "probes": replace(self.probes, x_NL=shared_x_ML[self.asked_M]),
            "folds": self.folds,
            "released-model": model,
        }

    def common(self, inside_NL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return one interval per site in place of each window's own samples: gallery (N, L), shared (M, L).

        Parameters
        ----------
        inside_NL
            The component's samples in the gallery's windows.
        """
        site_N, site_M = self.gallery.site_N, self.shared.site_M
        common_SL = common_edges(inside_NL, site_N, 1 + int(max(site_N.max(), site_M.max())))
        return common_SL[site_N], common_SL[site_M]

    def others_shapes(self, inside_NL: np.ndarray) -> Shapes:
        """Return another person's shape of a component for every shared window, from gallery windows (M rows)."""
        pool, shared = shapes_of(self.gallery_unscaled_NL, inside_NL), self.shared
        record_M = np.where(self.asked_M, shared.query_M, len(self.probes.site_Q) + shared.person_M)
        rows = donor_rows(
            shared.site_M, shared.person_M, record_M,
            self.gallery.site_N, self.gallery_person_N, pool.known_N, seed_for(self.seed, "what-if", "donors"),
        )  # fmt: skip
        return pool.of(rows)


def shared_case(ctx: AuditContext) -> SharedCase:
    """Choose the protocol and the windows.

    Raises
    ------
    NotMeasurable
        Without a gallery, without anybody to be confused with, or with fewer than `MIN_PEOPLE` people.
    """
    case = build_case(ctx)
    problem = _asked_about(case)
    query_M = np.full(len(case.probes.site_Q), -1)
    query_M[problem.query_K] = np.arange(len(problem.query_K))
    asked = np.flatnonzero(query_M[case.probes.query_N] >= 0)
    asked = asked[_spread(case.probes.query_N[asked])]
    query_M = query_M[case.probes.query_N[asked]]
    kept_N = _spread(case.gallery.record_N)
    entry_N, site_N = case.gallery.entry_N[kept_N], case.gallery.site_N[kept_N]
    return SharedCase(
        problem=replace(problem, query_K=np.arange(len(problem.query_K))),
        gallery=Gallery(
            case.gallery.x_NL[kept_N], entry_N, case.gallery.record_N[kept_N], site_N, case.gallery.site_G
        ),
        component_NL=case.delineation.gallery_NL[kept_N],
        scale_N=_scales(ctx, site_N, case.gallery_row_N[kept_N]),
        gallery_person_N=case.person_G[entry_N],
        probes=Probes(case.probes.x_NL[asked], query_M, case.probes.site_Q[problem.query_K]),
        folds=Folds(case.folds.fold_G, case.folds.fold_Q[problem.query_K]),
        shared=_shared(ctx, case, asked, query_M),
        seed=ctx.seed,
    )


def _asked_about(case: Case) -> Problem:
    """Return the problem of the hardest protocol with enough people, of all sites together."""
    pooled = {p.protocol: p for p in problems(case) if p.site == POOLED and p.protocol != CROSS_SITE}
    protocol = judged_by({name: len(problem.person_P) for name, problem in pooled.items()})
    if protocol is None:
        raise NotMeasurable("no site has probes with somebody to confuse them with")
    people = len(pooled[protocol].person_P)
    if people < MIN_PEOPLE:
        raise NotMeasurable(f"needs probes of {MIN_PEOPLE} people, found {people}")
    return pooled[protocol]


def _spread(group_N: np.ndarray, most: int = WINDOWS) -> np.ndarray:
    """Return at most `most` rows of each group, evenly spaced; every group keeps one."""
    kept = [_even(np.flatnonzero(group_N == group), most) for group in np.unique(group_N)]
    return np.concatenate([np.empty(0, dtype=np.int64), *kept])


def _even(rows: np.ndarray, most: int) -> np.ndarray:
    return np.asarray(rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.int64)])


def _scales(ctx: AuditContext, site_N: np.ndarray, row_N: np.ndarray) -> np.ndarray:
    """Return the spread (mV) of chosen rows of the sites' windows before they were z-normed."""
    scale_N = np.empty(len(row_N))
    for number, site in enumerate(ctx.sites):
        scale_N[site_N == number] = site.windows.scale_N[row_N[site_N == number]]
    return scale_N


def _shared(ctx: AuditContext, case: Case, asked: np.ndarray, query_M: np.ndarray) -> Shared:
    """Return the queries' windows and the ectopic beats beside them."""
    site_M, row_M = case.probes.site_Q[case.probes.query_N[asked]], case.probe_row_N[asked]
    beats_M = np.zeros(len(row_M), dtype=bool)
    for number in range(len(ctx.sites)):
        taken = row_M[site_M == number]
        others = _others_rows(ctx.sites[number], taken)
        beats = _ectopic_rows(ctx, number, np.concatenate([taken, others]))
        row_M = np.concatenate([row_M, others, beats])
        site_M = np.concatenate([site_M, np.full(len(others) + len(beats), number)])
        beats_M = np.concatenate([beats_M, np.repeat([False, True], [len(others), len(beats)])])
    code = {name: index for index, name in enumerate(case.people.names)}
    tasks = tuple(task for task in CLASSES if task in ctx.tasks)
    count, length = len(row_M), case.probes.x_NL.shape[1]
    x_ML, component_ML = np.empty((count, length), np.float32), np.empty((count, length), np.uint8)
    person_M, judged_M = np.empty(count, np.int64), np.empty(count, bool)
    label_M = {task: np.empty(count, np.int64) for task in tasks}
    everybody = not (ctx.membership or ctx.one_group)
    for number, (site, judged_P) in enumerate(zip(ctx.sites, ctx.judged_on(), strict=True)):
        own_M, rows = site_M == number, row_M[site_M == number]
        local = site.windows.participant_N[rows]
        x_ML[own_M], component_ML[own_M] = site.windows.x_NL[rows], site.windows.component_NL[rows]
        person_M[own_M] = np.array([code[name] for name in site.person_P])[local]
        judged_M[own_M] = everybody | judged_P[local]
        for task, label in task_codes(site.windows, rows, tasks).items():
            label_M[task][own_M] = label
    return Shared(
        x_ML=x_ML,
        component_ML=component_ML,
        scale_M=_scales(ctx, site_M, row_M),
        query_M=np.concatenate([query_M, np.full(count - len(query_M), -1)]),
        site_M=site_M,
        person_M=person_M,
        fold_M=case.people.fold_C[person_M],
        beats_M=beats_M,
        judged_M=judged_M,
        label_M=label_M,
    )


def _probes(site: AuditSite) -> np.ndarray:
    """Return the windows (N,) that are probes of any protocol, bool."""
    found: np.ndarray = np.any([*site.split.probes.values(), np.zeros(len(site.windows), bool)], axis=0)
    return found


def _others_rows(site: AuditSite, taken: np.ndarray) -> np.ndarray:
    """Return probe windows of people who have none among those taken."""
    person_N = site.windows.participant_N
    rows = np.flatnonzero(_probes(site) & ~np.isin(person_N, person_N[taken]))
    return np.asarray(rows[_spread(site.windows.record_N[rows])])


def _ectopic_rows(ctx: AuditContext, number: int, taken: np.ndarray) -> np.ndarray:
    """Return ectopic probe windows of a site that are not taken yet, at most `BEATS` of a record."""
    site = ctx.sites[number]
    if "beat" not in ctx.tasks:
        return np.empty(0, dtype=np.int64)
    rows = np.setdiff1d(np.flatnonzero(_probes(site) & ectopic(site.windows)), taken)
    return np.asarray(rows[_spread(site.windows.record_N[rows], BEATS)])
