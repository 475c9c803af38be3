"""Rows of kind C from K audit models of the recipe: each attacked in turn, and the released one by all.

*Leave one model out*: audit model k stands in for the released one, the K - 1 others are the attacker's
references. Whose coin fell on training model k is known, so every person is judged K times, about
half of them as a member. That is the risk of the recipe, on average over whom it is trained on; the
row of the released model is about that one model. The references of model k tell nothing about its
coins, because all coins are independent. `risk.shadow_figures` says what the intervals are over.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.context import DECLARED, AuditContext
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Findings
from transecg_core.risk.membership import METRICS, TPR_METRIC, ceiling_for, no_controls, rows_of, scores_of
from transecg_core.risk.references import References
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.shadow_figures import Everybody, recipe_auc, recipe_tpr
from transecg_core.risk.table import blank, measured
from transecg_core.seeds import seed_for

LEAVE_ONE_OUT = "leave-one-model-out"
"""Protocol of the rows about the recipe."""


def shadow_membership(attack: Attack, evidence: Evidence) -> Findings:
    """Run one attack on every audit model and on the released one; return its rows per site and pooled."""
    ctx, case, held = evidence.ctx, evidence.case, evidence.held
    try:
        if (why := _none(ctx)) is not None:
            raise NotMeasurable(why)
        trained, starts = held["audit-models"], held["audit-starts"]
        every = Everybody(
            leave_one_out(attack, held, trained),
            leave_one_out(attack, held, starts),
            trained.trained_RT,
            case,
        )
    except NotMeasurable as reason:
        return Findings([blank(attack, (POOLED, LEAVE_ONE_OUT, metric), str(reason)) for metric in METRICS])
    arms: list[tuple[str, tuple[str, ...], Everybody]] = [
        (name, (name,), every.of(case.targets.site_T == i)) for i, name in enumerate(case.site_names)
    ]
    arms.append((POOLED, case.site_names, every.of(every.first_ids())))
    rows = [_row(attack, ctx, (site, LEAVE_ONE_OUT, "AUC"), sites, own) for site, sites, own in arms]
    rows.append(_row(attack, ctx, (POOLED, LEAVE_ONE_OUT, TPR_METRIC), case.site_names, arms[-1][2]))
    return Findings(rows + _released(attack, ctx, case, held))


def _none(ctx: AuditContext) -> str | None:
    """Return why there are no audit models; None if there are."""
    if (why := no_controls(ctx)) is not None:
        return why
    if ctx.audit_models is not None:
        return None
    if ctx.members_by == DECLARED:
        return "audit models need the recipe, which is not known of a model from elsewhere"
    return "no audit models were trained (profile=full trains 16, or audit-models=16)"


def leave_one_out(attack: Attack, held: Mapping[str, Any], known: References) -> np.ndarray:
    """Return every audit model's scores (K, T), each by an attacker who holds all the others."""
    scores = []
    for k, model in enumerate(known.models):
        swapped = ChainMap({"released-model": model, "audit-models": known.without(k)}, held)  # type: ignore[arg-type]
        scores.append(attack.run(Given(attack.artefacts, swapped)))
    return np.stack(scores)


def _released(attack: Attack, ctx: AuditContext, case: Case, held: Mapping[str, Any]) -> list[RiskRow]:
    """Return the rows of the released model, with all audit models as references."""
    start = held["architecture" if ctx.start_model is None else "start"]
    fresh = ChainMap({"released-model": start, "audit-models": held["audit-starts"]}, held)  # type: ignore[arg-type]
    try:
        trained_T, fresh_T = (attack.run(Given(attack.artefacts, own)) for own in (held, fresh))
    except NotMeasurable as reason:
        return [blank(attack, (POOLED, ctx.members_by, metric), str(reason)) for metric in METRICS]
    scores = scores_of(case, trained_T, fresh_T)
    return rows_of(attack, ctx, case, scores)


def _row(
    attack: Attack, ctx: AuditContext, where: tuple[str, str, str], sites: tuple[str, ...], own: Everybody
) -> RiskRow:
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", attack.name, *where))
    try:
        got = (recipe_auc if where[2] == "AUC" else recipe_tpr)(own, ctx.bootstrap, rng)
    except NotMeasurable as reason:
        return blank(attack, where, str(reason))
    # Of the whole recipe: the released model's own may be lower, where sites missed rounds of its training.
    recipe = replace(ctx, ceilings=ctx.recipe_ceilings)
    part = sites if ctx.recipe_ceilings is None else tuple(s for s in sites if s in ctx.recipe_ceilings)
    ceiling, why = ceiling_for(recipe, part, got.uncovered, where[2], got.fpr)
    members = own.usable_KT & (own.member_KT == 1.0)
    notes = (
        f"{len(own.trained_KT)} audit models, each attacked with the others as references",
        f"risk of the recipe at {members.sum(axis=1).mean():.1f} members",
        *got.notes,
        got.models,
        "interval over people and models, both drawn anew",
        "control: the same attack on the models' starts",
        why,
    )
    return measured(attack, where, got.found, got.control, got.baseline, got.found.n, notes, ceiling)
