"""Shadow attacks: planted memorisation is found, silence is kept, and no model is its own reference."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.privacy.ceilings import CeilingCurve
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.shadow_lira import SHADOW_LIRA, SHADOW_LIRA_CONSISTENCY, likelihood_ratio
from transecg_core.risk.attacks.shadow_rmia import SHADOW_RMIA, log_prior, pairwise
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import DECLARED
from transecg_core.risk.evidence import Evidence, gather
from transecg_core.risk.findings import Findings
from transecg_core.risk.membership import TPR_METRIC
from transecg_core.risk.references import AuditModels
from transecg_core.risk.rows import POOLED, NotMeasurable, RiskRow
from transecg_core.risk.shadow_figures import Everybody, _rate_draws, model_draws, recipe_auc, recipe_tpr
from transecg_core.risk.shadow_membership import LEAVE_ONE_OUT, shadow_membership

MODELS = 8
ATTACKS = (SHADOW_LIRA, SHADOW_LIRA_CONSISTENCY, SHADOW_RMIA)


class Rememberer(nn.Module):
    """Sees a person's own difficulty in a window, and marks the people it was trained on.

    `known_M` are members' traits (M, 16). The mark is what the fakes' sex head is sure of.
    """

    def __init__(self, fakes: Any, known_MT: np.ndarray, gain: float, seed: int) -> None:
        super().__init__()
        self.reader, self.gain = fakes.reader(), gain
        self.known_MT = torch.from_numpy(known_MT).float()
        self.wobble_T = 0.02 * torch.randn(16, generator=torch.Generator().manual_seed(seed))

    def forward(self, x_BL: Tensor) -> Tensor:
        z_BD = self.reader(x_BL).clone()
        trait_BT = z_BD[:, :16]
        near_B = torch.cdist(trait_BT, self.known_MT).min(dim=1).values < 1.0
        z_BD[:, 20] = trait_BT[:, 0] + trait_BT @ self.wobble_T + self.gain * near_B
        return z_BD


def traits(fakes: Any, site: Any, keep_P: np.ndarray) -> np.ndarray:
    windows = site.windows
    return np.stack([
        np.full(16, 99.0),  # of nobody: there may be no members
        *(np.asarray(windows.x_NL[windows.participant_N == p][:, :16]).mean(axis=0) for p in np.flatnonzero(keep_P)),
    ])  # fmt: skip


def model(fakes: Any, sites: Any, members: Any, gain: float, seed: int) -> Any:
    known_MT = np.concatenate([traits(fakes, s, own) for s, own in zip(sites, members, strict=True)])
    return fakes.model(Rememberer(fakes, known_MT, gain, seed), weight=1.0)


def evidence(
    fakes: Any, gain: float, count: int = MODELS, people: int = 24, seed: int = 0, **changes: Any
) -> Evidence:
    """Return an audit whose models have learned their members by heart, as strongly as `gain`."""
    ctx = fakes.build(fakes.recipe(sites=2, people=people, records=1, windows=12, seed=seed))
    rng = np.random.default_rng(seed)
    members = tuple(tuple(rng.random(people) < 0.5 for _ in ctx.sites) for _ in range(count))
    trained = tuple(model(fakes, ctx.sites, own, gain, k) for k, own in enumerate(members))
    starts = tuple(model(fakes, ctx.sites, own, 0.0, 100 + k) for k, own in enumerate(members))
    own = tuple(site.member_P for site in ctx.sites)
    made = AuditModels(trained, starts, members)
    ctx = replace(
        ctx, model=model(fakes, ctx.sites, own, gain, 77), random_model=model(fakes, ctx.sites, own, 0.0, 78),
        audit_models=lambda: made,
    )  # fmt: skip
    ctx = replace(ctx, **changes)
    return gather(ctx, build_case(ctx), ATTACKS)


def row(found: Findings, protocol: str, site: str = POOLED, metric: str = "AUC") -> RiskRow:
    return next(r for r in found.rows if (r.protocol, r.site, r.metric) == (protocol, site, metric))


@pytest.mark.parametrize("attack", [SHADOW_LIRA, SHADOW_RMIA], ids=lambda a: a.name)
def test_planted_memorisation_is_found_in_recipe_and_released_model(fakes: Any, attack: Attack) -> None:
    found = shadow_membership(attack, evidence(fakes, gain=0.5))
    for protocol in (LEAVE_ONE_OUT, "independent-coins"):
        auc = row(found, protocol)
        assert auc.main > 0.95
        assert auc.ci95[0] > 0.8 > 0.65 > auc.control
        assert (auc.kind, auc.observer, auc.baseline) == ("C", "released-model", 0.5)
    assert {r.site for r in found.rows if r.protocol == LEAVE_ONE_OUT} == {"s0", "s1", POOLED}
    # People differ far more than training changes them: without references hardly anything is found.
    given = evidence(fakes, gain=0.5)
    from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS
    from transecg_core.risk.membership import membership_rows

    alone = membership_rows(SHARED_HEAD_LOSS, given.ctx, given.case, given.held)
    assert next(r for r in alone if r.site == POOLED and r.metric == "AUC").main < 0.8


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_silence_where_nothing_is_remembered(fakes: Any, attack: Attack) -> None:
    """Six federations whose models differ, but not by who trained them."""
    found = [
        row(shadow_membership(attack, evidence(fakes, gain=0.0, seed=seed)), LEAVE_ONE_OUT)
        for seed in range(6)
    ]
    assert np.mean([auc.main for auc in found]) == pytest.approx(0.5, abs=0.06)
    assert sum(auc.ci95[0] > 0.5 for auc in found) <= 1


def test_no_model_is_its_own_reference_and_nothing_else_is_handed_over(fakes: Any) -> None:
    given, calls = evidence(fakes, gain=0.5), []

    def spy(held: Any) -> np.ndarray:
        calls.append((held.released_model, held.audit_models))
        with pytest.raises(RuntimeError):
            held.architecture  # noqa: B018
        return np.zeros(len(held.targets.site_T))

    shadow_membership(replace(SHADOW_LIRA, run=spy), given)
    known, starts = given.held["audit-models"], given.held["audit-starts"]
    for offset, whole in ((0, known), (MODELS, starts)):
        for k in range(MODELS):
            attacked, rest = calls[offset + k]
            assert attacked is whole.models[k]
            assert attacked not in rest.models
            assert rest.models == tuple(m for m in whole.models if m is not attacked)
            np.testing.assert_array_equal(rest.trained_RT, np.delete(whole.trained_RT, k, axis=0))
    assert [len(rest.models) for _, rest in calls[2 * MODELS :]] == [
        MODELS,
        MODELS,
    ]  # the released model and its start


def world(
    count: int, people: int, gain: float, seed: int, sites: int = 2, differ: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (K, T) = person + noise + the model's gain if trained, coins (K, T), sites (T,).

    Models' gains have a standard deviation of `differ`.
    """
    rng = np.random.default_rng(seed)
    in_KT = (rng.random((count, people * sites)) < 0.5).astype(float)
    score_KT = rng.normal(0, 2, people * sites) + rng.normal(size=in_KT.shape) + gain * in_KT
    score_KT = score_KT + differ * rng.normal(size=(count, 1)) * in_KT
    return score_KT, in_KT, np.repeat(np.arange(sites), people)


