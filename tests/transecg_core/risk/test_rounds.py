"""Observers of every round: a planted member is found, nobody is where coins say nothing, bad rounds are reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from transecg_core.config import parse
from transecg_core.model.heads import load_shared, new_site_model, shared_state
from transecg_core.risk.audit import EVALUATORS
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditContext, AuditSite
from transecg_core.risk.evidence import gather
from transecg_core.risk.findings import Findings
from transecg_core.risk.inversion_rows import arms, named
from transecg_core.risk.observed import Observed, RoundSeen, State, evenly, kept_rounds
from transecg_core.risk.registry import ATTACKS
from transecg_core.risk.rounds import against_others, comparable
from transecg_core.training.local import window_losses

MINE = {a.name: a for a in ATTACKS if a.measure in ("round-membership", "inversion", "inversion-study")}
ROUND = tuple(name for name, a in MINE.items() if a.measure == "round-membership")
TASKS = ("sex", "beat")
CFG = parse(
    {"cohort": "synthetic", "tasks": "sex,beat", "profile": "quick", "num-server-rounds": 3, "patch": 10}
)
NAMES = tuple(
    n for n, _ in new_site_model(CFG.patch, CFG.task_names, 0).named_parameters() if "beat" not in n
)
"""Parameters that the loss of the sex task reaches."""


def with_labels(ctx: AuditContext) -> AuditContext:
    """Return the federation with a sex that alternates, among members as among controls: it tells no coin."""
    sites = []
    for site in ctx.sites:
        sex = dict(zip(site.windows.participants, sex_of(site), strict=True))
        records = tuple(replace(r, sex="FM"[sex[r.participant]]) for r in site.windows.records)
        sites.append(replace(site, windows=replace(site.windows, records=records)))
    return replace(ctx, sites=tuple(sites), tasks=TASKS)


def sex_of(site: AuditSite) -> np.ndarray:
    """Return 0 or 1 per person."""
    sex_P = np.zeros(len(site.member_P), dtype=np.int64)
    for group in (site.member_P, ~site.member_P):
        sex_P[np.flatnonzero(group)[::2]] = 1
    return sex_P


def gradients(state: State, site: AuditSite) -> np.ndarray:
    """Return each person's gradient (P, D) of the mean loss over their gallery windows."""
    model = new_site_model(CFG.patch, CFG.task_names, 0)
    load_shared(model, state)
    windows, sex_P, out = site.windows, sex_of(site), []
    for person in range(len(site.person_P)):
        rows = np.flatnonzero(site.split.gallery_N & (windows.participant_N == person))
        codes = {"sex": torch.full((len(rows),), int(sex_P[person]))}
        loss = window_losses(model, torch.from_numpy(windows.x_NL[rows]), codes).mean()
        parts = torch.autograd.grad(loss, [dict(model.named_parameters())[n] for n in NAMES])
        out.append(torch.cat([part.flatten() for part in parts]).numpy())
    return np.stack(out)


def moved(state: State, step_D: np.ndarray) -> State:
    sizes = [state[name].numel() for name in NAMES]
    parts = torch.from_numpy(step_D.astype(np.float32)).split(sizes)
    return {**state, **{n: state[n] + p.view_as(state[n]) for n, p in zip(NAMES, parts, strict=True)}}


def trained_on_members(ctx: AuditContext, rounds: int = 3) -> Observed:
    """Return rounds whose updates lower the loss of the site's members, raise its controls', and leave the others'."""
    state: State = shared_state(new_site_model(CFG.patch, CFG.task_names, 3))
    seen = []
    for number in range(1, rounds + 1):
        sent = {}
        everybody_PD = np.concatenate([gradients(state, site) for site in ctx.sites])
        everybody_PD /= np.linalg.norm(everybody_PD, axis=1, keepdims=True)
        name_P = np.repeat([site.name for site in ctx.sites], [len(site.person_P) for site in ctx.sites])
        sign_P = np.concatenate([np.where(site.member_P, 1.0, -1.0) for site in ctx.sites])
        gram_PP = everybody_PD @ everybody_PD.T
        for site in ctx.sites:
            wanted_P = np.where(name_P == site.name, -sign_P, 0.0)
            step_D = np.linalg.solve(gram_PP + 1e-4 * np.eye(len(gram_PP)), wanted_P) @ everybody_PD
            sent[site.name] = moved(state, 0.05 * step_D / np.linalg.norm(step_D))
        mean = {name: sum(s[name] for s in sent.values()) / len(sent) for name in state}
        seen.append(RoundSeen(number, state, mean, sent))
        state = mean
    return Observed(CFG, tuple(seen))


@pytest.fixture(scope="module")
def planted(fakes) -> AuditContext:
    ctx = with_labels(fakes.build(fakes.recipe(sites=3, people=16, windows=4, noise=0.3)))
    return replace(ctx, observed=trained_on_members(ctx))


def run(name: str, ctx: AuditContext) -> Findings:
    attack = MINE[name]
    return EVALUATORS[attack.measure](attack, gather(ctx, build_case(ctx), (attack,)))


