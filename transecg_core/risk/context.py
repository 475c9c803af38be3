"""What an audit is handed: the trained model and every site's windows, splits and coins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from transecg_core.model.heads import SiteModel
from transecg_core.risk.artefacts import ModelAccess
from transecg_core.signals.schema import Windows
from transecg_core.splits.protocols import Split

if TYPE_CHECKING:
    from transecg_core.privacy.ceilings import CeilingCurve
    from transecg_core.risk.duplicates import Duplicates
    from transecg_core.risk.observed import Observed
    from transecg_core.risk.references import MakeAuditModels

COINS, DECLARED = "independent-coins", "declared-members"
"""How it came about who was trained on: by a fair coin per person, or as somebody says."""
UNDECLARED = "people of whom it is not known whether the model was trained on them"


@dataclass(frozen=True)
class AuditSite:
    """One site as the audit sees it.

    Attributes
    ----------
    person_P
        Canonical person per local participant index (P participants).
    member_P
        bool (P,): whether the model was trained on the participant.
    """

    name: str
    windows: Windows
    split: Split
    person_P: tuple[str, ...]
    member_P: np.ndarray

    def people_with_second_day(self) -> int:
        """Return how many people have usable records of two sessions."""
        sessions: dict[str, set[int]] = {}
        for record in self.windows.records:
            sessions.setdefault(record.participant, set()).add(record.session)
        return sum(len(days) > 1 for days in sessions.values())


@dataclass(frozen=True)
class AuditContext:
    """Everything an audit may use; each attack is handed only a declared part of it.

    Attributes
    ----------
    sites
        Sorted by name.
    model
        Trained encoder and shared heads; never a participant head.
    random_model
        The same architecture, freshly initialised.
    tasks
        Tasks trained, with shared heads or locally.
    membership
        Whether some people were held out of training, and it is known whom.
    members_by
        `COINS` or `DECLARED`: the protocol under which the rows of kind C stand.
    bootstrap
        Resamples of people behind each interval.
    attribution_windows
        Windows that the attribution may look at.
    ceilings
        Site -> participant-level trade-off curve; None without differential privacy.
    strangers
        The people here are not the ones who trained: a pilot's server holds nobody's ECG and
        audits on embedded synthetic people. They are then all in the main group, with no controls.
    undeclared
        Nobody says whom the model was trained on: it comes from elsewhere. All are in the main group.
    duplicates
        Recordings that appear twice, once `resolve_duplicates` has dealt with them; None before.
    start_model
        The weights pretrained on synthetic people that training started from; None from random ones.
    observed
        What observers of the rounds saw; None where nobody kept it.
    recipe_ceilings
        As `ceilings`, of the whole recipe: what its audit models were charged, none of which missed a round.
        Sites without a part in the recipe have none.
    audit_models
        Trains K models of the run's recipe on other coins, once; None where there are none.
    permuted_model
        Trains a model of the run's recipe on permuted labels, once; None where there is none.
    """

    sites: tuple[AuditSite, ...]
    model: SiteModel
    random_model: SiteModel
    tasks: tuple[str, ...]
    membership: bool
    bootstrap: int
    seed: int
    attribution_windows: int
    ceilings: Mapping[str, CeilingCurve] | None
    strangers: bool = False
    undeclared: bool = False
    members_by: str = COINS
    duplicates: Duplicates | None = None
    start_model: SiteModel | None = None
    observed: Observed | None = None
    audit_models: MakeAuditModels | None = None
    permuted_model: Callable[[], SiteModel] | None = None
    recipe_ceilings: Mapping[str, CeilingCurve] | None = None

    @cached_property
    def released(self) -> ModelAccess:
        """The released model, which remembers its forward passes: all that is measured on it shares them."""
        return ModelAccess(self.model)

    @property
    def one_group(self) -> bool:
        """Whether everybody is in the main group: nobody can be held against it."""
        return self.strangers or self.undeclared

    @property
    def whom(self) -> str:
        """The people of `one_group` in words."""
        return "synthetic people, never trained on" if self.strangers else UNDECLARED

    @property
    def declared(self) -> str | None:
        """What to say of members that somebody declared; None where coins were tossed."""
        return "members declared, not drawn by a coin" if self.members_by == DECLARED else None

    def judged_on(self) -> tuple[np.ndarray, ...]:
        """Return per site whom utility is measured on, bool (P,).

        Those never trained on, under none of their ids, at no site; everybody in `one_group`.
        """
        if self.one_group:
            return tuple(np.ones(len(site.person_P), dtype=bool) for site in self.sites)
        trained = {
            person
            for site in self.sites
            for person, member in zip(site.person_P, site.member_P, strict=True)
            if member
        }
        return tuple(
            np.array([person not in trained for person in site.person_P], dtype=bool) for site in self.sites
        )
