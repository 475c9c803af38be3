"""Run every attack of the registry and collect what they find."""

from __future__ import annotations

from collections.abc import Mapping

from transecg_core.risk.attacks.attack import Attack, Measure
from transecg_core.risk.beside import beside
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.evidence import Evaluator, Evidence, gather
from transecg_core.risk.findings import Findings, together
from transecg_core.risk.inference import METRIC as INFERENCE_METRIC
from transecg_core.risk.inference import inference
from transecg_core.risk.inversion_findings import RANK1, inversion_study
from transecg_core.risk.inversion_rows import inversion
from transecg_core.risk.linkage import linkage_rows
from transecg_core.risk.linkage_curves import linkage_curves
from transecg_core.risk.linkage_gap import METRIC, linkage_gap_row
from transecg_core.risk.membership import membership_rows
from transecg_core.risk.open_world import METRICS as OPEN_WORLD_METRICS
from transecg_core.risk.open_world import open_world
from transecg_core.risk.people_at_risk import people_at_risk
from transecg_core.risk.registry import ATTACKS
from transecg_core.risk.round_membership import round_membership
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.shadow_membership import shadow_membership
from transecg_core.risk.table import CROSS_SITE, blank

NO_PROBES = "none"
"""Protocol of a row that exists only to say that there were no probes."""


def audit(ctx: AuditContext) -> Findings:
    """Measure every risk of a trained model that the data can carry.

    A figure that can't be measured is a row with ``main`` None and the reason in ``notes``.

    Returns
    -------
    Findings
        By attack in the registry's order; rows then by protocol, site and metric. Last the rows about the
        most exposed people, which read the attacks' scores.
    """
    attacks = tuple(a for a in ATTACKS if ctx.start_model is not None or "start" not in a.artefacts)
    try:
        case = build_case(ctx)
    except NotMeasurable as reason:
        return Findings(
            [blank(a, (POOLED, NO_PROBES, FIRST_METRIC[a.measure]), str(reason)) for a in attacks]
        )
    evidence = gather(ctx, case, attacks)
    found = [EVALUATORS[attack.measure](attack, evidence) for attack in attacks]
    return together([*found, people_at_risk(evidence)])


def _membership(attack: Attack, evidence: Evidence) -> Findings:
    return Findings(membership_rows(attack, evidence.ctx, evidence.case, evidence.held))


def _linkage(attack: Attack, evidence: Evidence) -> Findings:
    rows = [row for q in evidence.questions for row in linkage_rows(attack, q)]
    curves = tuple(curve for q in evidence.questions for curve in linkage_curves(attack, q))
    return Findings(rows + _unasked(attack, evidence), curves)


def _linkage_gap(attack: Attack, evidence: Evidence) -> Findings:
    return Findings([linkage_gap_row(attack, q) for q in evidence.questions] + _unasked(attack, evidence))


def _unasked(attack: Attack, evidence: Evidence) -> list[RiskRow]:
    """Say once what the data can't ask."""
    metric, rows = FIRST_METRIC[attack.measure], []
    protocols = {question.problem.protocol for question in evidence.questions}
    if not protocols - {CROSS_SITE}:
        reason = "no site has probes with somebody to confuse them with"
        rows.append(blank(attack, (POOLED, NO_PROBES, metric), reason))
    if CROSS_SITE not in protocols and attack.kind == "B":
        reason = "no person is known to have different recordings at two sites"
        rows.append(blank(attack, (POOLED, CROSS_SITE, metric), reason))
    return rows


EVALUATORS: Mapping[Measure, Evaluator] = {
    "linkage": _linkage,
    "linkage-gap": _linkage_gap,
    "membership": _membership,
    "round-membership": round_membership,
    "inversion": inversion,
    "inversion-study": inversion_study,
    "beside": beside,
    "inference": inference,
    "open-world": open_world,
    "shadow-membership": shadow_membership,
}
"""Who judges an attack, by what it measures."""
FIRST_METRIC: Mapping[Measure, str] = {
    "linkage": "rank-1",
    "linkage-gap": METRIC,
    "membership": "AUC",
    "round-membership": "AUC",
    "inversion": "AUC",
    "inversion-study": RANK1,
    "beside": "rank-1",
    "inference": INFERENCE_METRIC,
    "open-world": OPEN_WORLD_METRICS[0],
    "shadow-membership": "AUC",
}
"""Metric under which an attack says that it could not be run at all."""
