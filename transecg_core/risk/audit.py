"""Run every attack of the registry and collect the rows of the report."""

from __future__ import annotations

from typing import Any

from transecg_core.risk.artefacts import ModelAccess
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.linkage import Question, linkage_rows, run_linkage
from transecg_core.risk.linkage_gap import METRIC, linkage_gap_row
from transecg_core.risk.membership import membership_rows
from transecg_core.risk.problems import problems
from transecg_core.risk.registry import ATTACKS
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import CROSS_SITE, blank

NO_PROBES = "none"
"""Protocol of a row that exists only to say that there were no probes."""


def audit(ctx: AuditContext) -> list[RiskRow]:
    """Measure every risk of a trained model that the data can carry.

    A figure that can't be measured is a row with ``main`` None and the reason in ``notes``.

    Returns
    -------
    list of RiskRow
        By attack in the registry's order, then protocol, site and metric.
    """
    attacks = tuple(a for a in ATTACKS if ctx.start_model is not None or "start" not in a.artefacts)
    try:
        case = build_case(ctx)
    except NotMeasurable as reason:
        return [blank(attack, (POOLED, NO_PROBES, _metric(attack)), str(reason)) for attack in attacks]
    held: dict[str, Any] = {
        "gallery": case.gallery,
        "probes": case.probes,
        "targets": case.targets,
        "released-model": ModelAccess(ctx.model),
        "architecture": ModelAccess(ctx.random_model),
    }
    if ctx.start_model is not None:
        held["start"] = ModelAccess(ctx.start_model)
    questions = _questions(ctx, case, held, attacks)
    rows: list[RiskRow] = []
    for attack in attacks:
        if attack.measure == "membership":
            rows += membership_rows(attack, ctx, case, held)
        else:
            rows += _linkage(attack, questions)
    return rows


def _questions(
    ctx: AuditContext, case: Case, held: dict[str, Any], attacks: tuple[Attack, ...]
) -> list[Question]:
    asked = list(problems(case))
    if not asked:
        return []
    linkage = run_linkage(tuple(a for a in attacks if a.measure != "membership"), held)
    return [Question(ctx, case, problem, linkage, linkage.outcomes(problem)) for problem in asked]


def _linkage(attack: Attack, questions: list[Question]) -> list[RiskRow]:
    """Return the rows of a linkage attack; what the data can't ask is said once."""
    is_gap = attack.measure == "linkage-gap"
    rows: list[RiskRow] = []
    for question in questions:
        rows += [linkage_gap_row(attack, question)] if is_gap else linkage_rows(attack, question)
    protocols = {question.problem.protocol for question in questions}
    if not protocols - {CROSS_SITE}:
        reason = "no site has probes with somebody to confuse them with"
        rows.append(blank(attack, (POOLED, NO_PROBES, _metric(attack)), reason))
    if CROSS_SITE not in protocols and attack.kind == "B":
        reason = "no person is known to have different recordings at two sites"
        rows.append(blank(attack, (POOLED, CROSS_SITE, _metric(attack)), reason))
    return rows


def _metric(attack: Attack) -> str:
    """Return the metric under which an attack says that it could not be run."""
    return {"linkage": "rank-1", "linkage-gap": METRIC, "membership": "AUC"}[attack.measure]
