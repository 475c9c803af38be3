"""The one-run audit: what it catches, what it can't, and that it says so."""

from __future__ import annotations

import numpy as np
import pytest

from transecg_core.privacy.audit.broken import CANARIES, half_noise_spec
from transecg_core.privacy.audit.canaries import Plan, attainable, audit_canaries, right_guesses


def test_guesses_are_counted_by_hand() -> None:
    score_P = np.array([0.9, 0.1, 0.5, 0.8, 0.2, 0.6])
    coin_P = np.array([True, False, True, False, True, False])
    # In: 0.9 (right), 0.8 (wrong). Out: 0.1 (right), 0.2 (wrong). 0.5 and 0.6 are passed over.
    assert right_guesses(score_P, coin_P, 4) == 2
    assert right_guesses(score_P, ~coin_P, 4) == 2
    # Three are guessed in and three out; the fourth member, 0.5, is among the lowest.
    assert right_guesses(score_P, score_P > 0.4, 6) == 5


def test_the_right_code_passes_and_missing_noise_is_caught() -> None:
    right = audit_canaries(Plan(), seed=0)
    assert right.holds
    assert right.power
    caught = audit_canaries(Plan(), CANARIES["no noise (sigma 0)"], seed=0)
    assert not caught.holds
    assert caught.lower_bound <= attainable(Plan())


def test_a_claim_above_the_largest_bound_is_said_to_be_without_power() -> None:
    claim = audit_canaries(Plan(claimed=8.0, canaries=88, guesses=88, steps=2), seed=0)
    assert claim.max_attainable == pytest.approx(3.36, abs=0.01)
    assert claim.holds
    assert not claim.power


@pytest.mark.audit
def test_half_the_noise_is_below_its_power() -> None:
    # Not a virtue, but the table says so: were this to fail, the table would be wrong.
    assert all(audit_canaries(Plan(), half_noise_spec, seed=seed).holds for seed in range(50, 55))
