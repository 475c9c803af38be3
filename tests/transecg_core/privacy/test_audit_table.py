"""What is printed, and when an audit as a whole fails."""

from __future__ import annotations

import json
import math

import pytest

from transecg_core.privacy.audit.results import Claim, Control, FalseAlarms, Findings
from transecg_core.privacy.audit.suite import FALSE_ALARM_SEEDS, FIRST_CONTROL_SEED, run_suite
from transecg_core.privacy.audit.table import EVIDENCE, as_json, render

HOLDS = Claim("mechanism", "a run", 1.0, 0.5, 5.0)
CAUGHT = Control("mechanism", "no noise", 3, 3)
QUIET = FalseAlarms("mechanism", 0, 20, 0.01)


@pytest.mark.parametrize(
    ("findings", "passed"),
    [
        (Findings((HOLDS,), (CAUGHT,), (QUIET,)), True),
        (Findings((Claim("mechanism", "a run", 1.0, 1.1, 5.0),), (), ()), False),
        (Findings((Claim("recount", "a run", 1.0, 0.5, None, ("a contradiction",)),), (), ()), False),
        (Findings((HOLDS,), (Control("mechanism", "no noise", 2, 3),), ()), False),
        (Findings((HOLDS,), (CAUGHT,), (FalseAlarms("canaries", 2, 20, 0.05),)), True),
        (Findings((HOLDS,), (CAUGHT,), (FalseAlarms("canaries", 8, 20, 0.05),)), False),
    ],
)
def test_passed(findings: Findings, passed: bool) -> None:
    assert findings.passed is passed
    assert as_json(findings)["passed"] is passed


def test_a_claim_above_the_largest_bound_is_no_power_not_yes() -> None:
    text = render(Findings((Claim("canaries", "a run", 8.0, 0.9, 3.96),), (), ()))
    assert "no power" in text
    assert EVIDENCE in text


def test_contradictions_and_misses_stand_out() -> None:
    claim = Claim("recount", "site a", 1.0, 2.0, None, ("30 noisy steps were taken, 20 are charged",))
    text = render(Findings((claim,), (Control("canaries", "no clipping", 0, 3),), (QUIET,)))
    for words in ("NO", "no limit", "30 noisy steps were taken", "0 of 3", "0 of 20 seeds", "1 %"):
        assert words in text


def test_notes_are_printed_and_fail_nothing() -> None:
    claim = Claim("recount", "site a", 1.0, 0.9, None, (), ("RDP says 1.36, PLD 1",))
    findings = Findings((claim,), (), ())
    assert findings.passed
    assert "Notes\nrecount: RDP says 1.36, PLD 1 (site a)" in render(findings)


def test_json_has_what_others_read_and_stays_json() -> None:
    unbounded = Claim("recount", "a run", 1.0, math.inf, None)
    body = json.loads(json.dumps(as_json(Findings((HOLDS, unbounded), (CAUGHT,), (QUIET,))), allow_nan=False))
    assert {"instrument", "claimed", "lower_bound", "max_attainable", "holds"} <= body["claims"][0].keys()
    assert {"instrument", "name", "caught"} <= body["negative_controls"][0].keys()
    assert body["false_alarms"][0]["alarms"] == 0
    assert body["claims"][1]["lower_bound"] is None
    assert body["claims"][1]["holds"] is False


@pytest.mark.audit
def test_the_whole_audit_over_twenty_seeds() -> None:
    assert FALSE_ALARM_SEEDS >= 20
    assert FIRST_CONTROL_SEED >= FALSE_ALARM_SEEDS
    findings = run_suite(control_seeds=2)
    assert findings.passed, render(findings)
    assert {c.instrument for c in findings.claims if c.power} == {"mechanism", "crowd", "recount", "canaries"}
    assert all(f.alarms == 0 for f in findings.false_alarms), render(findings)
