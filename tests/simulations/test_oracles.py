"""Oracles: they find identity where it is, are at chance where it isn't, and refuse what they must."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from simulations.oracles import Scores, admission, oracle
from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.risk.context import AuditSite

PEOPLE, BEATS, LENGTH = 24, 12, 60
CODE_L = np.repeat([COMPONENT_CODE[name] for name in ("P", "QRS", "T")], LENGTH // 3).astype(np.uint8)


def site(identity_in: str | None, seed: int = 0, stray: float = 0.0) -> AuditSite:
    """Return windows of noise with a person's shape in one component, and `stray` of it elsewhere."""
    rng = np.random.default_rng(seed)
    own_PL = rng.normal(size=(PEOPLE, LENGTH))
    inside_L = CODE_L == COMPONENT_CODE[identity_in] if identity_in else np.zeros(LENGTH, dtype=bool)
    own_PL *= np.where(inside_L, 1.0, stray)
    owner_N = np.repeat(np.arange(PEOPLE), 2 * BEATS)
    x_NL = own_PL[owner_N] + rng.normal(size=(len(owner_N), LENGTH))
    gallery_N = np.tile(np.repeat([True, False], BEATS), PEOPLE)
    windows = SimpleNamespace(
        x_NL=x_NL.astype(np.float32),
        component_NL=np.tile(CODE_L, (len(x_NL), 1)),
        participant_N=owner_N,
        participants=tuple(f"p{p}" for p in range(PEOPLE)),
    )
    parts: Any = SimpleNamespace(
        windows=windows,
        split=SimpleNamespace(gallery_N=gallery_N, probes={"other-session": ~gallery_N}),
        person_P=tuple(f"person {p}" for p in range(PEOPLE)),
    )
    return cast(AuditSite, parts)


def asked(one: AuditSite, carrier: str) -> tuple[list[Scores], list[Scores]]:
    return [oracle(one, True, carrier)], [oracle(one, False, carrier)]


def test_identity_in_one_component_is_admitted_there_and_refused_elsewhere() -> None:
    planted = site("QRS")
    found = admission(*asked(planted, "QRS"))
    assert found.refused == ""
    assert found.inside.value == 1.0
    assert found.people == PEOPLE
    assert "does not identify people" in admission(*asked(planted, "T")).refused


def test_identity_that_strays_is_refused() -> None:
    assert (
        admission(*asked(site("QRS", stray=0.5), "QRS")).refused
        == "the rest of the window identifies people too"
    )


def test_without_identity_nothing_is_admitted_and_chance_is_one_half() -> None:
    shares = [oracle(site(None, seed), False, "T").above_Q.mean() for seed in range(6)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
    assert admission(*asked(site(None), "T")).refused


def test_samples_that_do_not_count_change_nothing() -> None:
    one, other = site("QRS"), site("QRS")
    cast(Any, other).windows.x_NL[:, CODE_L == COMPONENT_CODE["T"]] += 7.0
    np.testing.assert_allclose(oracle(one, True, "QRS").above_Q, oracle(other, True, "QRS").above_Q)


def test_seeds_pool_and_a_person_at_two_sites_counts_once() -> None:
    one = Scores(np.array([1.0, 1.0, 0.0]), ("a", "b", "c"))
    two = Scores(np.array([0.0, 1.0]), ("a", "d"))
    assert admission([one, two], [one, two]).people == 4
    assert admission([one, two], [one, two]).inside.value == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert admission([one, two], [one, two], worlds=[0, 1]).people == 5


def test_more_people_detect_less() -> None:
    rng = np.random.default_rng(0)
    few, many = (Scores(rng.random(n), tuple(map(str, range(n)))) for n in (20, 400))
    assert 0.5 < admission([many], [many]).detectable < admission([few], [few]).detectable
    # Of uniform scores, whose standard deviation is 0.29, 400 people show 2.8 x 0.29 / 20.
    assert admission([many], [many]).detectable == pytest.approx(0.54, abs=0.005)
