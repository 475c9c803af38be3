"""Rows of attacks that are read beside identification: pooled, with the same problems, intervals and groups."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.beside import Beside
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Findings
from transecg_core.risk.linkage import Question, figure_row, gain_row
from transecg_core.risk.problems import Problem, outcome
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.standing import Scores
from transecg_core.risk.table import CROSS_SITE, blank

REFERENCE = "the reference"
UNTRAINED = "random-init"
"""Name under which `linkage` looks for the untrained encoder: here, the same attack on it."""


def beside(attack: Attack, evidence: Evidence) -> Findings:
    """Return the rows of a `Beside` attack; its baseline is the same attack on the untrained encoder."""
    if not isinstance(attack, Beside):
        raise TypeError(f"{attack.name} says nothing about how it is read")
    asked = [question for question in evidence.questions if _is_asked(attack, question)]
    if not asked:
        reason = "no site has probes with somebody to confuse them with"
        return Findings([blank(attack, (POOLED, "none", _shown(attack, attack.metrics[0])), reason)])
    try:
        scores = _scores(attack, evidence.held)
    except NotMeasurable as reason:
        metrics = [
            *(_shown(attack, metric) for metric in attack.metrics),
            *([attack.gain] * bool(attack.gain)),
        ]
        return Findings([blank(attack, q.where(metric), str(reason)) for q in asked for metric in metrics])
    return Findings([row for question in asked for row in _rows(attack, question, scores)])


def _is_asked(attack: Beside, question: Question) -> bool:
    problem = question.problem
    return problem.site == POOLED and (attack.cross_site or problem.protocol != CROSS_SITE)


def _scores(attack: Beside, held: Mapping[str, Any]) -> dict[str, Scores]:
    """Return the attack's similarities, the reference's, and the attack's on the untrained encoder."""
    scores = {attack.name: attack.run(Given(attack.artefacts, held))}
    if attack.reference is not None:
        scores[REFERENCE] = attack.reference(Given(attack.artefacts, held))
    if attack.kind == "B":
        untrained = ChainMap({"released-model": held["architecture"]}, held)  # type: ignore[arg-type]
        scores[UNTRAINED] = attack.run(Given(attack.artefacts, untrained))
    return scores


def _rows(attack: Beside, question: Question, scores: Mapping[str, Scores]) -> list[RiskRow]:
    problem = question.problem
    if attack.own_site:
        problem = replace(problem, ranked_K=problem.verified_K)
    outcomes = {name: outcome(problem, given) for name, given in scores.items()}
    # No floors: what these rows are to be read against is said in their conclusion.
    own = replace(question, problem=problem, outcomes=outcomes, linkage=replace(question.linkage, floors=()))
    rows = [_said(attack, figure_row(attack, own, metric), problem) for metric in attack.metrics]
    if attack.gain:
        rows.append(_said(attack, gain_row(attack, own, REFERENCE, attack.gain), problem))
    return rows


def _said(attack: Beside, row: RiskRow, problem: Problem) -> RiskRow:
    metric = _shown(attack, row.metric)
    if row.main is None:
        return replace(row, metric=metric)
    if attack.told_site:
        row = replace(row, baseline=float(np.mean(1.0 / (1 + problem.rivals_K))))
    notes = row.notes.replace("baseline: the untrained", "baseline: the same attack on the untrained")
    if attack.own_site:
        notes = notes.replace("one gallery of all sites; ", "")
    return replace(row, metric=metric, notes="; ".join(part for part in (notes, attack.conclusion) if part))


def _shown(attack: Beside, metric: str) -> str:
    return f"{metric} within the site" if attack.own_site and metric == "rank-1" else metric
