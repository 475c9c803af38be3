"""The row of named features: what intervals, heights and slopes of a beat tell, beside the encoder.

Source: Wang et al. 2024, "ECG Unveiled" (arXiv 2408.10228): transparent models of features between P, Q,
R, S and T, explained by SHAP, for participant, sex and age. Here people are judged on probe records
(participant) or by models fitted on other people (sex, age), strangers to the encoder where they are
enough, and what isn't better than a guess is not explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transecg_core.attribution.fiducial_people import BEATS, Identified, identified
from transecg_core.attribution.fiducial_shap import (
    FEATURE_COMPONENTS,
    agreement,
    chance_spread,
    component_shares,
    top_features,
)
from transecg_core.attribution.fiducial_traits import Inferred, enough, inferred
from transecg_core.attribution.intervals import person_means
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.risk.balanced import balanced_accuracy
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.estimate import Estimate, difference, proportion
from transecg_core.risk.rows import POOLED, NotMeasurable
from transecg_core.seeds import seed_for

TRAITS = ("sex", "age")
RANK1, BALANCED = "rank-1", "balanced accuracy"

Maps = Mapping[str, Mapping[str, Mapping[str, Any]]]
Row = dict[str, Any]


def fiducial_models(ctx: AuditContext, attribution: Maps) -> list[Row]:
    """Return the report's ``fiducial_models``: participant per site and pooled, sex and age pooled.

    Parameters
    ----------
    attribution
        The report's ``attribution`` of the same run: the encoder's maps that pooled rows are compared with.

    Returns
    -------
    list of dict
        Figures that can't be measured are None, and ``notes`` says why.
    """
    try:
        case = build_case(ctx)
    except NotMeasurable as reason:
        return [_blank("participant", POOLED, RANK1, str(reason))] + [
            _blank(trait, POOLED, BALANCED, str(reason)) for trait in TRAITS
        ]
    return _participants(ctx, case, attribution) + [_trait(ctx, case, trait, attribution) for trait in TRAITS]


def _blank(task: str, site: str, metric: str, reason: str, people: int = 0) -> Row:
    return {
        "task": task, "site": site, "metric": metric, "value": None, "ci95": None, "majority": None,
        "vit": None, "vit_ci95": None, "n_participants": people, "components": None, "agreement": None,
        "features": [], "notes": f"not measurable: {reason}",
    }  # fmt: skip


def _participants(ctx: AuditContext, case: Case, attribution: Maps) -> list[Row]:
    places = (*case.site_names, POOLED)
    try:
        found = identified(case, ctx.released, seed_for(ctx.seed, "fiducial-models"))
    except NotMeasurable as reason:
        return [_blank("participant", place, RANK1, str(reason)) for place in places]
    maps = attribution.get("participant", {})
    return [_participant(ctx, case, found, place, maps if place == POOLED else {}) for place in places]


def _participant(
    ctx: AuditContext, case: Case, found: Identified, place: str, maps: Mapping[str, Any]
) -> Row:
    rows = found.rows(case, place)
    people = np.unique(found.person_K[rows])
    if len(people) < MIN_PEOPLE:
        reason = f"probes of {len(people)} people who can be confused, and {MIN_PEOPLE} are needed"
        return _blank("participant", place, RANK1, reason, len(people))
    per_person = [
        person_means(value[rows, None], found.person_K[rows])[:, 0]
        for value in (found.hit_K, found.vit_hit_K, found.chance_K)
    ]
    value = _rank1(ctx, per_person[0], place, "trees")
    vit = _rank1(ctx, per_person[1], place, "vit") if np.isfinite(per_person[1]).all() else None
    notes = [
        f"{found.judged[place]} probes, each among the people of its own site",
        f"trees: trained on the site's gallery, a row per {BEATS} beats",
        "vit: untuned, the nearest gallery template by the released encoder, same gallery and probes"
        if vit else "vit not measurable: the embeddings are not finite",
        *([_paired(ctx, per_person[0] - per_person[1], place)] if vit else []),
        _trained_note(ctx, case, people),
    ]  # fmt: skip
    told = rows[np.isfinite(found.strength_KF[rows, 0])]
    strength_PF = person_means(found.strength_KF[told], found.person_K[told])
    if len(strength_PF) < len(people):
        notes.append(f"explained on {len(strength_PF)} of them")
    chance = float(per_person[2].mean())
    return _row(("participant", place, RANK1), value, vit, chance, strength_PF, maps, notes)


def _rank1(ctx: AuditContext, hit_P: np.ndarray, place: str, model: str) -> Estimate:
    rng = np.random.default_rng(seed_for(ctx.seed, "fiducial-models", place, model))
    return proportion(hit_P, ctx.bootstrap, rng)


def _paired(ctx: AuditContext, more_P: np.ndarray, place: str) -> str:
    rng = np.random.default_rng(seed_for(ctx.seed, "fiducial-models", place, "difference"))
    return f"trees less vit, paired by person: {_figure(difference(more_P, ctx.bootstrap, rng), '+')}"


def _trained_note(ctx: AuditContext, case: Case, people: np.ndarray) -> str:
    if ctx.one_group:
        return ctx.whom
    return f"the encoder was trained on {int((~case.people.control_C[people]).sum())} of them"


def _trait(ctx: AuditContext, case: Case, trait: str, attribution: Maps) -> Row:
    try:
        found, fitted = _inferred(ctx, case, trait)
        people = len(found.person_U)
        if people < MIN_PEOPLE:
            raise NotMeasurable(f"{people} people to judge, and {MIN_PEOPLE} are needed")
        value = _balanced(ctx, found, found.guess_U, trait)
    except NotMeasurable as reason:
        return _blank(trait, POOLED, BALANCED, str(reason))
    vit = None if found.vit_reason else _balanced(ctx, found, found.vit_U, trait)
    notes = [
        f"participant-disjoint: fitted on {fitted} of other folds, site means taken off, one vote per person",
        _whom(ctx),
        f"vit not measurable: {found.vit_reason}" if found.vit_reason else
        "vit: a linear probe on the released encoder's embeddings, fitted and judged on the same people",
        _head_note(ctx, found, trait),
    ]  # fmt: skip
    guess = 1.0 / len(np.unique(found.truth_U))
    maps = attribution.get(trait, {})
    return _row((trait, POOLED, BALANCED), value, vit, guess, found.strength_UF, maps, notes)


def _inferred(ctx: AuditContext, case: Case, trait: str) -> tuple[Inferred, str]:
    """Infer from people the encoder never trained on where they are enough, and say whom it was fitted on."""
    control_C = case.people.control_C
    everybody_C, seed = np.ones_like(control_C), seed_for(ctx.seed, "fiducial-models")
    if ctx.one_group or not ctx.membership:
        return inferred(case, trait, everybody_C, everybody_C, ctx.released, seed), "people"
    fitted_C = control_C if enough(case, trait, control_C) else everybody_C
    found = inferred(case, trait, control_C, fitted_C, ctx.released, seed)
    if fitted_C is control_C:
        return found, "people the encoder was never trained on"
    return (
        found,
        "people, also some the encoder was trained on, since too few were not: the probe is held back by it",
    )


def _head_note(ctx: AuditContext, found: Inferred, trait: str) -> str:
    if found.head_U is None:
        return "the model's own head: none, or its embeddings are not finite"
    head = _balanced(ctx, found, found.head_U, trait)
    return f"the model's own head, which its maps explain, on the same people: {_figure(head)}"


def _figure(found: Estimate, sign: str = "") -> str:
    value, low, high = (f"{v:{sign}.2f}" for v in (found.value, *found.ci95))
    return f"{value} [{low}, {high}]"


def _balanced(ctx: AuditContext, found: Inferred, guess_U: np.ndarray, trait: str) -> Estimate:
    seed = seed_for(ctx.seed, "fiducial-models", trait)
    return balanced_accuracy(found.truth_U, guess_U, found.person_U, ctx.bootstrap, seed)


def _whom(ctx: AuditContext) -> str:
    if ctx.one_group:
        return f"judged on {ctx.whom}"
    return (
        "judged on people the encoder was never trained on" if ctx.membership
        else "judged on people the encoder was trained on, which favours it"
    )  # fmt: skip


def _row(
    where: tuple[str, str, str], value: Estimate, vit: Estimate | None, guess: float,
    strength_PF: np.ndarray, maps: Mapping[str, Any], notes: list[str],
) -> Row:  # fmt: skip
    """Return a row with a figure; explained only where the trees do better than a guess."""
    task, site, metric = where
    out = _blank(task, site, metric, "", value.n) | {
        "value": value.value, "ci95": list(value.ci95), "majority": guess,
        "vit": vit.value if vit else None, "vit_ci95": list(vit.ci95) if vit else None,
    }  # fmt: skip
    strength_F = strength_PF.mean(axis=0)
    if not value.ci95[0] > guess:
        notes = [*notes, "not explained: no better than a guess"]
    elif not strength_F.sum() > 0:
        notes = [*notes, "not explained: no feature has any effect"]
    else:
        out["components"] = shares = component_shares(strength_F)
        out["features"] = top_features(strength_F)
        out["agreement"] = agreement(shares, maps)
        notes = [*notes, *_agreed(out["agreement"])] if site == POOLED else notes
    return out | {"notes": "; ".join(notes)}


def _agreed(found: Mapping[str, float | None] | None) -> list[str]:
    if found is None:
        return ["no map of the encoder is shown to compare with"]
    count, spread = len(FEATURE_COMPONENTS), f"{chance_spread():.1f}"
    chance = f"agreement of {count} components' enrichments: random orders reach {spread}, so it is no test"
    return [chance] + [
        f"no agreement with {method}: an enrichment is missing, or all are alike"
        for method, value in found.items() if value is None
    ]  # fmt: skip
