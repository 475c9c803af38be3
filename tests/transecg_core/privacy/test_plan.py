"""The plan's formulas against the trainer's own noise and the audit's own intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transecg_core.config import RunConfig, parse
from transecg_core.errors import UserError
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.privacy import plan as planning
from transecg_core.privacy.accounting import Mechanism, epsilon
from transecg_core.risk.estimate import MIN_PEOPLE, PairWins, auc_estimate
from transecg_core.signals.schema import WINDOW
from transecg_core.training.local import TrainingSet
from transecg_core.training.private import PrivateSpec, PrivateTrainer

CLIP, EXPECTED, SIGMA = 0.01, 8.0, 3.0


def config(**options: object) -> RunConfig:
    return parse({"privacy": "participant", **{k.replace("_", "-"): v for k, v in options.items()}})


def bitfit() -> SiteModel:
    model = new_site_model(10, ("sex", "beat"), 0)
    set_trainable(model, "bitfit")
    return model


def spec(sigma: float, q: float = 0.5) -> PrivateSpec:
    return PrivateSpec("participant", sigma, CLIP, q, EXPECTED, 2, 48)


def people(count: int, *, alike: bool) -> TrainingSet:
    x_NL = torch.randn(2 * count, WINDOW, generator=torch.Generator().manual_seed(1))
    if alike:
        x_NL = x_NL[:2].repeat(count, 1)
    person_N = torch.arange(count).repeat_interleave(2)
    return TrainingSet(x_NL, person_N, {"sex": person_N * 0})


def moved(data: TrainingSet, asked: PrivateSpec, steps: int) -> float:
    """Return the L2 norm of the sum of `steps` noised, averaged gradients."""
    model = bitfit()
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    with PrivateTrainer(
        model, asked, seed=3, augmentation=False,
        make_optimizer=lambda m: torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=1.0),
    ) as trainer:  # fmt: skip
        for _ in range(steps):
            trainer.step(data)
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    return float((after - before).norm())


def test_the_noise_is_as_loud_as_planned_in_a_step_and_over_a_run() -> None:
    model, nobody = bitfit(), people(0, alike=False)
    d = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert d == planning.count_parameters(config(patch=10, tasks="sex,beat"), 10)[0]
    a_step = planning.noise_to_signal(SIGMA, d, EXPECTED)
    assert moved(nobody, spec(SIGMA), 1) / CLIP == pytest.approx(a_step, rel=0.05)
    assert moved(nobody, spec(SIGMA), 25) / (25 * CLIP) == pytest.approx(a_step / 5, rel=0.05)
    everything = planning.noise_to_signal(SIGMA, sum(p.numel() for p in model.parameters()), EXPECTED)
    assert everything > 1.5 * a_step  # the test would notice noise on the wrong number of parameters


def test_no_signal_is_larger_than_the_clip_norm_and_equal_people_reach_it() -> None:
    assert moved(people(8, alike=True), spec(0.0, q=1.0), 1) == pytest.approx(CLIP, rel=1e-3)
    assert moved(people(8, alike=False), spec(0.0, q=1.0), 1) <= CLIP * 1.001


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_the_plan_spends_its_target_and_shows_the_person_beside_the_window(unit: str) -> None:
    cfg = config(privacy=unit, num_server_rounds=4, local_steps=10)
    row = planning.plan(cfg, 40)
    counts = (20.0, 20.0 * 48)
    assert row.q == pytest.approx(row.expected / counts[unit == "window"])
    spent = epsilon([(Mechanism(unit, row.q, row.sigma, 48), 40)], cfg.delta)
    assert 0.995 * cfg.target_epsilon < spent <= cfg.target_epsilon
    if unit == "participant":
        assert (row.epsilon_person, row.epsilon_window) == (pytest.approx(spent), None)
    else:
        assert row.epsilon_window == pytest.approx(spent)
        assert row.epsilon_person > 5 * spent
    assert row.noise_over_run == pytest.approx(row.noise_per_step / math.sqrt(40 * 4))


def test_what_is_trained_decides_the_noise_and_nothing_else() -> None:
    head, few, whole = (
        planning.plan(config(trainable=t, num_server_rounds=2, local_steps=5), 20)
        for t in ("head", "bitfit", "full")
    )
    assert head.sigma == few.sigma == whole.sigma
    assert head.noise_per_step < few.noise_per_step < whole.noise_per_step
    assert whole.trainable == whole.parameters


def test_more_people_drown_less_and_a_smaller_epsilon_more() -> None:
    cfg = config(num_server_rounds=2, local_steps=10)
    few, many = (planning.plan(cfg, n) for n in (16, 64))
    assert many.noise_over_run < few.noise_over_run / 2
    strict = planning.plan(config(num_server_rounds=2, local_steps=10, target_epsilon=1), 64)
    assert strict.noise_over_run > 2 * many.noise_over_run
    assert strict.ceiling_advantage < many.ceiling_advantage
    assert strict.audit == many.audit


@pytest.mark.parametrize(
    ("options", "n", "part"),
    [
        ({"privacy": "none"}, 20, "privacy=none promises nothing"),
        ({"noise": "off"}, 20, "noise=off promises nothing"),
        ({"delta": 1e-3}, 200, "delta=0.001 is too large for 200"),
        ({"cohort": "node", "sites": "a,b", "delta": 1e-3}, 200, "delta=0.001 is too large for 200"),
        ({}, 1, "participants-per-site=1"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_a_line(options: dict, n: int, part: str) -> None:
    with pytest.raises(UserError, match=part):
        planning.plan(config(**options), n)


def detected(auc: float, sites: int, n: int, trials: int, seed: int) -> float:
    """Return how often the audit's own interval excludes chance, coins tossed as in a run."""
    rng, shift, found = np.random.default_rng(seed), math.sqrt(2) * stats.norm.ppf(auc), 0
    for _ in range(trials):
        member_SP = rng.random((sites, n)) < 0.5
        score_SP = rng.standard_normal((sites, n)) + shift * member_SP
        wins = [PairWins.of(s[m], s[~m]) for s, m in zip(score_SP, member_SP, strict=True)]
        found += auc_estimate([w for w in wins if w.win_MC.size], 300, rng).ci95[0] > 0.5
    return found / trials


