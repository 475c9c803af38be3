"""Identification by group: age band, sex, diagnosis, ectopic beats; whatever the data says of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from transecg_core.cohorts.schema import AGE_BANDS
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.estimate import MIN_PEOPLE, proportion
from transecg_core.risk.findings import GroupRisk
from transecg_core.risk.linkage import Question, best_floor
from transecg_core.training.local import MISSING

METRIC = "rank-1"
ATTRIBUTES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sex": ("sex", ("F", "M")),
    "age": ("age band", AGE_BANDS),
    "diagnosis": ("diagnosis", ("normal", "abnormal")),
    "beat": ("rhythm", ("normal beats only", "with ectopic beats")),
}
"""Label task -> the attribute's name and its groups, by code."""


def attributes_of(case: Case) -> dict[str, np.ndarray]:
    """Return task -> code per canonical person (C), `MISSING` where nothing is known or enrolled.

    A person with several codes gets the most frequent one over their windows; with one abnormal record,
    or one ectopic beat, they are abnormal, or ectopic.
    """
    person_N = case.person_T[case.targets.target_N]
    out = {}
    for task in ATTRIBUTES:
        code_N = case.targets.labels[task]
        known = code_N != MISSING
        if task == "beat":
            code_N = np.where(known, np.minimum(code_N, 1), MISSING)
        people, codes = len(case.people.names), len(ATTRIBUTES[task][1])
        count_CK = np.zeros((people, codes))
        np.add.at(count_CK, (person_N[known], code_N[known]), 1.0)
        usual_C = count_CK.argmax(axis=1)
        if task in ("beat", "diagnosis"):
            usual_C = (count_CK[:, 1] > 0).astype(np.int64)
        out[task] = np.where(count_CK.any(axis=1), usual_C, MISSING)
    return out


def group_risks(question: Question, attacks: Mapping[str, Attack]) -> Iterator[GroupRisk]:
    """Yield two lines per group: the best signal-only attack on everybody, and the released encoder.

    Parameters
    ----------
    attacks
        Name -> attack, of all that were asked for.
    """
    floor, person_P = best_floor(question), question.problem.person_P
    names = [name for name in (floor, "identification") if name is not None and name in question.outcomes]
    for task, code_C in attributes_of(question.case).items():
        attribute, groups = ATTRIBUTES[task]
        present = [code for code in range(len(groups)) if (code_C[person_P] == code).any()]
        if len(present) < 2:
            continue  # one group is everybody: the risk table has it
        for code in present:
            for name in names:
                attack, in_P = attacks[name], code_C[person_P] == code
                yield _group(question, attack, floor, (attribute, groups[code]), in_P)


def _group(
    question: Question, attack: Attack, floor: str | None, where: tuple[str, str], in_P: np.ndarray
) -> GroupRisk:
    main_P = in_P if attack.kind == "A" else in_P & question.member_P
    control_P = in_P & question.control_P if attack.kind == "B" else np.zeros_like(in_P)
    rank1_P, n = question.outcomes[attack.name].rank1_P, int(main_P.sum())
    estimate = None
    if n >= MIN_PEOPLE:
        rng = question.rng(attack.name, METRIC, *where)
        estimate = proportion(rank1_P[main_P], question.ctx.bootstrap, rng)
    baseline = question.problem.chance(1) if attack.kind == "A" else None
    if attack.kind == "B" and floor is not None:
        baseline = question.outcomes[floor].rank1_P
    enough = control_P.sum() >= MIN_PEOPLE
    return GroupRisk(
        *where,
        attack.name,
        attack.kind,
        attack.observer,
        question.problem.protocol,
        METRIC,
        None if estimate is None else estimate.value,
        float(rank1_P[control_P].mean()) if enough else None,
        None if baseline is None or estimate is None else float(baseline[main_P].mean()),
        None if estimate is None else estimate.ci95,
        n,
        int(control_P.sum()),
        f"not measurable: {n} people, needs {MIN_PEOPLE}" if estimate is None else "",
    )
