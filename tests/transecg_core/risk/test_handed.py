"""What attacks are handed gives away no seed, no coin and nobody else's update, by any public name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import new_site_model, shared_state
from transecg_core.risk.artefacts import Given, KnownLabels
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.evidence import Evidence, gather
from transecg_core.risk.observed import Observed, RoundSeen
from transecg_core.risk.references import AuditModels
from transecg_core.risk.registry import ATTACKS

CFG = parse({"cohort": "synthetic", "tasks": "sex", "profile": "quick", "num-server-rounds": 2})
SECRET = ("seed", "coin", "member", "control", "person_G", "person_Q", "person_T", "entry_of_Q")
"""Names that nothing handed may have: those of the truth, and where it follows from."""


@pytest.fixture(scope="module")
def evidence(fakes: Any) -> Evidence:
    ctx = fakes.build(fakes.recipe(sites=3, people=16, windows=2, twins=3))
    start = shared_state(new_site_model(CFG.patch, CFG.task_names, 0))
    rounds, before = [], start
    for number in (1, 2):
        sent = {site.name: {n: v + number + s for n, v in start.items()} for s, site in enumerate(ctx.sites)}
        after = {name: sum(one[name] for one in sent.values()) / len(sent) for name in start}
        rounds.append(RoundSeen(number, before, after, sent))
        before = after
    rng = np.random.default_rng(0)
    members = tuple(tuple(rng.random(16) < 0.5 for _ in ctx.sites) for _ in range(4))
    made = AuditModels((ctx.model,) * 4, (ctx.random_model,) * 4, members)
    ctx = replace(
        ctx, observed=Observed(CFG, tuple(rounds)), start_model=ctx.random_model, audit_models=lambda: made
    )
    return gather(ctx, build_case(ctx), ATTACKS)


def handed(attack: Attack, evidence: Evidence) -> Given:
    """Return what an attack is handed; what evaluators make for one attack at a time is made here."""
    entries = len(evidence.case.gallery.site_G)
    own = {"known-labels": KnownLabels(np.arange(entries) % 2, 2), "client-update": ({}, {})}
    return Given(attack.artefacts, {n: own[n] if n in own else evidence.held[n] for n in attack.artefacts})


def walk(value: Any, path: str, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    """Yield everything that public names, keys and items lead to; calls and torch's insides are left out."""
    if id(value) in seen or value is None or isinstance(value, type):
        return
    seen[id(value)] = value
    yield path, value
    if isinstance(
        value, str | bytes | int | float | np.ndarray | np.generic | torch.Tensor | nn.Module | RunConfig
    ):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}", seen)
        return
    if isinstance(value, Sequence):
        for item in value:
            yield from walk(item, path, seen)
        return
    for name in dir(value):
        if name.startswith("_"):
            continue
        item = getattr(value, name)
        if not callable(item):
            yield from walk(item, f"{path}.{name}", seen)


def found_in(attack: Attack, given: Given) -> list[tuple[str, Any]]:
    seen: dict[int, Any] = {}
    parts = ((name, getattr(given, name.replace("-", "_"))) for name in attack.artefacts)
    return [one for name, part in parts for one in walk(part, name, seen)]


def leaks(found: list[tuple[str, Any]], evidence: Evidence) -> list[str]:
    """Return the paths of a recipe, of a name of the truth, and of arrays that are the coins themselves."""
    case = evidence.case
    member_T = case.people.member_C[case.person_T]
    member_Q = case.people.member_C[case.person_Q]
    coins = [member_T, ~member_T, member_Q, ~member_Q]
    out = []
    for path, value in found:
        named = any(word.lower() in path.rsplit(".", 1)[-1].lower() for word in SECRET)
        coin = isinstance(value, np.ndarray) and any(
            value.shape == own.shape and np.array_equal(value, own) for own in coins
        )
        if named or coin or isinstance(value, RunConfig | AuditContext | Observed | nn.Module):
            out.append(path)
    return out


def updates(found: list[tuple[str, Any]], evidence: Evidence) -> list[str]:
    observed = evidence.ctx.observed
    assert observed is not None
    sent = {id(v) for seen in observed.rounds for state in seen.updates.values() for v in state.values()}
    return [path for path, value in found if isinstance(value, RoundSeen) or id(value) in sent]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_seed_no_coin_and_no_others_update_by_any_public_name(attack: Attack, evidence: Evidence) -> None:
    found = found_in(attack, handed(attack, evidence))
    assert {path.split(".")[0] for path, _ in found} == set(attack.artefacts)
    assert leaks(found, evidence) == []
    assert bool(updates(found, evidence)) == (
        "site-updates" in attack.artefacts
    )  # the server's, and declared


FITTED = {"pca", "pca-lda"}
"""Attacks that fit something to the gallery, and leave a query's fold out."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_only_attacks_that_fit_know_who_is_in_another_fold(attack: Attack, evidence: Evidence) -> None:
    folds = evidence.case.folds
    assert len(np.unique(folds.fold_Q)) > 1
    told = [
        path
        for path, value in found_in(attack, handed(attack, evidence))
        if isinstance(value, np.ndarray)
        and any(np.array_equal(value, own) for own in (folds.fold_Q, folds.fold_G))
    ]
    assert ("folds" in attack.artefacts) == (attack.name in FITTED)
    assert bool(told) == (attack.name in FITTED)


def test_what_must_not_be_handed_would_be_found(evidence: Evidence) -> None:
    ctx, case = evidence.ctx, evidence.case
    assert ctx.observed is not None
    for planted in (
        SimpleNamespace(recipe=CFG),
        SimpleNamespace(deep=({"seed": 3},)),
        SimpleNamespace(x_T=case.people.member_C[case.person_T].astype(np.int64)),
        SimpleNamespace(tables=SimpleNamespace(observed=ctx.observed)),
    ):
        assert leaks(list(walk(planted, "handed", {})), evidence)
    kept = list(walk(SimpleNamespace(rounds=ctx.observed.rounds), "handed", {}))
    assert updates(kept, evidence)
