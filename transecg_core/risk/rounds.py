"""What observers of every round hold: the server each site's update, another site the global weights."""

from __future__ import annotations

from typing import Literal

import numpy as np

from transecg_core.risk.artefacts import Targets
from transecg_core.risk.observed import RoundSeen
from transecg_core.risk.round_tables import Kind, RoundTables, Table

Arm = Literal["seen", "untrained", "left-out"]
"""What is handed over: what the observer saw; the control; or, for a note, the same without the person's own site.

The control is round 1 without the person's own site: the weights that training started from, which no
participant trained, moved by people of other sites. Where a site was alone in round 1 there is none; where a
person is at two sites it isn't clean, and the scores of such people are taken out (`transecg_core.risk.round_membership`).
In later rounds the others start from weights that hold the person's site and may move away
from it; ``left-out`` is what those rounds give. It is no proof of forgetting: where nobody was a member it
gave .31 on one seed of four (``transecg scenarios trained-elsewhere``).
"""


class SiteUpdates:
    """Every site's update of every round: what the server sees.

    Parameters
    ----------
    arm
        But for ``seen``, every target is handed the update of another site as their own site's, and
        that of their own site is handed to nobody.
    """

    def __init__(self, tables: RoundTables, arm: Arm = "seen") -> None:
        self._tables, self._arm = tables, arm

    @property
    def rounds(self) -> tuple[RoundSeen, ...]:
        """All rounds that were kept."""
        return self._tables.observed.rounds

    @property
    def site_names(self) -> tuple[str, ...]:
        """All sites, sorted."""
        return self._tables.site_names

    @property
    def steps(self) -> int:
        """Local steps of a site in a round: public. The recipe's seed is not: coins and noise follow from it."""
        return self._tables.observed.cfg.steps

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the rounds that scores are made from."""
        return self._tables.numbers

    def instead(self, arm: Arm) -> SiteUpdates:
        """Return another arm of this."""
        return SiteUpdates(self._tables, arm)

    def scores(self, kind: Kind, targets: Targets) -> tuple[np.ndarray, np.ndarray]:
        """Return how much each target is in line with their own site's update, and with each other site's.

        Returns
        -------
        own_TR
            NaN where the site was absent.
        others_TRS
            NaN in the own site's column and for absent sites.
        """
        rows = np.arange(len(targets.site_T))
        own, others = [], []
        for table in _tables(self._tables, kind, targets, self._arm):
            value_TS = table.sites_TS.copy()
            own_T = value_TS[rows, targets.site_T]
            value_TS[rows, targets.site_T] = np.nan
            if self._arm != "seen":
                next_T = _next_present(value_TS, targets.site_T)
                own_T = value_TS[rows, next_T]
                value_TS[rows, next_T] = np.nan
            own.append(own_T)
            others.append(value_TS)
        return np.stack(own, axis=1), np.stack(others, axis=1)


def _next_present(value_TS: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return for each target the site after their own, in a circle, that has a value; their own if none has."""
    sites = value_TS.shape[1]
    turned_TS = (site_T[:, None] + 1 + np.arange(sites)[None]) % sites
    known_TS = np.isfinite(np.take_along_axis(value_TS, turned_TS, axis=1))
    known_TS[:, -1] = True
    return np.asarray(turned_TS[np.arange(len(site_T)), known_TS.argmax(axis=1)])


class GlobalRounds:
    """The global weights before and after every round: what another site sees. No site's update is handed on.

    Parameters
    ----------
    arm
        But for ``seen``, every target's own site is left out of the round's mean.
    """

    def __init__(self, tables: RoundTables, arm: Arm = "seen") -> None:
        self._tables, self._arm = tables, arm

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the rounds that scores are made from."""
        return self._tables.numbers

    def instead(self, arm: Arm) -> GlobalRounds:
        """Return another arm of this."""
        return GlobalRounds(self._tables, arm)

    def scores(self, kind: Kind, targets: Targets) -> np.ndarray:
        """Return how much each target is in line with the change of the global weights (T, R).

        NaN where their site was absent: the round then holds nothing of them.
        """
        rows, columns = np.arange(len(targets.site_T)), []
        for table in _tables(self._tables, kind, targets, self._arm):
            without_T = table.without_TS[rows, targets.site_T]
            # Of a site that was alone in a round there is no "without": that is no score, and not an absence.
            there = np.isfinite(table.sites_TS[rows, targets.site_T])
            if self._arm == "seen":
                columns.append(np.where(there, table.merged_T, np.nan))
            else:
                columns.append(np.where(there, without_T, table.merged_T))
        return np.stack(columns, axis=1)


def _tables(tables: RoundTables, kind: Kind, targets: Targets, arm: Arm) -> tuple[Table, ...]:
    found = tables.of(kind, targets)
    return found[:1] if arm == "untrained" else found


def numbers_of(seen: SiteUpdates | GlobalRounds) -> tuple[int, ...]:
    """Return the numbers of the rounds that scores are made from."""
    return seen.numbers


def without_control(person_T: np.ndarray, seen_TR: np.ndarray, control_TR: np.ndarray) -> int:
    """Return how many people have a score of what was seen, and none in round 1 without their own site."""
    known_T, clean_T = (np.isfinite(arm_TR).any(axis=1) for arm_TR in (seen_TR, control_TR))
    return len(np.unique(person_T[known_T & ~clean_T]))


def against_others(own_TR: np.ndarray, others_TRS: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return each target's score relative to updates that did not train on them (T, R), FedMIA's all-for-one.

    Zhu et al. (arXiv 2402.06289) take the other clients' updates as the distribution of non-members. Their
    mean is the target's own; their spread is pooled over a site's targets, for the three
    others of four sites carry no variance of a single one.
    """
    known_TRS = np.isfinite(others_TRS)
    count_TR = known_TRS.sum(axis=2)
    mean_TR = np.where(known_TRS, others_TRS, 0.0).sum(axis=2) / np.maximum(count_TR, 1)
    out_TR = np.full(own_TR.shape, np.nan)
    for site in np.unique(site_T):
        for r in range(own_TR.shape[1]):
            at = np.flatnonzero(site_T == site)
            null = others_TRS[at, r][known_TRS[at, r]] if count_TR[at, r].any() else own_TR[at, r]
            finite = null[np.isfinite(null)]
            spread = float(finite.std()) if len(finite) > 1 else 0.0
            if spread > 0:
                out_TR[at, r] = (own_TR[at, r] - mean_TR[at, r]) / spread
    return out_TR


def comparable(score_TR: np.ndarray, site_T: np.ndarray) -> np.ndarray:
    """Return scores divided by their spread over each site's targets: rounds then weigh alike in a mean."""
    return against_others(score_TR, np.full((*score_TR.shape, 1), np.nan), site_T)