@pytest.mark.parametrize(("sites", "n"), [(4, 20), (2, 40)])
def test_the_audit_finds_the_smallest_auc_four_times_in_five(sites: int, n: int) -> None:
    auc = planning.smallest_auc(n / 2, n / 2, sites)
    assert 0.72 < detected(auc, sites, n, 250, 1) < 0.9
    assert detected((auc + 0.5) / 2, sites, n, 250, 2) < 0.45  # half of it is mostly missed
    assert detected(0.5, sites, n, 250, 3) < 0.07  # 2.5 % nominal


def test_the_variance_at_chance_is_mann_and_whitney_s() -> None:
    assert planning.auc_variance(0.5, 10, 15) == pytest.approx(26 / (12 * 150))
    assert planning.auc_variance(0.5, 10, 15, sites=4) == pytest.approx(26 / (12 * 150) / 4)


@given(st.integers(2, 500), st.integers(1, 20))
def test_more_people_or_sites_never_hide_a_leak(people_: int, sites: int) -> None:
    auc = planning.smallest_auc(people_, people_, sites)
    assert 0.5 < auc < 1
    assert planning.smallest_auc(people_ + 1, people_ + 1, sites) < auc
    assert planning.smallest_auc(people_, people_, sites + 1) < auc


@pytest.mark.parametrize("auc", [0.5, 0.6, 0.8, 0.95])
def test_the_advantage_is_that_of_two_normal_distributions(auc: float) -> None:
    shift = math.sqrt(2) * stats.norm.ppf(auc)
    grid = np.linspace(-5, 8, 20_001)
    best = (stats.norm.sf(grid - shift) - stats.norm.sf(grid)).max()
    assert planning.advantage_of(auc) == pytest.approx(best, abs=1e-6)


def test_too_few_people_or_nobody_held_out_is_not_measurable() -> None:
    few = planning.sensitivity(2, 4, halves=True)
    assert (few.members, few.auc) == (4, None)
    assert few.members < MIN_PEOPLE
    enough = planning.sensitivity(20, 4, halves=True)
    assert enough.tpr_measurable
    assert not planning.sensitivity(19, 4, halves=True).tpr_measurable
    everybody = planning.sensitivity(20, 4, halves=False)
    assert (everybody.members, everybody.controls, everybody.advantage) == (80, 0, None)


def levels() -> Iterator[tuple[float, str]]:
    yield 14.2, "noise is at least 14 times the signal: expect nothing"
    yield (planning.LITTLE + planning.NOTHING) / 2, "expect little"
    yield planning.LITTLE / 2, "training may work"


@pytest.mark.parametrize(("over_run", "words"), list(levels()))
def test_the_reading_says_what_to_expect(over_run: float, words: str) -> None:
    assert words in planning.reading(over_run, planning.sensitivity(20, 4, halves=True), 0.6)


def test_the_reading_says_whether_an_audit_sees_what_is_allowed() -> None:
    audit = planning.sensitivity(20, 4, halves=True)
    assert "can't see" not in planning.reading(1.0, audit, 0.6)
    assert "can't see what is allowed" in planning.reading(1.0, audit, 0.1)
    assert "nobody is held out" in planning.reading(1.0, planning.sensitivity(20, 4, halves=False), 0.6)
    assert "4 members and 4 controls" in planning.reading(1.0, planning.sensitivity(2, 4, halves=True), 0.6)
