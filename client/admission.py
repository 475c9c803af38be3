"""What a site asks of a run before it trains, or even reads a record."""

from __future__ import annotations

import numpy as np

from client import spending
from client.ledger import Ledger
from client.policy import Policy
from client.refusal import Overspend, Refusal
from client.site import Node
from client.spending import Budget, rounds_that_fit, steps_of
from transecg_core.config import RunConfig
from transecg_core.errors import UserError
from transecg_core.privacy.account import guaranteed, planned_mechanism
from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.releases import NEEDED
from transecg_core.sites import Site, applied, public_counts
from transecg_core.text import plural


def refuse_by_policy(node: Node, cfg: RunConfig) -> None:
    """Refuse a run that the institution's policy rules out, whatever its data and its ledger hold.

    Raises
    ------
    Refusal
        Named after the key of the policy that rules it out.
    """
    policy = node.policy
    if policy is None:
        return
    place = f"site '{node.site}'"
    if not guaranteed(cfg):
        raise Overspend(
            "budget: guarantee",
            f"{place}: its lifetime budget of {policy.max_lifetime_epsilon:g} allows no round without a guarantee; "
            "run with privacy=participant, or declare max-epsilon='none'",
        )
    if cfg.privacy not in policy.units:
        raise Refusal(
            "policy: units", f"{place}: privacy={cfg.privacy} is not among units={list(policy.units)}"
        )
    if cfg.rounds > (policy.max_rounds or cfg.rounds):
        raise Refusal(
            "policy: max-rounds",
            f"{place}: {plural(cfg.rounds, 'round')} asked for, max-rounds={policy.max_rounds}",
        )
    _refuse_names(place, policy, cfg)
    if (node.people or 0) < policy.min_cohort:
        raise Refusal(
            "policy: min-cohort", f"{place}: people={node.people} is below min-cohort={policy.min_cohort}"
        )
    sigma = planned(node, cfg).sigma
    if sigma < policy.min_sigma:
        raise Refusal(
            "policy: min-sigma",
            f"{place}: target-epsilon={cfg.target_epsilon:g} means sigma {sigma:.4g}, below min-sigma="
            f"{policy.min_sigma:g}",
        )


def _refuse_names(place: str, policy: Policy, cfg: RunConfig) -> None:
    if policy.allowed_tasks is not None:
        if more := [task for task in cfg.task_names if task not in policy.allowed_tasks]:
            raise Refusal(
                "policy: allowed-tasks",
                f"{place}: tasks {', '.join(more)} are not in allowed-tasks={list(policy.allowed_tasks)}; run with "
                "tasks= naming allowed ones",
            )
    if policy.allowed_releases is not None:
        if missing := sorted(NEEDED - set(policy.allowed_releases)):
            raise Refusal(
                "policy: allowed-releases", f"{place}: no run without {', '.join(missing)}: add them"
            )


def planned(node: Node, cfg: RunConfig) -> Mechanism:
    """Return the mechanism of a run at an institution, from its declared roster alone."""
    cfg = applied(cfg)
    return planned_mechanism(cfg, *public_counts(cfg, node.people or 0))


def refuse_unaffordable(
    node: Node, cfg: RunConfig, ledger: Ledger, run: str, mechanism: Mechanism, rounds_left: int
) -> None:
    """Refuse a run whose remaining rounds don't all fit into the lifetime budget.

    A run that would have to stop half-way has spent privacy for nothing.

    Raises
    ------
    Overspend
        Saying how many rounds would fit.
    Refusal
        If the run has been charged for as many rounds as the policy allows.
    """
    policy = node.policy
    if policy is None:
        return
    charges = ledger.events()
    done = sum(charge.key.run_id == run for charge in charges)
    if policy.max_rounds is not None and done + (rounds_left > 0) > policy.max_rounds:
        raise Refusal(
            "policy: max-rounds",
            f"site '{node.site}': run {run} was charged for {plural(done, 'round')}, max-rounds={policy.max_rounds}",
        )
    budget = lifetime_budget(policy)
    total = spending.cost([*steps_of(charges), (mechanism, rounds_left * cfg.steps)], budget)
    if total > budget.epsilon:
        fit = rounds_that_fit(steps_of(charges), mechanism, cfg.steps, budget, rounds_left)
        raise Overspend(
            "budget: lifetime",
            f"ledger {ledger.path}: {plural(rounds_left, 'more round')} of this run would bring the lifetime's "
            f"participant epsilon to {total:.3g}, over the budget of {budget.epsilon:g} at delta {budget.delta:g}; {fit} of "
            f"{plural(rounds_left, 'round')} would fit, with the noise of {cfg.rounds}",
        )


def lifetime_budget(policy: Policy) -> Budget:
    """Return the policy's budget for a person, all runs together."""
    return Budget(policy.max_lifetime_epsilon, policy.lifetime_delta)


def refuse_few_people(node: Node, site: Site) -> None:
    """Refuse where fewer people have data than the policy wants.

    The count depends on the data, so the server hears no rule's name, only that the site can't take part.

    Raises
    ------
    UserError
        With the count, for the site's own log.
    """
    people = len(np.unique(site.data.person_P))
    if node.policy is not None and people < node.policy.min_cohort:
        raise UserError(
            f"site '{node.site}': {people} people have usable records, policy min-cohort={node.policy.min_cohort}; "
            "see transecg inspect"
        )
