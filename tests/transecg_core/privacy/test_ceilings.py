"""Ceilings against the Gaussian's closed forms, and that they order as they must."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import NeighboringRelation
from dp_accounting.pld import privacy_loss_distribution as pld
from riskcal.analysis import get_advantage_from_pld, get_beta_from_pld
from scipy import stats

from transecg_core.privacy.accounting import Mechanism
from transecg_core.privacy.ceilings import CeilingCurve, ceiling

MU = 1.0
GAUSSIAN = ceiling([(Mechanism("participant", 1.0, 10.0, 48), 100)])


def test_the_gaussian_s_auc_advantage_and_tpr() -> None:
    exact_auc = stats.norm.cdf(MU / math.sqrt(2))
    exact_advantage = 2 * stats.norm.cdf(MU / 2) - 1
    exact_tpr = stats.norm.sf(stats.norm.isf(0.05) - MU)
    assert exact_auc <= GAUSSIAN.auc() <= exact_auc + 1e-3
    assert exact_advantage <= GAUSSIAN.advantage() <= exact_advantage + 1e-3
    assert exact_tpr <= GAUSSIAN.tpr_at(0.05) <= exact_tpr + 1e-3
    assert GAUSSIAN.success(0.05) == GAUSSIAN.tpr_at(0.05)


@pytest.mark.parametrize(("q", "sigma", "steps"), [(0.05, 1.0, 100), (1.0, 4.0, 10), (0.3, 3.0, 20)])
def test_riskcal_gives_the_same_from_a_loss_distribution_of_its_own(
    q: float, sigma: float, steps: int
) -> None:
    """Kulynych et al. (arXiv 2407.02191); ours lies above by what its grid and truncated tails cost."""
    step = pld.from_gaussian_mechanism(
        sigma, value_discretization_interval=1e-3, sampling_prob=q,
        neighboring_relation=NeighboringRelation.REPLACE_SPECIAL,
    )  # fmt: skip
    theirs, ours = step.self_compose(steps), ceiling([(Mechanism("participant", q, sigma, 48), steps)])
    for fpr in (0.01, 0.05, 0.5):
        tpr = 1 - float(get_beta_from_pld(theirs, alpha=fpr))
        assert tpr - 1e-4 <= ours.tpr_at(fpr) <= tpr + 2e-3
    assert get_advantage_from_pld(theirs) - 1e-4 <= ours.advantage() <= get_advantage_from_pld(theirs) + 1e-3


def test_less_noise_never_lowers_a_ceiling() -> None:
    loud, quiet = (ceiling([(Mechanism("participant", 0.5, sigma, 48), 20)]) for sigma in (8.0, 2.0))
    assert np.all(loud.tpr_max <= quiet.tpr_max + 1e-9)
    assert loud.auc() < quiet.auc()
    assert loud.advantage() < quiet.advantage()


def test_window_training_hardly_limits_what_is_learnt_about_a_person() -> None:
    curve = ceiling([(Mechanism("window", 0.03, 2.0, 48), 480)])
    assert curve.tpr_at(0.05) > 0.999
    assert curve.advantage() > 0.999


def test_no_noise_leaves_no_ceiling_and_no_step_leaves_chance() -> None:
    free = ceiling([(Mechanism("participant", 0.5, 0.0, 48), 5)])
    assert free.auc() == 1.0
    assert free.advantage() == 1.0
    nothing = ceiling([])
    assert nothing.auc() == pytest.approx(0.5, abs=1e-3)
    assert nothing.advantage() < 1e-3


def test_between_grid_points_the_larger_neighbour_is_given() -> None:
    curve = CeilingCurve(np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.6, 1.0]))
    assert curve.tpr_at(0.2) == 0.6
    assert curve.tpr_at(0.0) == 0.1
    with pytest.raises(ValueError, match="not in"):
        curve.tpr_at(1.5)
