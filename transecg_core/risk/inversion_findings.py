"""Rows, curves and pictures of the inversion study, on small clients made of this run's people and weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from transecg_core.errors import UserError
from transecg_core.risk.artefacts import Given
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.context import AuditContext
from transecg_core.risk.evidence import Evidence
from transecg_core.risk.findings import Curve, Findings, Rebuilt
from transecg_core.risk.inversion import rebuilt, z_normed
from transecg_core.risk.inversion_lab import Laboratory, Setting
from transecg_core.risk.inversion_study import TARGET_EPSILON, Decay, run_sigma, small, study
from transecg_core.risk.membership import no_controls
from transecg_core.risk.observed import Observed, State
from transecg_core.risk.round_membership import no_rounds
from transecg_core.risk.rows import NotMeasurable, RiskRow
from transecg_core.risk.table import blank, measured

LABORATORY = "laboratory"
"""Site of rows that are not about the run's own updates."""
RANK1, LIKENESS = "rank-1 of the rebuilt beat", "likeness of the rebuilt beat"
CLIENTS = {"quick": 8, "default": 12, "full": 24}


def inversion_study(attack: Attack, evidence: Evidence) -> Findings:
    """Run the declared settings that the profile has time for; pictures show the first client of each."""
    ctx = evidence.ctx
    try:
        if (why := no_rounds(ctx)) is not None or ctx.observed is None:
            raise NotMeasurable(no_controls(ctx) or why or "")
        lab = laboratory(attack, ctx.observed, evidence)
    except NotMeasurable as reason:
        return Findings([blank(attack, (LABORATORY, "study", m), str(reason)) for m in (RANK1, LIKENESS)])
    profile = ctx.observed.cfg.profile
    sigma, missing = _sigma(ctx, ctx.observed) if profile == "full" else (None, [])
    settings = small(profile, sigma)
    found = study(lab, settings, CLIENTS[profile], ctx.bootstrap, ctx.seed)
    rows = [row for s, one in zip(settings, found, strict=True) for row in decay_rows(attack, s, one)]
    rows += [blank(attack, (LABORATORY, "with noise", m), why) for why in missing for m in (RANK1, LIKENESS)]
    decays = [one for one in found if isinstance(one, Decay)]
    shown = pictures(decays) + own_picture(evidence)
    return Findings(rows, curves=decay_curves(attack, decays), rebuilt=shown)


def laboratory(attack: Attack, observed: Observed, evidence: Evidence) -> Laboratory:
    """Return the study's people and weights; the attack is handed one client's update at a time."""

    def rebuild(before: State, after: State) -> np.ndarray:
        return attack.run(Given(attack.artefacts, {"client-update": (before, after)}))

    return Laboratory(observed, evidence.case, evidence.ctx.seed, rebuild)


def _sigma(ctx: AuditContext, observed: Observed) -> tuple[float | None, list[str]]:
    """Return the noise of the private settings for the largest roster, or why there is none."""
    try:
        return run_sigma(observed.cfg, max(len(set(site.person_P)) for site in ctx.sites)), []
    except UserError as error:
        return None, [str(error)]


def decay_rows(attack: Attack, setting: Setting, found: Decay | str) -> list[RiskRow]:
    """Return a setting's two rows."""
    at = [(LABORATORY, setting.label, metric) for metric in (RANK1, LIKENESS)]
    if isinstance(found, str):
        return [blank(attack, where, found) for where in at]
    clients, people = found.rank1.n, found.rank1.n * setting.people * setting.sites
    about = f"{clients} clients, nobody in two of them; interval over clients"
    beat = "the beat itself" if setting.steps == 0 else "the client's mean beat"
    bound = f"noise of a whole run at participant epsilon {TARGET_EPSILON:g}; ceiling for these steps alone, everybody drawn"
    return [
        measured(attack, at[0], found.rank1, found.control, found.chance, people, (
            about, f"among other recordings of enrolled people, where {beat} has {found.true_rank1:.2f}",
            "control: rebuilt from the next client's update", bound if setting.sigma else None,
        ), found.ceiling),
        measured(attack, at[1], found.likeness, None, found.prior, people, (
            about, f"best correlation with {beat} within 20 ms",
            "baseline: everybody else's mean beat, without any update",
        )),
    ]  # fmt: skip


def decay_curves(attack: Attack, decays: Sequence[Decay]) -> tuple[Curve, ...]:
    """Return rank-1 over local steps for every kind of client that was tried with several numbers of them."""
    kinds: dict[tuple[object, ...], list[Decay]] = {}
    for one in decays:
        s = one.setting
        if s.steps and s.sigma is None and s.sites == 1 and s.batch == 4 and s.weights == "trained":
            kinds.setdefault((s.optimizer, s.people), []).append(one)
    return tuple(
        _curve(attack, sorted(some, key=lambda d: d.setting.steps))
        for some in kinds.values()
        if len(some) > 1
    )


def _curve(attack: Attack, some: Sequence[Decay]) -> Curve:
    first = some[0].setting
    return Curve(
        attack.name, attack.kind, attack.observer, LABORATORY,
        f"{first.optimizer}, {first.people} people a client, batch {first.batch}", "local steps", RANK1,
        tuple(float(d.setting.steps) for d in some),
        tuple(d.rank1.value for d in some), tuple(d.control for d in some), tuple(d.chance for d in some),
        tuple(d.rank1.ci95[0] for d in some), tuple(d.rank1.ci95[1] for d in some),
        some[0].rank1.n * first.people, "control: rebuilt from the next client's update; baseline: chance",
    )  # fmt: skip


def pictures(decays: Iterable[Decay]) -> tuple[Rebuilt, ...]:
    """Return the first client's true and rebuilt beat of each setting with one person and at most 5 steps."""
    shown = [d for d in decays if d.setting.people == d.setting.sites == 1 and d.setting.steps in (0, 5)]
    return tuple(picture(d.setting.label, d.trials[0].true_L, d.trials[0].rebuilt_L) for d in shown)


def own_picture(evidence: Evidence) -> tuple[Rebuilt, ...]:
    """Return what the run's own first update gives, beside the mean beat of that site's members; none if nothing."""
    case, seen = evidence.case, evidence.held["site-updates"]
    first = seen.rounds[0]
    for s, site in enumerate(seen.site_names):
        member_G = (case.gallery.site_G == s) & case.people.member_C[case.person_G]
        if site not in first.updates or not member_G.any():
            continue
        try:
            window_L = rebuilt(first.before, first.updates[site])
        except NotMeasurable:
            return ()
        true_L = case.gallery.x_NL[member_G[case.gallery.entry_N]].mean(axis=0)
        return (picture(f"the run's own update: {site}, round {first.number}, {seen.steps} steps of AdamW, "
                        f"{int(member_G.sum())} people; true: their mean beat", true_L, window_L),)  # fmt: skip
    return ()


def picture(setting: str, true_L: np.ndarray, rebuilt_L: np.ndarray) -> Rebuilt:
    """Return a pair of beats, z-normed, and their plain correlation."""
    pair_2L = z_normed(np.stack([true_L, rebuilt_L]).astype(np.float64))
    correlation = float(np.clip((pair_2L[0] * pair_2L[1]).mean(), -1.0, 1.0))
    true, found = (tuple(round(float(v), 4) for v in row) for row in pair_2L)
    return Rebuilt(setting, true, found, correlation)