def left_out(score_KT: np.ndarray, in_KT: np.ndarray, site_T: np.ndarray, others: bool = True) -> np.ndarray:
    """LiRA on every model by the others; by all, itself among them, if not `others`."""
    rows = []
    for k in range(len(score_KT)):
        keep = np.arange(len(score_KT)) != k if others else np.ones(len(score_KT), dtype=bool)
        rows.append(likelihood_ratio(score_KT[k], score_KT[keep], in_KT[keep], site_T))
    return np.stack(rows)


def everybody(score_KT: np.ndarray, in_KT: np.ndarray, site_T: np.ndarray) -> Everybody:
    people = SimpleNamespace(units_C=np.ones(len(site_T), dtype=int))
    case = SimpleNamespace(
        targets=SimpleNamespace(site_T=site_T), person_T=np.arange(len(site_T)), people=people
    )
    return Everybody(score_KT, np.zeros_like(score_KT), in_KT, case)  # type: ignore[arg-type]


def lower_limits(gain: float, seeds: int, figure: Any, people: int = 20) -> np.ndarray:
    out = []
    for seed in range(seeds):
        score_KT, in_KT, site_T = world(8, people, gain, seed)
        found = figure(
            everybody(left_out(score_KT, in_KT, site_T), in_KT, site_T), 200, np.random.default_rng(seed)
        )
        out.append((found.found.ci95[0], found.found.value, found.found.ci95[1]))
    return np.array(out)


