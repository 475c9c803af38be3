"""A model of the run's own recipe, trained on labels that mean nothing.

A map that looks the same for this model shows what the signal looks like, not what was learned from the
labels. Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (the data randomisation test).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from torch import Tensor

from transecg_core.audit_models.recipe import train_recipe
from transecg_core.audit_models.together import Say, steps_of
from transecg_core.cohorts.schema import UNKNOWN
from transecg_core.config import RunConfig
from transecg_core.model.heads import SiteModel
from transecg_core.risk.rows import NotMeasurable
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import RecordInfo, Windows
from transecg_core.sites import Site, trained_rows
from transecg_core.training.pretrain import starting_weights

Build = Callable[[RunConfig, Mapping[str, Tensor], tuple[str, ...]], SiteModel]


def permuted_model_maker(
    cfg: RunConfig, sites: Sequence[Site], trained: Collection[str], build: Build, say: Say
) -> Callable[[], SiteModel] | None:
    """Return what trains the model when first asked; None where the run trains no models for its audit.

    The parameters are those of `transecg_core.audit_models.for_audit.audit_model_maker`. The returned function
    raises `NotMeasurable`, at every call, where the recipe can't be trained.
    """
    count = cfg.settings.audit_models if cfg.audit_models == "auto" else cfg.audit_models
    if not count or cfg.cohort == "node":
        return None

    @cache
    def attempt() -> SiteModel | str:
        say("audit: training a model of the same recipe on permuted labels")
        own_cfg = cfg.model_copy(update={"seed": seed_for(cfg.seed, "permuted model") % 2**31})
        there = [permuted_site(site, cfg.seed) for site in sites if site.data.name in trained]
        try:
            start = dict(starting_weights(own_cfg, lambda line: None))
            found = train_recipe(own_cfg, there, start, steps_of(own_cfg))
        except (ValueError, FloatingPointError) as error:
            return f"the model of permuted labels could not be trained: {error}"
        return build(cfg, found.weights, found.tasks)

    def make() -> SiteModel:
        if isinstance(found := attempt(), str):
            raise NotMeasurable(found)
        return found

    return make


def permuted_site(site: Site, seed: int) -> Site:
    """Return the site with the labels of its training windows permuted among them.

    Sex, age and diagnosis go from person to person together, so that a person's windows still agree and as
    many people have each label. Beat classes and participants go from window to window: with whole people
    permuted the participant task would only be renamed. What a class can be told by is gone; by how many
    windows stays.
    """
    data = site.data
    rng = np.random.default_rng(seed_for(seed, "permuted labels", data.name))
    rows = np.flatnonzero(trained_rows(data))
    windows = replace(data.windows, records=_other_people(data.windows, data.member_P, rng))
    participant_N, beat_N = windows.participant_N.copy(), windows.beat_N.copy()
    participant_N[rows] = rng.permutation(participant_N[rows])
    labelled = rows[beat_N[rows] != UNKNOWN]
    beat_N[labelled] = rng.permutation(beat_N[labelled])
    return replace(
        site, data=replace(data, windows=replace(windows, participant_N=participant_N, beat_N=beat_N))
    )


def _other_people(windows: Windows, member_P: np.ndarray, rng: np.random.Generator) -> tuple[RecordInfo, ...]:
    """Return the records of those who train with the labels of another of them, drawn at random."""
    first: dict[str, RecordInfo] = {}
    for record in windows.records:
        first.setdefault(record.participant, record)
    people = [p for p, member in zip(windows.participants, member_P, strict=True) if member and p in first]
    source = {people[i]: first[people[j]] for i, j in enumerate(rng.permutation(len(people)))}
    return tuple(
        replace(r, sex=source[r.participant].sex, age=source[r.participant].age,
                diagnosis=source[r.participant].diagnosis)
        if r.participant in source else r
        for r in windows.records
    )  # fmt: skip
