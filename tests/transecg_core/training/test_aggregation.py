"""The moving average of the rounds; the mean over sites is tested through the server's `aggregate`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from transecg_core.training.aggregation import averaged


def test_the_released_average_is_that_of_the_rounds_and_the_start_has_no_part_in_it() -> None:
    rounds = [{"w": torch.tensor([float(v)])} for v in (4.0, 1.0, 3.0)]
    average: Mapping[str, torch.Tensor] = {"w": torch.tensor([99.0])}
    for number, weights in enumerate(rounds, start=1):
        average = averaged(average, weights, 0.5, number)
    assert float(average["w"]) == pytest.approx((0.25 * 4 + 0.5 * 1 + 3) / 1.75)
    assert averaged(average, rounds[0], 0.0, 4) is rounds[0]  # the last round's bytes, not a rounding of them
