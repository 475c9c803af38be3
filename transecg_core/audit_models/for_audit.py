"""Audit models as the risk audit takes them: trained when first asked for, and only once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

import numpy as np
from torch import Tensor

from transecg_core.audit_models.together import AuditModel, Say, train_audit_models
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel
from transecg_core.risk.references import AuditModels, MakeAuditModels
from transecg_core.risk.rows import NotMeasurable
from transecg_core.sites import Site

Build = Callable[[RunConfig, Mapping[str, Tensor], tuple[str, ...]], SiteModel]
"""(config, shared weights, trained tasks) -> the model that is attacked."""


def audit_model_maker(
    cfg: RunConfig, sites: Sequence[Site], trained: Collection[str], build: Build, say: Say
) -> MakeAuditModels | None:
    """Return what trains the run's audit models; None where the run has none.

    Parameters
    ----------
    sites
        Every site of the audit, as the run prepared it.
    trained
        Names of the sites whose updates entered the released model; the others have no part in the recipe.

    Notes
    -----
    The returned function raises `NotMeasurable` where the people can't carry it, at every call.
    """
    count = cfg.settings.audit_models if cfg.audit_models == "auto" else cfg.audit_models
    if not count or cfg.cohort == "node" or cfg.audit_split != "halves":
        return None

    @cache
    def attempt() -> AuditModels | str:
        say(f"audit: training {count} audit models of the same recipe, each on other coins")
        there = [site for site in sites if site.data.name in trained]
        try:
            models = train_audit_models(cfg, there, count, say)
        except (ValueError, FloatingPointError) as error:
            return f"the audit models could not be trained: {error}"
        return AuditModels(
            tuple(build(cfg, model.trained.weights, model.trained.tasks) for model in models),
            tuple(build(cfg, model.start, model.trained.tasks) for model in models),
            tuple(_everywhere(sites, there, model) for model in models),
        )

    def make() -> AuditModels:
        if isinstance(found := attempt(), str):
            raise NotMeasurable(found)
        return found

    return make


def _everywhere(sites: Sequence[Site], there: Sequence[Site], model: AuditModel) -> tuple[np.ndarray, ...]:
    """Return one model's members at every site of the audit: nobody where the site has no part in the recipe."""
    known = {site.data.name: own for site, own in zip(there, model.members, strict=True)}
    return tuple(known.get(site.data.name, np.zeros(len(site.data.person_P), dtype=bool)) for site in sites)
