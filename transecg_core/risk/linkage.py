"""Rows of kinds A and B: how well two recordings of one person are linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.estimate import MIN_PEOPLE, difference
from transecg_core.risk.figures import MAP, RATES, SEPARATION, TAR, chance, estimate, exactness, value
from transecg_core.risk.problems import Outcome, Problem, outcome
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.sessions import in_words, session_gaps
from transecg_core.risk.standing import Scores
from transecg_core.risk.table import CROSS_SITE, blank, measured
from transecg_core.risk.verification import enough_pairs
from transecg_core.seeds import seed_for

LEAKY = "random-window"


@dataclass(frozen=True)
class Linkage:
    """Scores of every linkage attack, computed once, and the reasons where there are none.

    Attributes
    ----------
    score_QG
        Attack name -> similarities.
    reasons
        Attack name -> why it could not be run.
    floors
        Names of the signal-only attacks, without the untrained encoder.
    """

    score_QG: Mapping[str, Scores]
    reasons: Mapping[str, str]
    floors: tuple[str, ...]

    def outcomes(self, problem: Problem) -> dict[str, Outcome]:
        """Return each attack's per-person results on a problem."""
        return {name: outcome(problem, scores) for name, scores in self.score_QG.items()}


def run_linkage(attacks: tuple[Attack, ...], held: Mapping[str, Any]) -> Linkage:
    """Run the linkage attacks, each on its declared artefacts."""
    scores, reasons = {}, {}
    for attack in attacks:
        try:
            found = attack.run(Given(attack.artefacts, held))
            if isinstance(found, np.ndarray) and np.isnan(found).any():
                raise NotMeasurable("some scores are no numbers")
            scores[attack.name] = found
        except NotMeasurable as reason:
            reasons[attack.name] = str(reason)
    encoders = {"architecture", "start"}
    floors = tuple(a.name for a in attacks if a.kind == "A" and not encoders & set(a.artefacts))
    return Linkage(scores, reasons, floors)


@dataclass(frozen=True)
class Question:
    """A problem with the groups of people it is answered for, and every attack's results."""

    ctx: AuditContext
    case: Case
    problem: Problem
    linkage: Linkage
    outcomes: Mapping[str, Outcome]

    def where(self, metric: str) -> tuple[str, str, str]:
        """Return site, protocol and metric: the address of a row."""
        return self.problem.site, self.problem.protocol, metric

    @property
    def member_P(self) -> np.ndarray:
        """bool: people trained on."""
        return self.case.people.member_C[self.problem.person_P]

    @property
    def control_P(self) -> np.ndarray:
        """bool: people never trained on."""
        return self.case.people.control_C[self.problem.person_P]

    @cached_property
    def gap_K(self) -> np.ndarray:
        """Sessions between each query and the nearest one that its own id enrolled."""
        return session_gaps(self.ctx, self.case)[self.problem.query_K]

    def rng(self, *labels: str) -> np.random.Generator:
        """Return the generator of one figure."""
        return np.random.default_rng(
            seed_for(self.ctx.seed, "risk", self.problem.site, self.problem.protocol, *labels)
        )


def best_floor(question: Question, metric: str = "rank-1") -> str | None:
    """Return the signal-only attack that does best over everybody asked about (lowest EER, else highest)."""
    everybody = np.ones(len(question.problem.person_P), dtype=bool)
    values = {name: _value(question, name, everybody, metric) for name in question.linkage.floors}
    known = {name: value for name, value in values.items() if value is not None}
    return max(known, key=lambda name: known[name] * (-1 if metric == "EER" else 1), default=None)


def linkage_rows(attack: Attack, question: Question) -> list[RiskRow]:
    """Return the rows of one attack on one problem."""
    metrics: tuple[str, ...] = ("rank-1", "EER")
    if attack.name not in question.outcomes:
        reason = question.linkage.reasons[attack.name]
        return [blank(attack, question.where(metric), reason) for metric in metrics]
    if attack.kind == "A":
        return [figure_row(attack, question, metric) for metric in metrics]
    metrics += ("rank-5",)
    if question.problem.site == POOLED and question.problem.protocol != CROSS_SITE:
        metrics += (*TAR, MAP, SEPARATION)
    rows = [figure_row(attack, question, metric) for metric in metrics]
    floor = best_floor(question)
    rows.append(gain_row(attack, question, "random-init", "gain in rank-1 over random-init"))
    if question.ctx.start_model is not None:
        rows.append(gain_row(attack, question, "pretrained-start", "gain in rank-1 over pretrained-start"))
    rows.append(gain_row(attack, question, floor, "gain in rank-1 over the best signal floor"))
    return rows


def _value(question: Question, name: str | None, people: np.ndarray, metric: str) -> float | None:
    """Return one metric of an attack on some people, or None where there is none."""
    found = None if name is None else question.outcomes.get(name)
    return None if found is None else value(found, people, metric)


def groups(attack: Attack, question: Question) -> tuple[np.ndarray, np.ndarray]:
    """Return who is main and who is control: everybody and nobody without a trained model."""
    if attack.kind == "A":
        everybody = np.ones(len(question.problem.person_P), dtype=bool)
        return everybody, ~everybody
    return question.member_P, question.control_P


