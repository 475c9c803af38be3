"""Before anybody trains: what a setting costs, how loud its noise is, and what an audit of it could see.

**Noise against signal.** A step moves along the noised sum of clipped gradients, divided by the public
expected count. The noise has covariance (sigma C / expected)^2 I in d coordinates, so its L2 norm is
sigma C sqrt(d) / expected (to a relative 1 / (2 d)). The signal is at most C in expectation: n units, each
drawn with probability q, each of norm C at most, over expected = q n; it is C only if every gradient has
norm C and all point the same way. Over T steps at S sites, averaged, the signal is still at most C
(triangle inequality) while independent noise falls by sqrt(T S):

    per step: sigma sqrt(d) / expected        over the run: sigma sqrt(d / (T S)) / expected

Both are therefore *lower* bounds on noise / signal; a real gradient is weaker and turns as training goes
on. They describe plain sums of gradients. AdamW rescales coordinates, which changes the length of noise
and signal, not which of them is louder.

**Smallest measurable advantage.** The audit compares members with controls within each site and calls a
leak when the lower limit of the AUC's 95 % interval is above .5. With m members and c controls a site,

    Var(AUC) = [A (1 - A) + (m - 1)(A / (2 - A) - A^2) + (c - 1)(2 A^2 / (1 + A) - A^2)] / (m c S)

(Hanley & McNeil, Radiology 143, 1982, equation 1). The smallest A that is found with probability .8 solves
A - .5 = (z_.975 + z_.8) sqrt(Var(A)). As an advantage (max TPR - FPR) it is read off two normal score
distributions of equal spread: A = Phi(u / sqrt 2), advantage = 2 Phi(u / 2) - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize, stats

from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.model.heads import new_site_model, set_trainable
from transecg_core.privacy.account import guaranteed, planned_mechanism, sampling
from transecg_core.privacy.accounting import epsilon, participant_account
from transecg_core.privacy.ceilings import ceiling
from transecg_core.risk.estimate import MIN_PEOPLE
from transecg_core.risk.thresholds import FPR, MIN_CONTROLS
from transecg_core.sites import applied, participant_slots, public_counts

POWER = 0.8
NOTHING, LITTLE = 2.0, 0.5
"""Noise / signal over the run above which a user should expect nothing, or little.

Read off ``benchmarks/people_needed.py`` (bitfit, synthetic people): above 2 at most a sixth of the gain of the same
training without noise was left, below .5 about four fifths and more; in between one task learnt and another was lost.
"""


@dataclass(frozen=True)
class Sensitivity:
    """The smallest membership leak that an audit finds four times in five.

    Attributes
    ----------
    members, controls
        People on either side, over all sites.
    auc, advantage
        The smallest true value found with probability `POWER`; None where nothing is measurable.
    tpr_measurable
        Whether there are enough controls for a TPR at 5 % FPR.
    """

    members: int
    controls: int
    auc: float | None
    advantage: float | None
    tpr_measurable: bool


@dataclass(frozen=True)
class Plan:
    """What one roster size means, per site; all sites alike.

    Attributes
    ----------
    people, trained
        On the roster, and expected in training (half of them if the audit holds people out).
    q, expected, steps, sigma
        Sampling rate, units per step, steps of the whole run at one site, noise multiplier.
    trainable, parameters
        Parameters that training may move and that are noised, and all of the model's.
    noise_per_step, noise_over_run
        Noise / largest possible signal, see the module.
    epsilon_person, epsilon_window, bound
        What the run costs a person (and a window, where that is the unit), and how that was bounded.
    ceiling_auc, ceiling_advantage, ceiling_tpr
        The most that any membership attack on a person of one site can reach; TPR at 5 % FPR.
    audit
        What an audit with these people could find.
    reading
        One line for the reader.
    """

    people: int
    trained: float
    q: float
    expected: float
    steps: int
    sigma: float
    trainable: int
    parameters: int
    noise_per_step: float
    noise_over_run: float
    epsilon_person: float
    epsilon_window: float | None
    bound: str
    ceiling_auc: float
    ceiling_advantage: float
    ceiling_tpr: float
    audit: Sensitivity
    reading: str


def plan(cfg: RunConfig, people: int) -> Plan:
    """Return what `cfg` means with `people` on the roster of every site; sigma is the run's own.

    Raises
    ------
    UserError
        If the config claims nothing, or delta exceeds 1/(10 n).
    """
    if not guaranteed(cfg):
        why = "privacy=none" if cfg.privacy == "none" else "noise=off"
        raise UserError(f"{why} promises nothing, so there is nothing to plan; give privacy=participant")
    cfg = applied(with_people(cfg, people))
    counts = public_counts(cfg, people)
    mechanism, (q, expected) = planned_mechanism(cfg, *counts), sampling(cfg, *counts)
    steps, sites = cfg.rounds * cfg.steps, len(cfg.site_names)
    charges = [(mechanism, steps)]
    moved, parameters = count_parameters(cfg, people)
    per_step = noise_to_signal(mechanism.sigma, moved, expected)
    over_run = per_step / math.sqrt(steps * sites)
    person, most = participant_account(charges, cfg.delta), ceiling(charges)
    audit = sensitivity(people, sites, cfg.audit_split == "halves")
    return Plan(
        people=people, trained=counts[0], q=q, expected=expected, steps=steps, sigma=mechanism.sigma,
        trainable=moved, parameters=parameters, noise_per_step=per_step, noise_over_run=over_run,
        epsilon_person=person.epsilon,
        epsilon_window=epsilon(charges, cfg.delta) if cfg.privacy == "window" else None, bound=person.method,
        ceiling_auc=most.auc(), ceiling_advantage=most.advantage(), ceiling_tpr=most.tpr_at(FPR),
        audit=audit, reading="; ".join([reading(over_run, audit, most.advantage()), *_caveats(cfg, q, person.epsilon)]),
    )  # fmt: skip


def with_people(cfg: RunConfig, people: int) -> RunConfig:
    """Return `cfg` for another roster, with every check of the options made again."""
    return parse({**cfg.model_dump(by_alias=True), "participants-per-site": people})


def count_parameters(cfg: RunConfig, people: int) -> tuple[int, int]:
    """Return how many parameters training moves (each gets noise), and how many the model has."""
    model = new_site_model(cfg.patch, cfg.task_names, 0, participant_slots(cfg, people))
    set_trainable(model, cfg.trained_part)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, moves in sizes if moves), sum(size for size, _ in sizes)


def noise_to_signal(sigma: float, parameters: int, expected: float) -> float:
    """Return the norm of one step's noise over the largest possible signal; the clip norm cancels."""
    return sigma * math.sqrt(parameters) / expected


