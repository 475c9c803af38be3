"""Rows about the most exposed people: linked with certainty, and the worst tenth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.estimate import MIN_PEOPLE, Estimate, percentile, proportion
from transecg_core.risk.exposure import Exposure, exposure
from transecg_core.risk.linkage import Question
from transecg_core.risk.rows import RiskRow
from transecg_core.risk.table import blank, measured

PREFIX = "worst people: "
"""Of the names of rows about the people whom an attack exposes most."""
CERTAIN = "share linked with certainty"
MARGIN = "margin, worst tenth"
TENTH = 20
"""Fewest people of whom a worst tenth is told: two of them."""
CERTAIN_WORDS = (
    "certain: every query ranks the person first, and above every wrong match of everybody else's queries"
)


def about_worst(attack: Attack) -> Attack:
    """Return the attack under the name of its rows about the most exposed people."""
    return replace(attack, name=f"{PREFIX}{attack.name}")


def exposure_of(question: Question, name: str) -> Exposure:
    """Return the exposure of the canonical people of a question under an attack that was run."""
    problem = question.problem
    return exposure(problem, question.linkage.score_QG[name], problem.person_K, len(problem.person_P))


def worst_rows(attack: Attack, question: Question) -> list[RiskRow]:
    """Return the two rows of one linkage attack on one question."""
    if attack.name not in question.outcomes:
        reason = question.linkage.reasons[attack.name]
        return [blank(about_worst(attack), question.where(metric), reason) for metric in (CERTAIN, MARGIN)]
    found = exposure_of(question, attack.name)
    everybody = np.ones(len(question.problem.person_P), dtype=bool)
    main_P = everybody if attack.kind == "A" else question.member_P
    control_P = ~everybody if attack.kind == "A" else question.control_P
    fresh = None
    if attack.kind == "B" and "random-init" in question.outcomes:
        fresh = exposure_of(question, "random-init")
    return [
        _certain_row(attack, question, found, fresh, (main_P, control_P)),
        _margin_row(attack, question, found, fresh, (main_P, control_P)),
    ]


Groups = tuple[np.ndarray, np.ndarray]


def _certain_row(
    attack: Attack, question: Question, found: Exposure, fresh: Exposure | None, groups: Groups
) -> RiskRow:
    main_P, control_P = groups
    if main_P.sum() < MIN_PEOPLE:
        return blank(about_worst(attack), question.where(CERTAIN), _too_few(MIN_PEOPLE, main_P))
    share_P, chance = found.certain_U.astype(np.float64), float(found.chance_U[main_P].mean())
    baseline = float(fresh.certain_U[main_P].mean()) if fresh is not None else chance
    return measured(
        about_worst(attack),
        question.where(CERTAIN),
        proportion(share_P[main_P], question.ctx.bootstrap, question.rng(attack.name, CERTAIN)),
        float(share_P[control_P].mean()) if control_P.sum() >= MIN_PEOPLE else None,
        baseline,
        int(main_P.sum()),
        (
            CERTAIN_WORDS,
            f"{int(share_P[main_P].sum())} of {int(main_P.sum())} people",
            f"where scores know nobody, {chance:.1g} at most",
            _controls(control_P),
        ),
    )


def _margin_row(
    attack: Attack, question: Question, found: Exposure, fresh: Exposure | None, groups: Groups
) -> RiskRow:
    main_P, control_P = groups
    if main_P.sum() < TENTH:
        return blank(about_worst(attack), question.where(MARGIN), _too_few(TENTH, main_P))
    rng = question.rng(attack.name, MARGIN)
    return measured(
        about_worst(attack),
        question.where(MARGIN),
        worst_tenth(found.margin_U[main_P], question.ctx.bootstrap, rng),
        tenth(found.margin_U[control_P]) if control_P.sum() >= TENTH else None,
        None if fresh is None else tenth(fresh.margin_U[main_P]),
        int(main_P.sum()),
        (
            "similarity to the right person less that to the most similar wrong one, mean of the tenth with most",
            f"{tenth_of(int(main_P.sum()))} people are the tenth",
            _controls(control_P),
        ),
    )


def tenth_of(people: int) -> int:
    """Return a tenth of so many people, rounded up."""
    return -(-people // 10)


def tenth(value_P: np.ndarray) -> float:
    """Return the mean over the tenth of people (rounded up) with the largest values."""
    return float(np.sort(value_P)[-tenth_of(len(value_P)) :].mean())


def worst_tenth(value_P: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Estimate:
    """Estimate `tenth` with a bootstrap over people; the figure itself never lies outside its interval."""
    n, value = len(value_P), tenth(value_P)
    drawn_BP = np.sort(value_P[rng.integers(n, size=(bootstrap, n))], axis=1)
    low, high = percentile(drawn_BP[:, -tenth_of(n) :].mean(axis=1))
    return Estimate(value, (min(low, value), max(high, value)), n)


def _too_few(needed: int, main_P: np.ndarray) -> str:
    return f"needs probes of {needed} people, found {int(main_P.sum())}"


def _controls(control_P: np.ndarray) -> str | None:
    return f"{int(control_P.sum())} controls, same gallery" if control_P.any() else None
