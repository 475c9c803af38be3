"""One site, ready to train and to be audited: windows, roles of its windows, coins of its people."""

from __future__ import annotations

import numpy as np

from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.risk.context import AuditSite
from transecg_core.seeds import seed_for
from transecg_core.signals.cache import cached_windows
from transecg_core.splits.membership import members
from transecg_core.splits.protocols import split
from transecg_core.training.local import MISSING, TrainingSet, task_codes, training_set


def prepare(cfg: RunConfig, source: SiteSource) -> AuditSite:
    """Read, window and split one site.

    Raises
    ------
    UserError
        If the site has no usable record, or the protocol leaves nothing to train on.
    """
    windows = cached_windows(source)
    if len(windows) == 0:
        raise UserError(f"site '{source.name}': no usable record; see the skip counts and check data-root")
    roles = split(windows, cfg.protocol, seed_for(cfg.seed, "split", source.name))
    if not roles.gallery_N.any():
        raise UserError(
            f"site '{source.name}': protocol={cfg.protocol} leaves no window to train on; try auto"
        )
    person_P = tuple(source.person(p) for p in windows.participants)
    member_P = members(source.person, windows.participants, cfg.audit_split, seed_for(cfg.seed, "coin"))
    site = AuditSite(source.name, windows, roles, person_P, member_P)
    if not trained_rows(site).any():
        raise UserError(
            f"site '{source.name}': the audit split left nobody to train on; add people or audit-split=none"
        )
    return site


def trained_rows(site: AuditSite) -> np.ndarray:
    """Return the windows (N,) that may train: gallery windows of members."""
    return np.asarray(site.split.gallery_N & site.member_P[site.windows.participant_N])


def available_tasks(cfg: RunConfig, site: AuditSite) -> tuple[str, ...]:
    """Return the run's tasks that the site can train: at least two classes among its people.

    Everybody's gallery windows count, not only those of the people who train: which tasks a site
    has must not depend on a membership coin.
    """
    codes = task_codes(site.windows, np.flatnonzero(site.split.gallery_N), cfg.task_names)
    two = {task for task, code_N in codes.items() if len(np.unique(code_N[code_N != MISSING])) > 1}
    if len(np.unique(site.windows.participant_N[trained_rows(site)])) > 1:
        two.add("participant")
    return tuple(task for task in cfg.task_names if task in two)


def site_training_set(cfg: RunConfig, site: AuditSite) -> TrainingSet:
    """Return what the site trains on in this run."""
    cap = cfg.max_windows_per_participant
    return training_set(site.windows, trained_rows(site), available_tasks(cfg, site), cap)


def public_counts(cfg: RunConfig, site: AuditSite) -> tuple[float, float]:
    """Return the site's (people, windows) behind sampling rates and denominators.

    Both are fixed before the membership coin is tossed (half of everybody, not the number of
    heads) and declared public constants of the differential-privacy claim.
    """
    share = 0.5 if cfg.audit_split == "halves" else 1.0
    rows_N = site.split.gallery_N
    per_person = np.bincount(site.windows.participant_N[rows_N], minlength=len(site.person_P))
    capped = np.minimum(per_person, cfg.max_windows_per_participant)
    return share * float((per_person > 0).sum()), share * float(capped.sum())