def sensitivity(people: int, sites: int, halves: bool) -> Sensitivity:
    """Return what an audit of `sites` sites with `people` each can find, half of them held out."""
    if not halves:
        return Sensitivity(people * sites, 0, None, None, False)
    half = people / 2
    members = int(half * sites)
    if members < MIN_PEOPLE:
        return Sensitivity(members, members, None, None, False)
    auc = smallest_auc(half, half, sites)
    return Sensitivity(members, members, auc, advantage_of(auc), members >= MIN_CONTROLS)


def auc_variance(auc: float, members: float, controls: float, sites: int = 1) -> float:
    """Return the variance of an AUC over within-site pairs (Hanley & McNeil 1982, equation 1).

    Exact for exponential scores, and close for normal ones.
    """
    both_members = auc / (2 - auc) - auc**2
    both_controls = 2 * auc**2 / (1 + auc) - auc**2
    spread = auc * (1 - auc) + (members - 1) * both_members + (controls - 1) * both_controls
    return spread / (members * controls * sites)


def smallest_auc(members: float, controls: float, sites: int, power: float = POWER) -> float:
    """Return the smallest true AUC whose 95 % interval excludes .5 with probability `power`."""
    z = float(stats.norm.ppf(0.975) + stats.norm.ppf(power))

    def missing(auc: float) -> float:
        return auc - 0.5 - z * math.sqrt(auc_variance(auc, members, controls, sites))

    # At .5 the interval has a width and the effect none; at 1 the other way round.
    return float(optimize.brentq(missing, 0.5, 1.0))


def advantage_of(auc: float) -> float:
    """Return the advantage of two normal score distributions of equal spread with this AUC."""
    return float(2 * stats.norm.cdf(stats.norm.ppf(auc) / math.sqrt(2)) - 1)


def reading(over_run: float, audit: Sensitivity, allowed: float) -> str:
    """Return one line: what to expect of the model, and of an audit."""
    number = f"{over_run:.0f}" if over_run >= 10 else f"{over_run:.2g}"
    level = (
        "expect nothing"
        if over_run > NOTHING
        else "expect little"
        if over_run > LITTLE
        else "training may work"
    )
    use = f"noise is at least {number} times the signal: {level}"
    return f"{use}; {_audit_words(audit, allowed)}"


def _caveats(cfg: RunConfig, q: float, person: float) -> list[str]:
    """Return what the columns alone would let a reader miss."""
    out = []
    if q == 1:
        everybody = "every window" if cfg.privacy == "window" else "everybody"
        out.append(f"{everybody} is in every step (q = 1), so sampling adds no privacy")
    if cfg.privacy == "window":
        number = f"{person:.3g}" if person < 100 else f"{person:,.0f}"
        out.append(f"the guarantee is for one window, not for a person, whose epsilon is {number}")
    return out


def _audit_words(audit: Sensitivity, allowed: float) -> str:
    if not audit.controls:
        return "nobody is held out, so an audit can't measure membership"
    if audit.advantage is None:
        return f"{audit.members} members and {audit.controls} controls: an audit can't measure membership"
    sees = f"an audit finds advantages from {audit.advantage:.2f}, the guarantee allows {allowed:.2f}"
    return sees if audit.advantage < allowed else f"{sees}: it can't see what is allowed"
