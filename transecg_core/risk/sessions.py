"""How many sessions lie between enrolment and probe. Days are not known: sessions are ranks."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext


def session_gaps(ctx: AuditContext, case: Case) -> np.ndarray:
    """Return, per query (Q,), the sessions to the nearest one that its own id enrolled; -1 if it enrolled nothing."""
    sites = [site.windows.session_N.astype(np.int64) for site in ctx.sites]
    gallery, probes = case.gallery, case.probes
    enrolled_N = _sessions(sites, gallery.site_N, case.gallery_row_N)
    asked_Q = np.zeros(len(probes.site_Q), dtype=np.int64)
    asked_Q[probes.query_N] = _sessions(sites, probes.site_Q[probes.query_N], case.probe_row_N)
    gap_Q = np.full(len(asked_Q), -1)
    for query in np.flatnonzero(case.entry_of_Q >= 0):
        own = enrolled_N[gallery.entry_N == case.entry_of_Q[query]]
        gap_Q[query] = np.abs(own - asked_Q[query]).min()
    return gap_Q


def _sessions(sites: list[np.ndarray], site_N: np.ndarray, row_N: np.ndarray) -> np.ndarray:
    session_N = np.zeros(len(row_N), dtype=np.int64)
    for index, session in enumerate(sites):
        session_N[site_N == index] = session[row_N[site_N == index]]
    return session_N


def in_words(gap_K: np.ndarray, person_K: np.ndarray) -> str:
    """Return how many people were probed at which gap."""
    said = []
    for gap in np.unique(gap_K).tolist():
        people = len(np.unique(person_K[gap_K == gap]))
        who = "1 person" if people == 1 else f"{people} people"
        apart = "in a session enrolled" if gap == 0 else f"{gap} session{'s' * (gap > 1)} apart"
        said.append(f"{who} {apart}")
    return f"probed {', '.join(said)} (days not known)"