def _unmeasurable(attack: Attack, question: Question, main_P: np.ndarray, metric: str) -> str | None:
    """Return why a metric has no figure on the main group."""
    if main_P.sum() < MIN_PEOPLE:
        who = "people" if attack.kind == "A" or question.ctx.one_group else "members"
        return f"needs probes of {MIN_PEOPLE} {who}, found {int(main_P.sum())}"
    if metric in TAR:
        rates = question.outcomes[attack.name].rates.of(main_P)
        if not enough_pairs(rates, TAR[metric]):
            return f"{int(rates.pairs_P.sum())} impostor pairs, needs {10 / TAR[metric]:.0f}"
    return None


def figure_row(attack: Attack, question: Question, metric: str) -> RiskRow:
    """Return the row of one metric of an attack that has an outcome on the problem."""
    problem = question.problem
    main_P, control_P = groups(attack, question)
    reason = _unmeasurable(attack, question, main_P, metric)
    if reason is not None:
        return blank(attack, question.where(metric), reason)
    outcome = question.outcomes[attack.name]
    try:
        rng = question.rng(attack.name, metric)
        figure = estimate(outcome, main_P, metric, question.ctx.bootstrap, rng)
    except NotMeasurable as why:
        return blank(attack, question.where(metric), str(why))
    guess = chance(problem, main_P, metric)
    baseline: float | None = guess
    notes = [
        _leaky_note(problem),
        _chance_note(problem, metric, guess),
        _pooled_note(problem, metric),
        exactness(outcome, main_P, metric),
        _gap_note(question, main_P) if metric == "rank-1" else None,
    ]
    if attack.kind == "B":
        baseline = _value(question, "random-init", main_P, metric)
        notes += [
            control_note(question.ctx, control_P),
            "baseline: the untrained encoder on the same people",
            _floor_note(question, main_P, metric),
        ]
    return measured(
        attack,
        question.where(metric),
        figure,
        _value(question, attack.name, control_P, metric),
        baseline,
        int(main_P.sum()),
        tuple(notes),
    )


def gain_row(attack: Attack, question: Question, reference: str | None, metric: str) -> RiskRow:
    """Return the paired difference in rank-1 to a reference, on the same people."""
    main_P, control_P = groups(attack, question)
    reason = _unmeasurable(attack, question, main_P, metric)
    if reason is not None:
        return blank(attack, question.where(metric), reason)
    if reference is None or reference not in question.outcomes:
        return blank(attack, question.where(metric), "the reference could not be measured")
    gain_P = question.outcomes[attack.name].rank1_P - question.outcomes[reference].rank1_P
    return measured(
        attack,
        question.where(metric),
        difference(gain_P[main_P], question.ctx.bootstrap, question.rng(attack.name, metric)),
        float(gain_P[control_P].mean()) if control_P.sum() >= MIN_PEOPLE else None,
        0.0,
        int(main_P.sum()),
        (
            _leaky_note(question.problem),
            f"paired difference to {reference} on the same people",
            control_note(question.ctx, control_P),
        ),
    )


def _leaky_note(problem: Problem) -> str | None:
    if problem.protocol != LEAKY:
        return None
    return "LEAKY: neighbouring beats of one recording on both sides; not a re-identification risk"


def _gap_note(question: Question, people: np.ndarray) -> str | None:
    """Say how far apart enrolment and probe are, where the protocol's name does not."""
    if question.problem.protocol not in ("other-record", "other-session"):
        return None
    chosen_K = people[question.problem.person_K]
    return in_words(question.gap_K[chosen_K], question.problem.person_K[chosen_K])


def _chance_note(problem: Problem, metric: str, chance: float) -> str:
    if metric not in (*RATES, SEPARATION):
        pooled = problem.site == POOLED and problem.protocol != CROSS_SITE
        knowing = " knowing the probe's site" if pooled else ""
        return f"chance {chance:.3f}{knowing} (gallery of {problem.gallery_size})"
    return f"guessing gives {chance:.2f}"


def _pooled_note(problem: Problem, metric: str) -> str | None:
    if problem.site != POOLED or problem.protocol == CROSS_SITE:
        return None
    return "impostors of the same site only" if metric in (*RATES, SEPARATION) else "one gallery of all sites"


def control_note(ctx: AuditContext, control_P: np.ndarray) -> str:
    """Say how many controls there are, or why none."""
    if ctx.one_group:
        return f"{ctx.whom}; no control"
    if not ctx.membership:
        return "control not measurable: everybody was trained on"
    count = int(control_P.sum())
    short = "" if count >= MIN_PEOPLE else f", control not measurable below {MIN_PEOPLE}"
    return f"{count} controls, same gallery{short}"


def _floor_note(question: Question, people: np.ndarray, metric: str) -> str | None:
    floor = best_floor(question, metric)
    value = _value(question, floor, people, metric)
    return None if value is None else f"best signal floor on the same people: {floor} {value:.3f}"