def pooled(found: Findings, metric: str = "AUC"):
    return next(row for row in found.rows if (row.site, row.metric) == ("pooled", metric))


@pytest.mark.parametrize("name", ROUND)
def test_members_planted_over_rounds_are_found_and_the_control_is_not(planted, name: str) -> None:
    found = run(name, planted)
    row = pooled(found)
    assert row.ci95[0] > 0.6
    assert row.main > row.control + 0.2
    assert abs(row.control - 0.5) < 0.15
    assert row.observer == ("other-site" if name.startswith("global") else "server")
    assert "rounds 1, 3 of 3" in row.notes
    (curve,) = found.curves
    assert curve.x == (1.0, 3.0)
    assert curve.main[-1] == pytest.approx(row.main)
    assert len(set(curve.control)) == 1  # round 1 alone, however many rounds the attack has
    assert all(low <= main <= high for low, main, high in zip(curve.low, curve.main, curve.high, strict=True))


@pytest.mark.parametrize("name", ROUND)
def test_coins_that_training_never_saw_stay_at_one_half(planted, name: str) -> None:
    evidence, attack = gather(planted, build_case(planted), (MINE[name],)), MINE[name]
    values, covered = [], 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        sites = tuple(replace(site, member_P=rng.permutation(site.member_P)) for site in planted.sites)
        ctx = replace(planted, sites=sites)
        same = replace(evidence, ctx=ctx, case=build_case(ctx))  # what attackers hold depends on no coin
        row = pooled(EVALUATORS[attack.measure](attack, same))
        values.append(row.main)
        covered += row.ci95[0] <= 0.5 <= row.ci95[1]
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)
    assert covered >= 6


def test_an_absent_site_has_no_score_in_that_round_and_a_figure_from_the_others(planted) -> None:
    first, *others = planted.observed.rounds
    without = replace(first, updates={k: v for k, v in first.updates.items() if k != "s0"})
    seen = replace(planted.observed, rounds=(without, *others))
    for name in ("round-losses", "global-gradients"):
        found = run(name, replace(planted, observed=seen))
        assert pooled(found).main is not None
        assert found.curves[0].n_participants == 48
    never = [replace(r, updates={k: v for k, v in r.updates.items() if k != "s0"}) for r in seen.rounds]
    ctx = replace(planted, observed=replace(seen, rounds=tuple(never)))
    for name in ("round-gradients", "global-losses", "update-inversion"):
        rows = run(name, ctx).rows
        gone = next(row for row in rows if (row.site, row.metric) == ("s0", "AUC"))
        assert gone.main is None
        assert "with a score at the same site" in gone.notes
        assert next(row for row in rows if row.metric == "AUC" and row.site == "pooled").n_participants <= 32


def test_one_round_has_figures_and_no_curve(planted) -> None:
    ctx = replace(planted, observed=replace(planted.observed, rounds=planted.observed.rounds[:1]))
    for name in (*ROUND, "update-inversion"):
        found = run(name, ctx)
        assert pooled(found).main is not None
        assert found.curves == ()


def test_updates_that_are_not_finite_are_a_reason(planted) -> None:
    def broken(state: State) -> State:
        return {name: torch.full_like(value, torch.nan) for name, value in state.items()}

    rounds = tuple(
        replace(r, updates={site: broken(s) for site, s in r.updates.items()}, after=broken(r.after))
        for r in planted.observed.rounds
    )
    ctx = replace(planted, observed=replace(planted.observed, rounds=rounds))
    for name in (*ROUND, "update-inversion"):
        rows = run(name, ctx).rows
        assert rows
        assert all(row.main is None for row in rows), name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ctx: replace(ctx, observed=None), "nobody kept what observers of the rounds saw"),
        (lambda ctx: replace(ctx, observed=replace(ctx.observed, rounds=())), "no round was finished"),
        (lambda ctx: replace(ctx, membership=False), "nobody was held out"),
        (lambda ctx: replace(ctx, tasks=("participant",)), "no task with a shared head"),
    ],
    ids=["pilot", "no round", "no controls", "local head only"],
)
def test_what_can_not_be_asked_is_a_reason(
    planted, change: Callable[[AuditContext], AuditContext], reason: str
) -> None:
    for name in ROUND:
        rows = run(name, change(planted)).rows
        assert {row.metric for row in rows} == {"AUC", "TPR@5%FPR"}
        assert all(row.main is None and reason in row.notes for row in rows)


def test_two_sites_are_enough(planted) -> None:
    kept = ("s0", "s1")
    rounds = tuple(
        replace(r, updates={k: v for k, v in r.updates.items() if k in kept}) for r in planted.observed.rounds
    )
    ctx = replace(planted, sites=planted.sites[:2], observed=replace(planted.observed, rounds=rounds))
    for name in ("round-gradients", "round-losses"):
        assert pooled(run(name, ctx)).main > 0.6


