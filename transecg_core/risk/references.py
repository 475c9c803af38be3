"""Audit models as an attacker holds them: a model, and who trained it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from transecg_core.model.heads import SiteModel
from transecg_core.risk.artefacts import ModelAccess
from transecg_core.risk.cases import Case, people_of
from transecg_core.risk.context import AuditContext


@dataclass(frozen=True)
class AuditModels:
    """K models of the run's own recipe.

    Attributes
    ----------
    models, starts
        Each after training, and as its training started; encoder and shared heads.
    members
        Per model and site of the audit, bool (P,): whose coin fell on training.
    """

    models: tuple[SiteModel, ...]
    starts: tuple[SiteModel, ...]
    members: tuple[tuple[np.ndarray, ...], ...]


MakeAuditModels = Callable[[], AuditModels]
"""Trains them: minutes, and only where an attack takes them."""


@dataclass(frozen=True)
class References:
    """R models that the attacker trained, or has from elsewhere, by the recipe of the one attacked.

    Attributes
    ----------
    trained_RT
        1 where the target was among those who trained the model, 0 where not, NaN where under some ids only.
    """

    models: tuple[ModelAccess, ...]
    trained_RT: np.ndarray

    def without(self, index: int) -> References:
        """Return all but one."""
        rest = tuple(model for i, model in enumerate(self.models) if i != index)
        return References(rest, np.delete(self.trained_RT, index, axis=0))


def references(ctx: AuditContext, case: Case, made: AuditModels) -> tuple[References, References]:
    """Return the trained audit models and the same at the start, with who trained the former."""
    trained_RT = np.stack([_trained(ctx, case, members) for members in made.members])
    models, starts = (tuple(map(ModelAccess, own)) for own in (made.models, made.starts))
    return References(models, trained_RT), References(starts, trained_RT)


def _trained(ctx: AuditContext, case: Case, members: tuple[np.ndarray, ...]) -> np.ndarray:
    sites = tuple(replace(site, member_P=own) for site, own in zip(ctx.sites, members, strict=True))
    people = people_of(replace(ctx, sites=sites))
    trained_C = np.where(people.member_C, 1.0, np.where(people.control_C, 0.0, np.nan))
    return np.asarray(trained_C[case.person_T])
