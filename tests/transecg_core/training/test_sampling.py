"""Which units are drawn: Poisson, independent, within the public cap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from transecg_core.privacy.noise import SecureSource, SeededSource
from transecg_core.training.local import TrainingSet
from transecg_core.training.sampling import MIN_ROWS, PrivateSpec, check_cap, draw_units, pad_units

PEOPLE = 5


def cohort(without: int | None = None) -> TrainingSet:
    """People with 1, 2, 3, 4 and 5 windows; `without` zeroes one of them out."""
    participant_N = torch.cat([torch.full((p + 1,), p) for p in range(PEOPLE)])
    x_NL = torch.randn(len(participant_N), 200, generator=torch.Generator().manual_seed(0))
    keep = participant_N != (-1 if without is None else without)
    return TrainingSet(x_NL[keep], participant_N[keep], {})


def spec(**changes: Any) -> PrivateSpec:
    options = {
        "sigma": 0.0,
        "clip_norm": 1.0,
        "q": 0.6,
        "expected": 2.0,
        "windows_per_draw": 3,
        "max_windows": 50,
    }
    return PrivateSpec(unit="participant", **{**options, **changes})


def test_poisson_draws_are_independent_and_take_some_of_a_person_s_windows() -> None:
    data, s = cohort(), spec(q=0.3)
    for source in (SeededSource(1), SecureSource()):
        drawn = [draw_units(data, s, source, step) for step in range(1000)]
        who = np.array(
            [[any(data.participant_N[g[0]] == p for g in d) for p in range(PEOPLE)] for d in drawn]
        )
        assert np.all(np.abs(who.mean(axis=0) - 0.3) < 4.5 * math.sqrt(0.21 / 1000))
        assert np.all(np.abs(np.corrcoef(who.T) - np.eye(PEOPLE)) < 4.5 / math.sqrt(1000))
        last = [g for d in drawn for g in d if data.participant_N[g[0]] == 4]
        assert {len(g) for g in last} == {3}
        assert len({tuple(g) for g in last}) == 10  # all 3-subsets of five windows
        assert all(len(set(data.participant_N[g].tolist())) == 1 for d in drawn for g in d)


def test_removing_a_person_changes_nobody_else_s_draw() -> None:
    full, less = cohort(), cohort(without=2)
    for step in range(20):
        a = [
            full.x_NL[g]
            for g in draw_units(full, spec(), SeededSource(9), step)
            if full.participant_N[g[0]] != 2
        ]
        b = [less.x_NL[g] for g in draw_units(less, spec(), SeededSource(9), step)]
        assert len(a) == len(b)
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_people_in_any_order_are_drawn_with_their_own_windows() -> None:
    data = cohort()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(3))
    mixed = TrainingSet(data.x_NL[order], data.participant_N[order], {})
    groups = draw_units(mixed, spec(q=1.0, windows_per_draw=50), SeededSource(0), 0)
    assert [sorted({int(mixed.participant_N[row]) for row in g}) for g in groups] == [
        [p] for p in range(PEOPLE)
    ]
    assert [len(g) for g in groups] == [1, 2, 3, 4, 5]


def test_padding_repeats_the_unit_s_own_first_window_at_weight_zero() -> None:
    rows, weight = pad_units([np.array([4]), np.array([7, 2]), np.array([9, 8, 5])], 3)
    assert rows[:3].tolist() == [[4, 4, 4], [7, 2, 7], [9, 8, 5]]
    assert weight[:3].tolist() == [[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]


@pytest.mark.parametrize(("units", "size"), [(1, 1), (3, 4), (8, 4), (9, 4), (40, 1), (2, 50)])
def test_small_draws_are_filled_up_with_weight_zero(units: int, size: int) -> None:
    rows, weight = pad_units([np.array([u]) for u in range(units)], size)
    assert rows.shape == weight.shape
    assert rows.size >= MIN_ROWS
    assert len(rows) == max(units, -(-MIN_ROWS // size))
    assert not weight[units:].any()
    assert weight[:units].sum(axis=1).tolist() == [1.0] * units


def test_more_windows_than_the_public_cap_are_refused() -> None:
    check_cap(cohort(), spec(max_windows=5))
    with pytest.raises(ValueError, match="max_windows=4"):
        check_cap(cohort(), spec(max_windows=4))


def test_a_private_step_checks_the_cap() -> None:
    from transecg_core.model.heads import new_site_model
    from transecg_core.training.private import PrivateTrainer

    with (
        PrivateTrainer(new_site_model(5, ("sex",), 0), spec(max_windows=4), seed=0) as trainer,
        pytest.raises(ValueError, match="max_windows=4"),
    ):
        trainer.step(cohort())


@pytest.mark.parametrize(
    "bad",
    [
        {"clip_norm": 0.0},
        {"clip_norm": 1e-10},
        {"clip_norm": math.inf},
        {"expected": 0.0},
        {"windows_per_draw": 0},
        {"q": 2.0},
    ],
)
def test_impossible_specs_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        spec(**bad)