def test_scores_against_others_are_in_units_of_their_spread() -> None:
    own_TR = np.array([[3.0], [5.0], [np.nan]])
    others_TRS = np.array([[[np.nan, 1.0, 3.0]], [[np.nan, 3.0, 1.0]], [[np.nan, 1.0, 3.0]]])
    site_T = np.zeros(3, dtype=int)
    assert against_others(own_TR, others_TRS, site_T)[:, 0] == pytest.approx([1.0, 3.0, np.nan], nan_ok=True)
    flat = comparable(np.array([[2.0], [2.0]]), np.zeros(2, dtype=int))
    assert np.isnan(flat).all()  # no spread, no scale
    assert comparable(np.array([[1.0], [3.0]]), np.zeros(2, dtype=int))[:, 0] == pytest.approx([1.0, 3.0])


def test_rounds_are_kept_evenly_within_memory_and_never_in_a_pilot() -> None:
    weights = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    size = 4 * sum(value.numel() * 4 for value in weights.values())
    cfg = parse({"num-server-rounds": 20})
    assert kept_rounds(cfg, weights) == frozenset(range(1, 21))
    some = kept_rounds(cfg, weights, most_bytes=5 * size)
    assert len(some) == 5
    assert {1, 20} <= some
    assert kept_rounds(cfg, weights, most_bytes=1) == {1}
    pilot = parse({"cohort": "node", "sites": "a,b", "privacy": "participant", "audit-split": "none"})
    assert kept_rounds(pilot, weights) == frozenset()
    assert evenly(3, 5) == (0, 1, 2)
    assert evenly(20, 5) == (0, 5, 10, 14, 19)


def test_a_site_alone_in_round_1_has_no_control_and_says_so(planted) -> None:
    first, *others = planted.observed.rounds
    alone = replace(first, updates={"s0": first.updates["s0"]}, after=first.updates["s0"])
    ctx = replace(planted, observed=replace(planted.observed, rounds=(alone, *others)))
    for name in ROUND:
        rows = run(name, ctx).rows
        row = pooled(Findings(rows))
        assert row.n_participants == 32  # s0's own update is no control for its people
        assert "16 people left out: without their site's, round 1" in row.notes
    evidence = gather(ctx, build_case(ctx), (MINE["global-losses"],))
    seen, control = evidence.held["global-rounds"], evidence.held["global-rounds"].instead("untrained")
    targets = evidence.case.targets
    own = targets.site_T == 0
    assert np.isfinite(seen.scores("loss", targets)[own, 0]).all()  # it was there, and trained
    assert np.isnan(control.scores("loss", targets)[own]).all()


def test_people_at_two_sites_are_left_out_and_counted(fakes) -> None:
    """Whatever their scores: somebody at two sites changes no figure, and the notes count them."""
    built = fakes.build(fakes.recipe(sites=3, people=16, windows=2))
    state: State = shared_state(new_site_model(CFG.patch, CFG.task_names, 3))
    seen = tuple(RoundSeen(n, state, state, {site.name: state for site in built.sites}) for n in (1, 2))
    first, second, third = (
        replace(site, member_P=np.arange(16) % 2 == 0) for site in replace(built, membership=True).sites
    )
    both = replace(second, person_P=(*first.person_P[:3], *second.person_P[3:]))

    def rows(sites, shift: float):
        ctx = replace(built, sites=sites, observed=Observed(CFG, seen))
        case, score_TR = build_case(ctx), np.random.default_rng(0).normal(size=(48, 2))
        score_TR[case.people.units_C[case.person_T] > 1] += shift
        attack = replace(MINE["global-losses"], run=lambda given: score_TR)
        return EVALUATORS[attack.measure](attack, gather(ctx, case, (attack,))).rows

    some = rows((first, both, third), 0.0)
    assert rows((first, both, third), 50.0) == some
    row = pooled(Findings(some))
    assert row.n_participants == 42
    assert "3 people left out: at two sites or trained under two ids" in row.notes
    assert "left out" not in pooled(Findings(rows((first, second, third), 0.0))).notes
    everybody = tuple(replace(site, person_P=first.person_P) for site in (first, second, third))
    nobody = rows(everybody, 0.0)
    assert all(r.main is None and "16 people left out: at two sites" in r.notes for r in nobody)


def test_updates_that_trained_on_a_person_are_not_another_sites() -> None:
    like_RSG = np.random.default_rng(0).normal(size=(2, 3, 6))
    site_G, person_G = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 2, 3, 4])
    changed = like_RSG.copy()
    changed[:, 1, 0] += 100.0  # person 0 is at sites 0 and 1
    first, second = (arms(like, site_G, person_G)[1] for like in (like_RSG, changed))
    assert np.array_equal(first, second)
    changed[:, 2, 0] += 100.0
    assert not np.array_equal(first, arms(changed, site_G, person_G)[1])


def test_a_person_named_at_both_their_sites_is_one_person_named(fakes) -> None:
    ctx = fakes.build(fakes.recipe(sites=2, people=8, twins=8, windows=2))
    case = build_case(ctx)
    like_RSG = np.random.default_rng(0).normal(size=(12, 2, len(case.person_G)))
    own = named(case, like_RSG, own=True)
    assert len(own.member_K) == len(np.unique(case.person_G)) == 8
    assert own.chance == pytest.approx(case.people.member_C.mean())
    assert len(named(case, like_RSG, own=False).member_K) == 0  # either site may have trained on all of them
