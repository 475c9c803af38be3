"""Curves of linkage attacks: rank, gallery size, sessions between enrolment and probe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import MIN_PEOPLE, percentile, resamples, wilson
from transecg_core.risk.findings import Curve, Points
from transecg_core.risk.linkage import Question, groups
from transecg_core.risk.problems import Outcome
from transecg_core.risk.rows import POOLED
from transecg_core.risk.table import CROSS_SITE

LAST_RANK = 20
SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def linkage_curves(attack: Attack, question: Question) -> tuple[Curve, ...]:
    """Return the curves of one attack on one problem: pooled, of one gallery, and only where there is an outcome."""
    problem = question.problem
    if problem.site != POOLED or problem.protocol == CROSS_SITE or attack.name not in question.outcomes:
        return ()
    curves = [_by_gap(attack, question)]
    if attack.kind == "B":
        size = 1 + int(problem.rivals_K.min())
        ranks = tuple(range(1, min(LAST_RANK, size) + 1))
        sizes = (*(s for s in SIZES if s < size), size)
        curves += [
            _curve(
                attack, question, ("rank", "right person among the first"), ranks, lambda o, k: o.rank_P(k)
            ),
            _curve(attack, question, ("people in the gallery", "rank-1"), sizes, lambda o, g: o.among_P(g)),
        ]
    return tuple(curve for curve in curves if curve is not None)


def _by_gap(attack: Attack, question: Question) -> Curve | None:
    """Return rank-1 by session gap, where at least two gaps have enough people."""
    problem, gap_K = question.problem, question.gap_K
    gaps = tuple(int(gap) for gap in np.unique(gap_K))

    def at(found: Outcome, gap: int) -> np.ndarray:
        here_K = (gap_K == gap).astype(np.float64)
        people = len(problem.person_P)
        first_K = found.first_K
        asked_P = np.bincount(problem.person_K, weights=here_K, minlength=people)
        hits_P = np.bincount(problem.person_K, weights=here_K * first_K, minlength=people)
        return np.divide(hits_P, asked_P, out=np.full(people, np.nan), where=asked_P > 0)

    everybody = np.ones(len(problem.person_P), dtype=bool)
    found = question.outcomes[attack.name]
    enough = [np.isfinite(at(found, gap))[everybody].sum() >= MIN_PEOPLE for gap in gaps]
    if sum(enough) < 2:
        return None
    return _curve(attack, question, ("sessions between enrolment and probe", "rank-1"), gaps, at)


def _curve(
    attack: Attack,
    question: Question,
    labels: tuple[str, str],
    x: tuple[int, ...],
    at: Callable[[Outcome, int], np.ndarray],
) -> Curve | None:
    """Return a curve of per-person shares; people without one (NaN) are left out of that point."""
    main_P, control_P = groups(attack, question)
    if main_P.sum() < MIN_PEOPLE:
        return None
    found = question.outcomes[attack.name]
    value_XP = np.stack([at(found, point) for point in x])
    rng = question.rng(attack.name, "curve", labels[0])
    low, high = band(value_XP[:, main_P], question.ctx.bootstrap, rng)
    baseline = None
    if attack.kind == "B" and "random-init" in question.outcomes:
        untrained = question.outcomes["random-init"]
        baseline = means(np.stack([at(untrained, point) for point in x])[:, main_P])
    problem = question.problem
    return Curve(
        name=attack.name,
        kind=attack.kind,
        observer=attack.observer,
        site=problem.site,
        protocol=problem.protocol,
        x_label=labels[0],
        y_label=labels[1],
        x=tuple(float(point) for point in x),
        main=means(value_XP[:, main_P]),
        control=means(value_XP[:, control_P]) if control_P.sum() >= MIN_PEOPLE else None,
        baseline=baseline,
        low=low,
        high=high,
        n_participants=int(main_P.sum()),
        notes=f"one gallery of {problem.gallery_size} enrolled at all sites; ties broken at random"
        + ("; days between sessions not known" if labels[0].startswith("sessions") else ""),
    )


def means(value_XP: np.ndarray) -> Points:
    """Return the mean over people of each point; None with fewer than `MIN_PEOPLE` of them."""
    known_XP = np.isfinite(value_XP)
    return tuple(
        float(row[known].mean()) if known.sum() >= MIN_PEOPLE else None
        for row, known in zip(value_XP, known_XP, strict=True)
    )


def band(value_XP: np.ndarray, bootstrap: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Return 95 % intervals over people, one point at a time, on one set of resamples."""
    weight_BP = resamples(value_XP.shape[1], bootstrap, rng)
    low: list[float | None] = []
    high: list[float | None] = []
    for value_P in value_XP:
        known_P = np.isfinite(value_P)
        n, ends = int(known_P.sum()), None
        if n >= MIN_PEOPLE:
            share_P = value_P[known_P]
            if np.isin(share_P, (0.0, 1.0)).all() or np.ptp(share_P) == 0:
                ends = wilson(float(share_P.sum()), n)
            else:
                total_B = weight_BP[:, known_P].sum(axis=1)
                drawn_B = total_B > 0
                ends = percentile((weight_BP[:, known_P] @ share_P)[drawn_B] / total_B[drawn_B])
        low.append(None if ends is None else ends[0])
        high.append(None if ends is None else ends[1])
    return tuple(low), tuple(high)
