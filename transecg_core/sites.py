"""One site, ready to train and to be audited: windows, roles of its windows, coins of its people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.risk.context import AuditSite
from transecg_core.seeds import seed_for
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import Windows
from transecg_core.splits.membership import members
from transecg_core.splits.protocols import split
from transecg_core.training.local import MISSING, TrainingSet, task_codes, training_set

SLOTS_PER_PERSON = 4
"""Classes of a private participant head per person on the roster: about one person in five shares theirs."""


@dataclass(frozen=True)
class Site:
    """A site with the two public constants that every privacy claim about it rests on.

    Attributes
    ----------
    people
        Persons on the roster. Declared, never counted from what turned out usable.
    tasks
        Tasks the site declares labels for, without looking at anybody.
    """

    data: AuditSite
    people: int
    tasks: tuple[str, ...]


def applied(cfg: RunConfig) -> RunConfig:
    """Return the run's config as a site applies it.

    Outside a simulation nobody audits controls, so holding people out would only cost utility.
    """
    return cfg.model_copy(update={"audit_split": "none"}) if cfg.cohort == "node" else cfg


def prepare(cfg: RunConfig, source: SiteSource) -> Site:
    """Read, window and split one site.

    Raises
    ------
    UserError
        If the site has no usable record, or the protocol leaves nothing to train on.
    """
    return split_site(cfg, source, cached_windows(source))


def split_site(cfg: RunConfig, source: SiteSource, windows: Windows) -> Site:
    """Split a site's windows; as `prepare`."""
    if len(windows) == 0:
        raise UserError(f"site '{source.name}': no usable record; see the skip counts and check data-root")
    roles = split(windows, cfg.protocol, seed_for(cfg.seed, "split", source.name))
    if not roles.gallery_N.any():
        raise UserError(
            f"site '{source.name}': protocol={cfg.protocol} leaves no window to train on; try auto"
        )
    person_P = tuple(source.person(p) for p in windows.participants)
    member_P = members(source.person, windows.participants, cfg.audit_split, seed_for(cfg.seed, "coin"))
    data = AuditSite(source.name, windows, roles, person_P, member_P)
    if not trained_rows(data).any():
        raise UserError(
            f"site '{source.name}': the audit split left nobody to train on; add people or audit-split=none"
        )
    return Site(data, source.people, source.tasks)


def trained_rows(site: AuditSite) -> np.ndarray:
    """Return the windows (N,) that may train: gallery windows of members."""
    return np.asarray(site.split.gallery_N & site.member_P[site.windows.participant_N])


def available_tasks(cfg: RunConfig, site: Site) -> tuple[str, ...]:
    """Return the run's tasks that the site trains.

    Under privacy these are the declared ones, whatever the labels say: one person's label must not
    decide which heads are averaged. Without, a task needs two classes among the gallery's people.
    """
    if cfg.privacy != "none":
        return tuple(task for task in cfg.task_names if task in (*site.tasks, "participant"))
    data = site.data
    codes = task_codes(data.windows, np.flatnonzero(data.split.gallery_N), cfg.task_names)
    two = {task for task, code_N in codes.items() if len(np.unique(code_N[code_N != MISSING])) > 1}
    if len(np.unique(data.windows.participant_N[trained_rows(data)])) > 1:
        two.add("participant")
    return tuple(task for task in cfg.task_names if task in two)


def site_training_set(cfg: RunConfig, site: Site) -> TrainingSet:
    """Return what the site trains on in this run; one unit per *person*, however many ids they have."""
    data, cap, tasks = site.data, cfg.max_windows_per_participant, available_tasks(cfg, site)
    persons, person_P = np.unique(data.person_P, return_inverse=True)
    person_N, rows_N = person_P[data.windows.participant_N], trained_rows(data)
    class_P = None
    if cfg.privacy != "none":
        class_P = _slots(cfg, site, persons)
    return training_set(data.windows, rows_N, tasks, cap, person_N, class_P)


def head_classes(cfg: RunConfig, site: Site) -> np.ndarray:
    """Return each local participant's class in the site's own participant head, int64 (P,).

    As `site_training_set` numbers them; `MISSING` for those who didn't train.
    """
    data = site.data
    persons, person_P = np.unique(data.person_P, return_inverse=True)
    trained = np.unique(person_P[data.windows.participant_N[trained_rows(data)]])
    class_J = np.full(len(persons), MISSING, dtype=np.int64)
    if cfg.privacy == "none":
        class_J[trained] = np.arange(len(trained))
    else:
        class_J[trained] = _slots(cfg, site, persons)[trained]
    return class_J[person_P]


def _slots(cfg: RunConfig, site: Site, persons: np.ndarray) -> np.ndarray:
    slots = participant_slots(cfg, site.people)
    return np.array([slot_of(person, slots) for person in persons])


def participant_slots(cfg: RunConfig, people: int) -> int:
    """Return how many classes the participant head has under privacy: public, whoever is there."""
    return SLOTS_PER_PERSON * people if cfg.participant_slots == "auto" else cfg.participant_slots


def slot_of(person: str, slots: int) -> int:
    """Return a person's class under privacy: by their own id alone, so nobody's depends on who else is there.

    Two people may share a slot; that costs a little utility, and no privacy.
    """
    return seed_for(0, "slot", person) % slots


def public_counts(cfg: RunConfig, people: int) -> tuple[float, float]:
    """Return the (people, windows) behind sampling rates and denominators.

    Both follow from the declared roster alone: half of it under the membership coin (fixed before
    the coin is tossed), and the cap on a person's windows.
    """
    share = 0.5 if cfg.audit_split == "halves" else 1.0
    return share * people, share * people * cfg.max_windows_per_participant