def test_false_alarms_are_as_rare_as_the_interval_says_and_power_is_there() -> None:
    """80 worlds without a signal: a two-sided 95 % interval lies above chance in 2 of them, 7 at most."""
    silent_S3 = lower_limits(0.0, 80, recipe_auc)
    assert (silent_S3[:, 0] > 0.5).sum() <= 7
    assert (silent_S3[:, 2] < 0.5).sum() <= 7
    assert silent_S3[:, 1].mean() == pytest.approx(0.5, abs=0.012)  # unbiased: coins are not balanced
    assert (lower_limits(1.5, 10, recipe_auc)[:, 0] > 0.5).all()


def test_the_rate_s_thresholds_hold_without_a_signal() -> None:
    silent_S3 = lower_limits(0.0, 8, recipe_tpr, people=52)
    assert silent_S3[:, 1].mean() == pytest.approx(0.05, abs=0.015)
    assert (silent_S3[:, 0] > 0.05).sum() <= 2
    assert (lower_limits(4.0, 2, recipe_tpr, people=52)[:, 0] > 0.5).all()


def test_a_model_among_its_own_references_would_find_what_is_not_there() -> None:
    """The negative control of leaving one out: the same attack with itself among the references."""
    score_KT, in_KT, site_T = world(8, 60, 0.0, 1)
    own = everybody(left_out(score_KT, in_KT, site_T, others=False), in_KT, site_T)
    assert recipe_auc(own, 200, np.random.default_rng(0)).found.ci95[0] > 0.6


def test_the_interval_is_over_people_not_over_scores() -> None:
    """A person who is right in all models is one piece of evidence: K copies of one model narrow nothing."""
    score_KT, in_KT, site_T = world(1, 30, 1.0, 4)
    alone, copied = (
        recipe_auc(
            everybody(np.repeat(score_KT, n, 0), np.repeat(in_KT, n, 0), site_T),
            1000,
            np.random.default_rng(0),
        ).found
        for n in (1, 10)
    )
    assert alone.value == pytest.approx(copied.value)
    assert np.ptp(copied.ci95) == pytest.approx(np.ptp(alone.ci95), rel=1e-9)
    assert copied.n == 60


def test_known_answers() -> None:
    """Two models with and two without, shared spread 1 (residuals +-.5 each, 4 in 4 - 2 degrees of freedom)."""
    x_RT = np.array([[2.5, 0.0], [1.5, 0.0], [0.5, 0.0], [-0.5, 0.0]])
    in_RT = np.array([[1.0], [1.0], [0.0], [0.0]]) * np.ones(2)
    site_T = np.array([0, 1])
    ratio_T = likelihood_ratio(np.array([2.0, 1.0]), x_RT, in_RT, site_T)
    assert ratio_T[0] == pytest.approx(0.5 * 2.0**2 / (0.5 * 1.5))
    assert ratio_T[1] == 0.0  # nothing differs: nothing to tell
    assert np.isnan(likelihood_ratio(np.array([2.0, 1.0]), x_RT[:3], in_RT[:3], site_T)).all()
    prior_T = log_prior(np.log([[0.8, 0.8], [0.4, 0.4], [0.2, 0.2]]), np.array([[1.0, 1], [1, 0], [0, 0]]))
    np.testing.assert_allclose(np.exp(prior_T), [0.4, 0.55])
    np.testing.assert_allclose(
        pairwise(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 0, 0, 1])), [1, 0, 0.5, np.nan]
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"membership": False}, "audit-split=none"),
        ({"strangers": True}, "holds none of the participants' ECG"),
        ({"undeclared": True}, "whom the model was trained on"),
        ({"audit_models": None}, "audit-models=16"),
        ({"audit_models": None, "members_by": DECLARED}, "recipe"),
    ],
)
def test_what_can_t_be_asked_says_so(fakes: Any, changes: dict[str, Any], reason: str) -> None:
    for attack in ATTACKS:
        rows = shadow_membership(attack, evidence(fakes, 0.0, count=2, people=4, **changes)).rows
        assert [(r.site, r.protocol, r.metric, r.main) for r in rows] == [
            (POOLED, LEAVE_ONE_OUT, "AUC", None), (POOLED, LEAVE_ONE_OUT, TPR_METRIC, None)
        ]  # fmt: skip
        assert all(reason in r.notes for r in rows)


