"""Rows of kind C: what was rebuilt from the run's own updates, and whether those it resembles trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import Case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.estimate import MIN_PEOPLE, proportion
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Findings
from transecg_core.risk.membership import METRICS, no_controls, rows_of, scores_of
from transecg_core.risk.observed import evenly
from transecg_core.risk.round_membership import mean_of, no_rounds, over_rounds
from transecg_core.risk.rounds import comparable
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.table import blank, measured
from transecg_core.seeds import seed_for

NAMED = "share of members among people named"
CONTROL = "on what the other sites' updates of the same rounds give, which did not train on them"


def inversion(attack: Attack, evidence: Evidence) -> Findings:
    """Run an inversion of the kept updates, whose likeness to enrolled people is (R, S, G).

    AUC: members resemble what their own site's updates give more than controls do. And by name: of the
    people whom each update's rebuilt window resembles most, how many were members.
    """
    ctx, case = evidence.ctx, evidence.case
    try:
        if (why := no_controls(ctx) or no_rounds(ctx)) is not None:
            raise NotMeasurable(why)
        like_RSG = attack.run(Given(attack.artefacts, evidence.held))
    except NotMeasurable as reason:
        return Findings([blank(attack, (POOLED, ctx.members_by, m), str(reason)) for m in (*METRICS, NAMED)])
    own_GR, other_GR = arms(like_RSG, case.gallery.site_G, case.person_G)
    scores = scores_of(case, mean_of(own_GR), mean_of(other_GR))
    rows = [*rows_of(attack, ctx, case, scores, CONTROL), named_row(attack, ctx, case, like_RSG)]
    seen = ctx.observed.rounds if ctx.observed is not None else ()
    picked = [i for i in evenly(len(seen), 8) if i > 0] if len(seen) > 1 else []
    ends = [0, *picked]
    running = [np.stack([mean_of(arm[:, : i + 1]) for i in ends], axis=1) for arm in (own_GR, other_GR)]
    numbers = tuple(seen[i].number for i in ends)
    curve = over_rounds(attack, ctx, case, (running[0], running[1]), numbers, running=True)
    return Findings(rows, () if curve is None else (curve,))


def arms(like_RSG: np.ndarray, site_G: np.ndarray, person_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each person's likeness to what their own site's updates give, and to what the others' give (G, R).

    No site where a person is enrolled counts as another: its update may have been trained on them too.
    Both in units of their spread over the site's people, so that rounds weigh alike.
    """
    entries, rounds = np.arange(len(site_G)), len(like_RSG)
    own_GR = like_RSG[:, site_G, entries].T
    others_RSG = like_RSG.copy()
    others_RSG[:, _at_home(site_G, person_G, like_RSG.shape[1]).T] = np.nan
    other_GR = np.stack([mean_of(others_RSG[r].T) for r in range(rounds)], axis=1)
    return comparable(own_GR, site_G), comparable(other_GR, site_G)


def _at_home(site_G: np.ndarray, person_G: np.ndarray, sites: int) -> np.ndarray:
    """Return at which sites each entry's person is enrolled, under any id: bool (G, S)."""
    home_CS = np.zeros((int(person_G.max(initial=-1)) + 1, sites), dtype=bool)
    home_CS[person_G, site_G] = True
    return np.asarray(home_CS[person_G])


@dataclass(frozen=True)
class _Named:
    """Distinct people named by some updates; and what naming at random would give."""

    member_K: np.ndarray
    chance: float


def named_row(attack: Attack, ctx: AuditContext, case: Case, like_RSG: np.ndarray) -> RiskRow:
    """Return how many of the people named by their own site's updates were members.

    The unit is the person named, however many updates name them: coins were tossed per person, so
    without leakage each is a member as often as anybody at the site.
    """
    where = (POOLED, ctx.members_by, NAMED)
    own, other = named(case, like_RSG, own=True), named(case, like_RSG, own=False)
    if len(own.member_K) < MIN_PEOPLE:
        updates = int(np.isfinite(like_RSG[:, :, 0]).sum()) if like_RSG.shape[2] else 0
        reason = f"{updates} updates name {len(own.member_K)} people, and {MIN_PEOPLE} are needed"
        return blank(attack, where, reason)
    rng = np.random.default_rng(seed_for(ctx.seed, "risk", attack.name, NAMED))
    found = proportion(own.member_K.astype(np.float64), ctx.bootstrap, rng)
    control = float(other.member_K.mean()) if len(other.member_K) >= MIN_PEOPLE else None
    notes = (
        f"{len(own.member_K)} people, each the one whom some update's rebuilt window resembles most at the site",
        _at_the_site(case, like_RSG),
        f"control: {len(other.member_K)} people named by the other sites' updates",
        ctx.declared,
        "no ceiling: the guarantee bounds how often a person is named, not how many of the named are members"
        if ctx.ceilings is not None
        else None,
    )
    return measured(attack, where, found, control, own.chance, found.n, notes)


def named(case: Case, like_RSG: np.ndarray, own: bool) -> _Named:
    """Return the people whom their site's own updates, or the other sites', name; once, however many sites do.

    The others' updates are asked about people of one site only: they may have been trained on the rest.
    """
    people, chances = case.people, dict[int, list[float]]()
    site_G, person_G = case.gallery.site_G, case.person_G
    usable_G = people.member_C[person_G] | people.control_C[person_G]
    if not own:
        usable_G &= _at_home(site_G, person_G, like_RSG.shape[1]).sum(axis=1) == 1
    for site in range(like_RSG.shape[1]):
        at = np.flatnonzero((site_G == site) & usable_G)
        sources = [s for s in range(like_RSG.shape[1]) if (s == site) == own]
        if not len(at) or not sources:
            continue
        like_UK = like_RSG[:, sources][:, :, at].reshape(-1, len(at))
        best = at[like_UK[np.isfinite(like_UK).all(axis=1)].argmax(axis=1)]
        for person in np.unique(person_G[best]).tolist():
            chances.setdefault(person, []).append(float(people.member_C[person_G[at]].mean()))
    chance = float(np.mean([np.mean(own) for own in chances.values()])) if chances else 0.0
    return _Named(people.member_C[np.array(sorted(chances), dtype=np.int64)], chance)


def _at_the_site(case: Case, like_RSG: np.ndarray) -> str:
    """Say how often the best match among all enrolled people is at the update's own site at all."""
    known_RS = np.isfinite(like_RSG).all(axis=2)
    best_RS = np.where(known_RS, np.nan_to_num(like_RSG, nan=-2.0).argmax(axis=2), -1)
    site_U = np.nonzero(known_RS)[1]
    right = case.gallery.site_G[best_RS[known_RS]] == site_U
    return f"among all enrolled, {int(right.sum())} of {len(right)} updates resemble somebody of their own site most"
