"""Rows of kind C: members' rank-1 minus controls', corrected by the same gap of the signal."""

from __future__ import annotations

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import MIN_PEOPLE, difference_of_means
from transecg_core.risk.linkage import Question, best_floor
from transecg_core.risk.membership import ceiling_for, larger_share, no_controls
from transecg_core.risk.rows import POOLED, RiskRow
from transecg_core.risk.table import blank, measured

METRIC = "gap in rank-1 (members - controls)"


def linkage_gap_row(attack: Attack, question: Question) -> RiskRow:
    """Return the corrected gap on one problem.

    The gap of the best signal floor on the same people is taken off person by person:
    members may happen to be easier to tell apart than controls, model or no model.
    """
    ctx, problem, outcomes = question.ctx, question.problem, question.outcomes

    def none(reason: str) -> RiskRow:
        return blank(attack, question.where(METRIC), reason)

    if (why_not := no_controls(ctx)) is not None:
        return none(why_not)
    if attack.name not in outcomes:
        return none(question.linkage.reasons[attack.name])
    member_P, control_P = question.member_P, question.control_P
    if min(member_P.sum(), control_P.sum()) < MIN_PEOPLE:
        found = f"{int(member_P.sum())} and {int(control_P.sum())}"
        return none(f"needs probes of {MIN_PEOPLE} members and {MIN_PEOPLE} controls, found {found}")
    floor = best_floor(question)
    if floor is None:
        return none("no signal floor to correct by")
    rank1_P, floor_P = outcomes[attack.name].rank1_P, outcomes[floor].rank1_P
    corrected_P = rank1_P - floor_P
    rng = question.rng(attack.name, METRIC)
    gap = difference_of_means(corrected_P[member_P], corrected_P[control_P], ctx.bootstrap, rng)
    started = "pretrained-start" in outcomes
    fresh = outcomes.get("pretrained-start" if started else "random-init")
    control = None if fresh is None else _gap(fresh.rank1_P - floor_P, member_P, control_P)
    pooled = problem.site == POOLED
    shared = larger_share(question.case.people.units_C[problem.person_P] > 1, member_P)
    ceiling, why = ceiling_for(ctx, question.case.site_names if pooled else (problem.site,), shared, METRIC)
    notes = (
        f"raw gap {_gap(rank1_P, member_P, control_P):+.3f}",
        f"gap of {floor} on the same people {_gap(floor_P, member_P, control_P):+.3f} (taken off)",
        f"control: the {'pretrained start' if started else 'untrained encoder'} in the same place",
        f"{int(member_P.sum())} members, {int(control_P.sum())} controls",
        ctx.declared,
        why,
    )
    return measured(attack, question.where(METRIC), gap, control, 0.0, gap.n, notes, ceiling)


def _gap(value_P: np.ndarray, member_P: np.ndarray, control_P: np.ndarray) -> float:
    return float(value_P[member_P].mean() - value_P[control_P].mean())