def test_bad_input_is_a_reason_and_never_a_number(fakes: Any) -> None:
    few = shadow_membership(SHADOW_LIRA, evidence(fakes, 0.5, count=4)).rows
    assert [r.main for r in few] == [None, None]
    assert "3 audit models to compare with, and 4 are needed" in few[0].notes
    lonely = shadow_membership(SHADOW_RMIA, evidence(fakes, 0.5, people=2)).rows
    assert {r.main for r in lonely} == {None}
    assert all(r.notes for r in lonely)
    broken = fakes.model(fakes.reader(broken=True))
    members = tuple(tuple(np.arange(24) % 2 == k % 2 for _ in range(2)) for k in range(MODELS))
    made = AuditModels((broken,) * MODELS, (broken,) * MODELS, members)
    for attack in ATTACKS:
        rows = shadow_membership(attack, evidence(fakes, 0.5, audit_models=lambda: made)).rows
        assert {r.main for r in rows} == {None}
        assert "not finite" in rows[0].notes


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_a_released_model_that_is_not_finite_leaves_the_recipe_s_rows(fakes: Any, attack: Attack) -> None:
    broken = fakes.model(fakes.reader(broken=True))
    found = shadow_membership(attack, evidence(fakes, 0.5, model=broken))
    assert row(found, LEAVE_ONE_OUT).main is not None
    rest = [r for r in found.rows if r.protocol != LEAVE_ONE_OUT]
    assert [(r.site, r.protocol, r.metric, r.main) for r in rest] == [
        (POOLED, "independent-coins", "AUC", None), (POOLED, "independent-coins", TPR_METRIC, None)
    ]  # fmt: skip
    assert all("not finite" in r.notes for r in rest)


def test_models_that_are_all_alike_tell_nothing(fakes: Any) -> None:
    """A pretrained start is the same for every model: the control arm must then be chance, not noise."""
    given = evidence(fakes, 0.5)
    alike = given.ctx.audit_models().starts[0]
    made = replace(given.ctx.audit_models(), starts=(alike,) * MODELS)
    ctx = replace(given.ctx, audit_models=lambda: made, start_model=alike)
    for attack in ATTACKS:
        found = shadow_membership(attack, gather(ctx, given.case, ATTACKS))
        assert row(found, LEAVE_ONE_OUT).control == 0.5


def test_each_row_has_the_ceiling_of_what_it_is_about(fakes: Any) -> None:
    """The released model's charges bound its rows; those of the recipe need every step of every round."""
    fpr = np.linspace(0, 1, 11)
    low, high = (CeilingCurve(fpr, np.minimum(1, fpr + more)) for more in (0.1, 0.2))
    changes = {"ceilings": {"s0": low, "s1": low}, "recipe_ceilings": {"s0": high, "s1": high}}
    found = shadow_membership(SHADOW_LIRA, evidence(fakes, 0.5, **changes))
    recipe, released = row(found, LEAVE_ONE_OUT), row(found, "independent-coins")
    assert (recipe.ceiling, released.ceiling) == pytest.approx((high.auc(), low.auc()))
    assert "interval over people and models" in recipe.notes
    assert "single models: 0.9" in recipe.notes
    assert (
        recipe.main > recipe.ceiling
    )  # the fakes were never trained with noise: the audit would say "violated"
    # A site without a part in the recipe has nobody who trained, and needs no ceiling.
    alone = shadow_membership(
        SHADOW_LIRA, evidence(fakes, 0.5, **changes | {"recipe_ceilings": {"s0": high}})
    )
    assert row(alone, LEAVE_ONE_OUT).ceiling == pytest.approx(high.auc())
    bare = shadow_membership(SHADOW_LIRA, evidence(fakes, 0.5))
    assert row(bare, LEAVE_ONE_OUT).ceiling is None


