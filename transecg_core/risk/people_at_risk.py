"""Person by person: who is easiest to find, who is told from the others, and which groups.

Comes after the attacks, because it reads their scores. Everything here is about one training run: the
worst person of this run need not be the worst of the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.codes import person_codes
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.exposure import Exposure, exposure
from transecg_core.risk.findings import Findings, Group, PersonRisk
from transecg_core.risk.groups import group_risks
from transecg_core.risk.linkage import Question, best_floor
from transecg_core.risk.percentiles import Percentiles, percentile_rows, percentiles
from transecg_core.risk.protocols import HARDEST_FIRST, LEAKY, judged_by
from transecg_core.risk.rows import POOLED, RiskRow
from transecg_core.risk.worst import worst_rows

MODEL = "identification"
"""The attack that a person's risk is told by; the best signal-only attack stands beside it."""


def people_at_risk(evidence: Evidence) -> Findings:
    """Return rows about the most exposed people, every person's figures, and groups.

    Nothing of a pilot's synthetic people: who of them stands out says nothing of any participant.
    """
    if evidence.ctx.strangers:
        return Findings([])
    asked = _pooled(evidence)
    by_name = {attack.name: attack for attack in evidence.attacks}
    rows = [row for question in asked.values() for row in _rows(question, by_name)]
    told = percentiles(evidence)
    rows += percentile_rows(evidence, told)
    people = tuple(_people(evidence, asked, told))
    protocol = judged_by({name: len(question.problem.person_P) for name, question in asked.items()})
    groups = () if protocol is None else tuple(group_risks(asked[protocol], by_name))
    return Findings(rows, people=people, groups=groups)


def _pooled(evidence: Evidence) -> dict[str, Question]:
    """Return protocol -> the question over all sites, the hardest first."""
    known = {q.problem.protocol: q for q in evidence.questions if q.problem.site == POOLED}
    return {name: known[name] for name in (*HARDEST_FIRST, LEAKY) if name in known}


def _rows(question: Question, attacks: Mapping[str, Attack]) -> Iterator[RiskRow]:
    floor = best_floor(question)
    if floor is not None:
        yield from worst_rows(attacks[floor], question)
    if MODEL in attacks:
        yield from worst_rows(attacks[MODEL], question)


def _people(evidence: Evidence, asked: Mapping[str, Question], told: Percentiles) -> Iterator[PersonRisk]:
    """Yield every enrolled id with the figures of the hardest protocol that it has probes for."""
    case, ctx = evidence.case, evidence.ctx
    figures = [dict[str, float | None]() for _ in case.person_G]
    protocol_G: list[str | None] = [None] * len(figures)
    for protocol, question in asked.items():
        for entry, found in _by_entry(question):
            if protocol_G[entry] is None:
                protocol_G[entry], figures[entry] = protocol, found
    codes = [person_codes(site) for site in ctx.sites]
    for entry, found in enumerate(figures):
        site, person = int(case.gallery.site_G[entry]), int(case.person_G[entry])
        found |= {f"percentile, {name}": told[name].of(entry) for name in told}
        code = codes[site][int(case.local_G[entry])]
        yield PersonRisk(case.site_names[site], code, _group(evidence, person), protocol_G[entry], found)


def _group(evidence: Evidence, person: int) -> Group:
    if evidence.ctx.one_group:
        return "everybody"
    people = evidence.case.people
    return "member" if people.member_C[person] else "control" if people.control_C[person] else "neither"


def _by_entry(question: Question) -> Iterator[tuple[int, dict[str, float | None]]]:
    """Yield each enrolled id that was asked about, with its figures."""
    problem, floor = question.problem, best_floor(question)
    entry_K = question.case.entry_of_Q[problem.query_K]
    entry_U, unit_K = np.unique(entry_K, return_inverse=True)
    score = partial(_exposure, question, unit_K, len(entry_U))
    model, signal = score(MODEL), score(floor)
    queries_U = np.bincount(unit_K)
    for unit, entry in enumerate(entry_U.tolist()):
        own, bare = _figures(model, unit), _figures(signal, unit)
        found: dict[str, float | None] = {
            name: own.get(name) for name in ("rank-1", "expected rank", "margin")
        }
        found["linked with certainty"] = own.get("certain")
        found["signal rank-1"] = bare.get("rank-1")
        gain = own["rank-1"] - bare["rank-1"] if own and bare else None
        yield entry, {**found, "gain over the signal": gain, "queries": float(queries_U[unit])}


def _exposure(question: Question, unit_K: np.ndarray, units: int, name: str | None) -> Exposure | None:
    if name is None or name not in question.outcomes:
        return None
    return exposure(question.problem, question.linkage.score_QG[name], unit_K, units)


def _figures(found: Exposure | None, unit: int) -> dict[str, float]:
    if found is None:
        return {}
    return {
        "rank-1": float(found.rank1_U[unit]),
        "expected rank": float(found.rank_U[unit]),
        "margin": float(found.margin_U[unit]),
        "certain": float(found.certain_U[unit]),
    }
