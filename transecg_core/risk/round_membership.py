"""Rows of kind C for observers of every round: who was in training, from what changed round by round."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.estimate import MIN_PEOPLE, auc, auc_estimate
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Curve, Findings
from transecg_core.risk.membership import METRICS, Scores, first_ids, no_controls, rows_of, scores_of, wins_of
from transecg_core.risk.round_tables import WINDOWS
from transecg_core.risk.rounds import Arm, GlobalRounds, SiteUpdates, numbers_of, without_control
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import blank
from transecg_core.seeds import seed_for

CONTROL = "on round 1 without their own site: starting weights, moved by other sites' people"
ARMS: tuple[Arm, ...] = ("seen", "untrained", "left-out")
ROUNDS = ("site-updates", "global-rounds")
"""Artefacts that an observer of rounds holds."""


def no_rounds(ctx: AuditContext) -> str | None:
    """Return why there is nothing that an observer of rounds saw; None if there is."""
    if ctx.observed is None:
        return "nobody kept what observers of the rounds saw"
    return None if ctx.observed.rounds else "no round was finished"


def round_membership(attack: Attack, evidence: Evidence) -> Findings:
    """Run an attack that scores targets round by round (T, R); return rows and a curve over rounds.

    A target's score is the mean over the rounds in which their site took part. People in several training
    units are left out: what another site sends may have been trained on them too, so that neither the others'
    updates nor the control are without them.
    """
    ctx, case = evidence.ctx, evidence.case
    try:
        if (why := no_controls(ctx) or no_rounds(ctx)) is not None:
            raise NotMeasurable(why)
        trained_TR, fresh_TR, left_TR = (run_arm(attack, evidence.held, arm) for arm in ARMS)
    except NotMeasurable as reason:
        return Findings([blank(attack, (POOLED, ctx.members_by, m), str(reason)) for m in METRICS])
    one_unit_T = case.people.units_C[case.person_T] == 1
    said = _left_out(case.person_T, one_unit_T, trained_TR, fresh_TR)
    trained_TR, fresh_TR, left_TR = (
        np.where(one_unit_T[:, None], arm_TR, np.nan) for arm_TR in (trained_TR, fresh_TR, left_TR)
    )
    scores = scores_of(case, mean_of(trained_TR), mean_of(fresh_TR))
    numbers = _numbers(attack, evidence.held)
    total = ctx.observed.cfg.rounds if ctx.observed is not None else 0
    used = f"rounds {', '.join(map(str, numbers))} of {total}; {WINDOWS} windows a person at most"
    used = "; ".join((used, *said))
    rows = rows_of(attack, ctx, case, scores, CONTROL)
    rows = [
        replace(row, notes="; ".join((row.notes, *((used,) if row.main is not None else said))))
        for row in rows
    ]
    rows = [_with_left_out(row, case, scores_of(case, mean_of(trained_TR), mean_of(left_TR))) for row in rows]
    curve = over_rounds(attack, ctx, case, (trained_TR, fresh_TR), numbers)
    return Findings(rows, () if curve is None else (curve,))


def _left_out(
    person_T: np.ndarray, one_unit_T: np.ndarray, seen_TR: np.ndarray, control_TR: np.ndarray
) -> tuple[str, ...]:
    """Say how many people have no place in the figures, and why."""
    several = len(np.unique(person_T[np.isfinite(seen_TR).any(axis=1) & ~one_unit_T]))
    lost = without_control(person_T[one_unit_T], seen_TR[one_unit_T], control_TR[one_unit_T])
    return tuple(
        f"{count} people left out: {why}"
        for count, why in (
            (several, "at two sites or trained under two ids, so other sites' updates may hold them too"),
            (lost, "without their site's, round 1 holds no update to make a control of"),
        )
        if count
    )


def run_arm(attack: Attack, held: Mapping[str, Any], arm: Arm) -> np.ndarray:
    """Run an attack on one arm of what its observer holds."""
    name = _artefact(attack)
    return attack.run(Given(attack.artefacts, ChainMap({name: held[name].instead(arm)}, held)))  # type: ignore[arg-type]


def _with_left_out(row: RiskRow, case: Case, scores: Scores) -> RiskRow:
    """Add to the pooled AUC what every round without the person's own site would have told."""
    if row.main is None or (row.site, row.metric) != (POOLED, "AUC"):
        return row
    scores = scores.of(first_ids(case, scores))
    wins = wins_of(scores.fresh_T, scores)
    if not wins:
        return row
    return replace(row, notes=f"{row.notes}; all those rounds without their own site: {auc(wins):.3f}")


def _artefact(attack: Attack) -> str:
    return next(name for name in attack.artefacts if name in ROUNDS)


def _numbers(attack: Attack, held: Mapping[str, Any]) -> tuple[int, ...]:
    seen: SiteUpdates | GlobalRounds = held[_artefact(attack)]
    return numbers_of(seen)


def mean_of(score_TR: np.ndarray) -> np.ndarray:
    """Return each target's mean over the rounds with a score (T,); NaN where there is none."""
    known_TR = np.isfinite(score_TR)
    count_T = known_TR.sum(axis=1)
    total_T = np.where(known_TR, score_TR, 0.0).sum(axis=1)
    return np.where(count_T > 0, total_T / np.maximum(count_T, 1), np.nan)


def over_rounds(
    attack: Attack,
    ctx: AuditContext,
    case: Case,
    arms_TR: tuple[np.ndarray, np.ndarray],
    numbers: tuple[int, ...],
    running: bool = False,
) -> Curve | None:
    """Return the pooled AUC by how many of the rounds are used; None for a single round, or too few people.

    With `running`, scores are means over rounds already.
    """
    if len(numbers) < 2:
        return None
    points = []
    for r in range(1, len(numbers) + 1):
        first = r - 1 if running else 0
        scores = scores_of(case, *(mean_of(arm_TR[:, first:r]) for arm_TR in arms_TR))
        points.append(_point(scores.of(first_ids(case, scores)), ctx, attack.name))
    if all(point is None for point in points):
        return None
    columns = [[None if p is None else p[i] for p in points] for i in range(4)]
    main, control, low, high = (tuple(column) for column in columns)
    return Curve(
        attack.name, attack.kind, attack.observer, POOLED, ctx.members_by, "last round used", "AUC",
        tuple(float(n) for n in numbers), main, control, (0.5,) * len(numbers), low, high,
        int(points[-1][4]) if points[-1] is not None else 0,
        f"mean over {'all kept rounds' if running else 'rounds ' + ', '.join(map(str, numbers))} up to the one shown; "
        "pairs within a site",
    )  # fmt: skip


def _point(scores: Scores, ctx: AuditContext, name: str) -> tuple[float, float, float, float, int] | None:
    """Return main, control, interval and people of one point; None with too few members or controls."""
    wins, fresh = wins_of(scores.trained_T, scores), wins_of(scores.fresh_T, scores)
    members, controls = (sum(w.win_MC.shape[side] for w in wins) for side in (0, 1))
    if min(members, controls) < MIN_PEOPLE:
        return None
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", name, "over rounds"))
    found = auc_estimate(wins, ctx.bootstrap, rng)
    low, high = found.ci95
    return found.value, auc(fresh), min(low, found.value), max(high, found.value), members + controls