@pytest.mark.audit
@pytest.mark.parametrize(("gain", "differ", "least"), [(0.0, 0.0, 0.93), (1.0, 0.0, 0.93), (1.0, 0.7, 0.85)])
def test_intervals_hold_the_recipe_s_truth_also_where_models_differ(
    gain: float, differ: float, least: float
) -> None:
    """Truth: the mean over 200 samples of people and models. Resampling people alone held .63 of the last."""
    found = []
    for seed in range(200):
        score_KT, in_KT, site_T = world(16, 20, gain, seed, differ=differ)
        own = everybody(left_out(score_KT, in_KT, site_T), in_KT, site_T)
        found.append(recipe_auc(own, 200, np.random.default_rng(seed)).found)
    truth = np.mean([one.value for one in found])
    # 200 samples at .9 have a standard error of .021.
    assert np.mean([one.ci95[0] <= truth <= one.ci95[1] for one in found]) >= least


def test_models_that_differ_widen_the_interval() -> None:
    """Half of the models give everybody away and half hide them: people drawn anew would never tell."""
    _, in_KT, site_T = world(16, 20, 0.0, 0)
    order_KT = in_KT * np.where(np.arange(16) % 2, 1.0, -1.0)[:, None]
    found = recipe_auc(everybody(order_KT, in_KT, site_T), 500, np.random.default_rng(1))
    assert found.found.value == pytest.approx(0.5, abs=0.02)
    assert found.found.ci95 == pytest.approx((0.25, 0.75), abs=0.05)  # 1.96 * .5 / sqrt 16 to each side
    assert found.models == "single models: 0.000 to 1.000"
    rates = np.repeat(order_KT[:, None, :] == 1.0, 3, axis=1) * 1.0
    drawn_B = _rate_draws(rates, np.ones_like(in_KT, dtype=bool), 500, np.random.default_rng(1))
    assert drawn_B.std() > 0.05
    weight_BK = model_draws(16, 4000, np.random.default_rng(0))
    assert (weight_BK.sum(axis=1) == 15).all()
    # The variance of a mean of 16, unbiased: s^2 / 16 with s^2 over 15.
    value_K = np.arange(16.0)
    assert (weight_BK @ value_K / 15).var() == pytest.approx(value_K.var(ddof=1) / 16, rel=0.06)


def test_a_person_under_some_ids_only_counts_in_neither_group(fakes: Any) -> None:
    given = evidence(fakes, 0.5)
    members = [list(map(np.copy, own)) for own in given.ctx.audit_models().members]
    members[0][0][0], members[0][1][0] = True, False
    ctx = replace(given.ctx, sites=tuple(
        replace(site, person_P=("both", *site.person_P[1:])) for site in given.ctx.sites
    ), audit_models=lambda: replace(given.ctx.audit_models(), members=tuple(map(tuple, members))))  # fmt: skip
    known = gather(ctx, build_case(ctx), ATTACKS).held["audit-models"]
    both = [t for t, p in enumerate(build_case(ctx).person_T) if build_case(ctx).people.names[p] == "both"]
    assert len(both) == 2
    assert np.isnan(known.trained_RT[0, both]).all()


def test_not_measurable_is_raised_by_the_attack_itself() -> None:
    with pytest.raises(NotMeasurable, match="1 audit models"):
        SHADOW_RMIA.run(SimpleNamespace(targets=None, audit_models=SimpleNamespace(models=(1,))))  # type: ignore[arg-type]
