from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from transecg_core.attribution.faithfulness import insertion_minus_deletion, rank_correlation, relevance_order


class Passing(nn.Module):
    patch = 5

    def forward(self, x_BL: Tensor) -> Tensor:
        return x_BL


class FirstToken:
    """Confidence: the mean of the first patch."""

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        return z_MD[:, :5].mean(dim=1)


X, FILL = np.ones((3, 200), dtype=np.float32), np.zeros((3, 200), dtype=np.float32)


def _area(place_BT: np.ndarray) -> np.ndarray:
    return insertion_minus_deletion(Passing(), X, FILL, place_BT, {"t": FirstToken()})["t"]


def test_best_and_worst_order_by_hand():
    best = np.tile(np.arange(40), (3, 1))
    assert _area(best) == pytest.approx(5 / 6)  # in at the first of five inner cuts, out at the first
    assert _area(39 - best) == pytest.approx(-5 / 6)


def test_random_orders_have_expectation_zero():
    areas = [_area(relevance_order(np.zeros((3, 40)), seed)).mean() for seed in range(150)]
    assert abs(np.mean(areas)) < 4 * np.std(areas) / np.sqrt(len(areas))
    assert np.std(areas) > 0.05


def test_targets_share_the_passes_and_know_their_rows():
    class Rows:
        def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
            return z_MD[:, 0] * torch.tensor([1.0, 0.0, 2.0])[row_M]

    best = np.tile(np.arange(40), (3, 1))
    both = insertion_minus_deletion(Passing(), X, FILL, best, {"t": FirstToken(), "r": Rows()})
    assert both["t"] == pytest.approx(_area(best))
    assert both["r"] == pytest.approx([5 / 6, 0, 5 / 3])


def test_order_is_a_permutation_and_ties_are_drawn():
    token = np.array([[0.0, 5.0, 0.0, -1.0, 0.0, 7.0]] * 400)
    place = relevance_order(token, 0)
    assert (np.sort(place, axis=1) == np.arange(6)).all()
    assert (place[:, 5] == 0).all()
    assert (place[:, 1] == 1).all()
    assert (place[:, 3] == 5).all()
    assert place[:, [0, 2, 4]].mean(axis=0) == pytest.approx([3, 3, 3], abs=0.2)


def test_rank_correlation_known_answers():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20, 40))
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, rng.normal(size=(20, 40))) == pytest.approx(0, abs=0.12)
    assert rank_correlation(one, np.zeros((20, 40))) is None
