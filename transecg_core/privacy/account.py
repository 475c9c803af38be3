"""A run's privacy account: the mechanism each site used, and what it cost a window and a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any

from transecg_core.config import RunConfig
from transecg_core.privacy.accounting import (
    ACCOUNTANT,
    ADJACENCY,
    Mechanism,
    Unit,
    calibrate_sigma,
    check_delta,
    epsilon,
    epsilon_participant,
)
from transecg_core.privacy.ceilings import CeilingCurve, ceiling
from transecg_core.privacy.releases import releases_for, weights_only

RawMechanism = tuple[float, float, int]
"""(q, sigma, steps) as a site reports it."""


def guaranteed(cfg: RunConfig) -> bool:
    """Return whether the run claims anything: a unit of privacy, and noise."""
    return cfg.privacy != "none" and cfg.noise == "calibrated"


def claimed_unit(cfg: RunConfig) -> str:
    """Return the unit of the claim; ``none`` for the reference arm, which only clips."""
    return cfg.privacy if guaranteed(cfg) else "none"


def sampling(cfg: RunConfig, people: float, windows: float) -> tuple[float, float]:
    """Return (sampling rate q, fixed expected count of units per step).

    Parameters
    ----------
    people, windows
        The site's public constants, fixed before any membership coin.
    """
    if cfg.privacy == "window":
        expected = min(float(cfg.batch), windows)
        return expected / windows, expected
    expected = min(cfg.batch / cfg.draw_windows, people)
    return expected / people, expected


def planned_mechanism(cfg: RunConfig, people: float, windows: float) -> Mechanism:
    """Return the mechanism whose whole run costs ``target-epsilon`` at most.

    Raises
    ------
    UserError
        If delta exceeds 1/(10 n).
    """
    roster = people / (
        0.5 if cfg.audit_split == "halves" else 1.0
    )  # the coin halves who trains, not who is at risk
    check_delta(cfg.delta, max(round(roster), 1))
    unit: Unit = "window" if cfg.privacy == "window" else "participant"
    q, _ = sampling(cfg, people, windows)
    if cfg.noise == "off":
        return Mechanism(unit, q, 0.0, cfg.max_windows_per_participant)
    total = cfg.rounds * cfg.steps
    sigma = calibrate_sigma(unit, q, total, cfg.target_epsilon, cfg.delta, cfg.max_windows_per_participant)
    return Mechanism(unit, q, sigma, cfg.max_windows_per_participant)


def charges(cfg: RunConfig, raw: Sequence[RawMechanism]) -> list[tuple[Mechanism, int]]:
    """Return the composed charges of one site, equal mechanisms merged."""
    unit: Unit = "window" if cfg.privacy == "window" else "participant"
    steps: dict[Mechanism, int] = {}
    for q, sigma, count in raw:
        mechanism = Mechanism(unit, q, sigma, cfg.max_windows_per_participant)
        steps[mechanism] = steps.get(mechanism, 0) + count
    return list(steps.items())


def spent(cfg: RunConfig, raw: Sequence[RawMechanism]) -> float:
    """Return the epsilon spent so far, for the run's own unit, recomputed from the steps taken."""
    return epsilon(charges(cfg, raw), cfg.delta)


def privacy_section(
    cfg: RunConfig,
    raw_by_site: Mapping[str, Sequence[RawMechanism]],
    lifetimes: Mapping[str, tuple[float, int] | None],
    epsilon_two_sites: float | None,
) -> dict[str, Any]:
    """Return the report's ``privacy`` object; epsilons are null where nothing bounds them.

    `lifetimes` is site -> (person epsilon, charges) as an institution's ledger tells it;
    `epsilon_two_sites` the composed epsilon of people who are at two sites.
    """
    claimed = guaranteed(cfg)
    return {
        "unit": cfg.privacy,
        "target_epsilon": cfg.target_epsilon if claimed else None,
        "adjacency": ADJACENCY if claimed else None,
        "accountant": ACCOUNTANT if claimed else None,
        "simulation_noise": claimed and cfg.cohort != "node",
        "covers": _covers(cfg),
        "epsilon_two_sites": epsilon_two_sites,
        "sites": [
            _site_row(cfg, site, raw_by_site[site], lifetimes.get(site)) for site in sorted(raw_by_site)
        ]
        if cfg.privacy != "none"
        else [],
    }


def privacy_elsewhere() -> dict[str, Any]:
    """Return the report's ``privacy`` object for a model that was trained elsewhere: nothing is known."""
    return {
        "unit": "unknown", "target_epsilon": None, "adjacency": None, "accountant": None,
        "simulation_noise": False, "covers": "nothing that could be checked: the model was trained elsewhere",
        "epsilon_two_sites": None, "sites": [],
    }  # fmt: skip


def _covers(cfg: RunConfig) -> str:
    if cfg.privacy == "none":
        return "nothing: no differential privacy"
    if cfg.noise == "off":
        return "nothing: gradients are clipped but no noise is added (reference arm)"
    if weights_only(releases_for(cfg.privacy, cfg.cohort != "node")):
        return "weights only: counts, losses and the sites' attribution are shown outside the guarantee"
    return (
        "weights, and everything made from them; rosters and tasks are declared constants. Not covered: whether a site "
        "could take part at all, and how long it took"
    )


def _site_row(
    cfg: RunConfig, site: str, raw: Sequence[RawMechanism], lifetime: tuple[float, int] | None
) -> dict[str, Any]:
    account = charges(cfg, raw)
    noisy = all(mechanism.sigma > 0 for mechanism, _ in account)
    return {
        "name": site,
        "sigma": min((mechanism.sigma for mechanism, _ in account), default=None),
        "clip_norm": cfg.clip_norm,
        "q": max((mechanism.q for mechanism, _ in account), default=None),
        "steps": sum(count for _, count in account),
        "delta": cfg.delta if guaranteed(cfg) else None,
        "max_windows_per_participant": cfg.max_windows_per_participant,
        "epsilon_participant": _bounded(epsilon_participant(account, cfg.delta))
        if noisy and account
        else None,
        "epsilon_window": epsilon(account, cfg.delta)
        if noisy and account and cfg.privacy == "window"
        else None,
        "lifetime": None
        if lifetime is None
        else {"epsilon_participant": _bounded(lifetime[0]), "events": lifetime[1]},
    }


def at_two_sites(
    cfg: RunConfig, raw_by_site: Mapping[str, Sequence[RawMechanism]], pairs: Sequence[tuple[str, str]]
) -> float | None:
    """Return the largest epsilon of a person who is at both sites of one of the `pairs`; None where nothing bounds it."""
    if not guaranteed(cfg):
        return None
    both = [[*raw_by_site[a], *raw_by_site[b]] for a, b in pairs if a in raw_by_site and b in raw_by_site]
    largest = max((epsilon_participant(charges(cfg, raw), cfg.delta) for raw in both), default=inf)
    return _bounded(largest)


def _bounded(epsilon: float) -> float | None:
    return epsilon if isfinite(epsilon) else None


def ceiling_curves(
    cfg: RunConfig, raw_by_site: Mapping[str, Sequence[RawMechanism]]
) -> dict[str, CeilingCurve] | None:
    """Return site -> what any membership attack can reach at most; None where nothing bounds it."""
    if not guaranteed(cfg):
        return None
    return {site: ceiling(charges(cfg, raw)) for site, raw in sorted(raw_by_site.items())}
