"""The mechanism audit: it must pass the right code and catch every broken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from transecg_core.privacy.accounting import epsilon
from transecg_core.privacy.audit.broken import CROWD, MECHANISM, _CentresOnTheBatch, right, secure
from transecg_core.privacy.audit.mechanism import (
    CLAIM,
    DELTA,
    _scores,
    _world,
    audit_mechanism,
    claimed_spec,
)
from transecg_core.privacy.audit.mechanism import (
    CROWD as OTHERS,
)

QUICK = 600
"""Draws at which the gross mistakes are caught."""
GROSS = [
    name for name in MECHANISM if name != "everybody in every step, sold as sampled"
]  # that one needs all draws


def test_the_right_code_passes_and_the_audit_has_power() -> None:
    result = audit_mechanism(right, draws=1000, seed=0)
    assert result.holds
    assert result.lower_bound > 0.1 * CLAIM
    assert result.max_attainable is not None
    assert result.max_attainable > 4 * CLAIM


def test_the_secure_source_passes_too() -> None:
    # A false alarm has probability below 1 %, and twice as much noise as claimed would give about 0.
    result = audit_mechanism(secure, draws=QUICK, seed=0)
    assert result.holds


@pytest.mark.parametrize("name", GROSS)
def test_broken_code_is_caught(name: str) -> None:
    result = audit_mechanism(MECHANISM[name], draws=QUICK, seed=0)
    assert not result.holds, result


def test_in_a_crowd_the_right_code_passes_with_the_same_power() -> None:
    result = audit_mechanism(right, draws=QUICK, seed=0, others=OTHERS)
    assert result.holds
    assert result.lower_bound > 0.1 * CLAIM
    assert result.max_attainable == audit_mechanism(right, draws=QUICK, seed=0).max_attainable


@pytest.mark.parametrize("name", CROWD)
def test_people_who_turn_each_other_s_gradients_are_caught_in_a_crowd_and_not_alone(name: str) -> None:
    assert not audit_mechanism(CROWD[name], draws=QUICK, seed=0, others=OTHERS).holds
    # Alone, centring leaves nothing of the canary's own windows: no evidence of anything.
    assert audit_mechanism(CROWD[name], draws=QUICK, seed=0).holds


def test_people_turned_against_the_canary_are_not_seen_and_the_guide_says_so() -> None:
    class Towards(_CentresOnTheBatch):
        share = 1.0

    result = audit_mechanism(Towards, draws=QUICK, seed=0, others=OTHERS)
    assert (result.holds, result.lower_bound) == (True, 0.0)
    guide = (Path(__file__).parents[3] / "docs" / "privacy-audit.md").read_text(encoding="utf-8")
    assert "a batch mean *added* to everybody's windows gives a lower bound of 0" in guide


def test_the_others_add_nothing_to_the_right_code_s_score() -> None:
    spec = replace(claimed_spec(), sigma=0.0)
    scores = _scores(right, spec, _world(0, OTHERS), 30, 5)
    assert max(map(abs, scores)) < 1e-3


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    first, same, other = (_scores(right, claimed_spec(), _world(4), 20, seed) for seed in (3, 3, 4))
    assert first == same
    assert first != other


def test_the_audited_claim_is_the_accountant_s() -> None:
    spec = claimed_spec()
    assert epsilon([(spec.mechanism, 1)], DELTA) == pytest.approx(CLAIM, rel=1e-3)
