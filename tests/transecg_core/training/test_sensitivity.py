"""One person moves the clipped sum by the clip norm at most; implementations that break this are caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_site import CLIP, PEOPLE, cohort, flat, model, spec, sum_of_clipped, trainer

from transecg_core.model.heads import SiteModel
from transecg_core.training import private
from transecg_core.training.local import TrainingSet
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec, draw_units


@settings(max_examples=6, deadline=None)
@given(person=st.integers(0, PEOPLE - 1), seed=st.integers(0, 1000))
def test_one_person_moves_the_sum_by_the_clip_norm_at_most(person: int, seed: int) -> None:
    with_person = sum_of_clipped(cohort(), spec(), seed, PrivateTrainer)
    zeroed = sum_of_clipped(cohort(without=person), spec(), seed, PrivateTrainer)
    assert float((with_person - zeroed).norm()) <= CLIP


def test_a_drawn_person_does_move_the_sum() -> None:
    s = spec(q=1.0)
    moved = float((sum_of_clipped(cohort(), s, 0, PrivateTrainer) -
                   sum_of_clipped(cohort(without=4), s, 0, PrivateTrainer)).norm())  # fmt: skip
    assert 0.9 * CLIP < moved <= CLIP


def test_rounding_stays_far_below_what_is_set_aside_for_it() -> None:
    """Many units pull the same way, and a missing one changes the shape of everybody's batch."""
    many = 250
    data = TrainingSet(torch.randn(many, 200, generator=torch.Generator().manual_seed(2)) * 0.05 + 1.0,
                       torch.zeros(many, dtype=torch.int64), {"sex": torch.ones(many, dtype=torch.int64)})  # fmt: skip
    sums = []
    for left_out in (None, 0, 100, many - 1):
        m = model()
        with trainer(m, spec("window", clip_norm=0.01, max_windows=many)) as t:
            t._backward(data, [np.array([row]) for row in range(many) if row != left_out], 0)
            t._optimizer.clip_and_accumulate()
            sums.append(torch.cat([p.summed_grad.flatten() for p in t._optimizer.params]))
    assert float(sums[0].norm()) > 0.5 * many * 0.01
    for less in sums[1:]:
        influence = float((sums[0] - less).norm()) / 0.01
        assert 1 - 1.5 * private.ROUNDING < influence < 1 - 0.5 * private.ROUNDING


class _WindowClips(PrivateTrainer):
    """Wrong: clips each of a person's windows instead of the person."""

    def __init__(self, m: SiteModel, s: PrivateSpec, **options: Any) -> None:
        self._sold = s
        super().__init__(m, replace(s, windows_per_draw=1), **options)

    def draw(self, data: TrainingSet) -> list[np.ndarray]:
        drawn = draw_units(data, self._sold, self._source, self.steps_taken)
        return [np.array([row]) for rows in drawn for row in rows]


class _BatchNormalised(PrivateTrainer):
    """Wrong: centres the windows on the batch, so one person changes everybody's gradient."""

    def _backward(self, data: TrainingSet, groups: Sequence[np.ndarray], index: int) -> float:
        rows = np.concatenate(groups)
        moved = data.x_NL * 1.0
        moved[rows] -= 5 * data.x_NL[rows].mean(dim=0)
        return super()._backward(TrainingSet(moved, data.participant_N, data.targets), groups, index)


@pytest.mark.parametrize("kind", [PrivateTrainer, _WindowClips, _BatchNormalised])
def test_the_neighbour_test_catches_wrong_clipping_and_coupled_people(kind: type[PrivateTrainer]) -> None:
    s = spec(q=1.0, clip_norm=0.05)
    data = cohort()
    last = data.participant_N == PEOPLE - 1
    # The worst case: all windows of one person pull the same way.
    data.x_NL[last] = data.x_NL[last][0].clone()
    for values in data.targets.values():
        values[last] = 1
    less = TrainingSet(
        data.x_NL[~last], data.participant_N[~last], {t: v[~last] for t, v in data.targets.items()}
    )
    moved = float((sum_of_clipped(data, s, 0, kind) - sum_of_clipped(less, s, 0, kind)).norm())
    assert (moved <= s.clip_norm) == (kind is PrivateTrainer)
    assert kind is PrivateTrainer or moved > 1.05 * s.clip_norm


@pytest.mark.parametrize("trainable", ["head", "bitfit", "full"])
@pytest.mark.parametrize("gone", range(PEOPLE))
def test_weights_made_to_amplify_rounding_move_nobody_else(trainable: str, gone: int) -> None:
    """A head row of one large number: the embedding sums to zero, so the logit is rounding error, and nothing else.

    Kernels that round by the number of rows let one person's absence turn everybody else's gradient.
    """
    sums = []
    for data in (cohort(), cohort(without=gone)):
        m = model(trainable)
        with torch.no_grad():
            for head in m.heads.values():
                head.weight.zero_()
                head.weight[0] = 1e7
                head.bias.zero_()
        before = flat(m)
        with trainer(m, spec(q=1.0, expected=1.0, windows_per_draw=1)) as t:
            t.step(data)
        sums.append(flat(m) - before)
    assert float((sums[0] - sums[1]).norm()) <= CLIP * (1 + 1e-3)
