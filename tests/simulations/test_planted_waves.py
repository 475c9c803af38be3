"""Planted components: how they are cut, ranked, kept and judged; the training is in the audit tier's tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulations.oracles import Scores
from simulations.planted_rows import admissions, line, oracle_table, read, recovered, recovery_table
from simulations.planted_waves import (
    MEANT,
    Found,
    MapFound,
    by_enrichment,
    config,
    exact_components,
    exactly_cut,
    ranked,
    wave,
)
from transecg_core.attribution import METHODS
from transecg_core.cohorts.schema import COMPONENT_CODE, SkipLog
from transecg_core.cohorts.synthetic import Plant, open_site
from transecg_core.cohorts.synthetic_plants import WAVE_PLANTS
from transecg_core.risk.context import AuditSite
from transecg_core.signals.schema import FS_HZ, R_OFFSET, WINDOW
from transecg_core.signals.windows import build_windows
from transecg_core.splits.protocols import split


@pytest.mark.parametrize("carrier", ["none", "PQ", "QRS"])
def test_exact_components_are_the_generators_own(carrier: str) -> None:
    plant = wave(carrier)
    code_L = exact_components(plant)
    assert set(code_L.tolist()) == {COMPONENT_CODE[name] for name in MEANT}
    (recording, *_) = open_site("synth-a", 2, 0, plant=plant).read(SkipLog())
    labels = recording.labels.component_T
    # The generator's R anchors are not told; the component borders of its labels are, at 500 Hz.
    assert labels is not None
    for name in ("P", "PQ", "QRS", "ST", "T"):
        longest = max(np.diff(np.flatnonzero(np.diff(labels == COMPONENT_CODE[name]))).min(), 0)
        assert (code_L == COMPONENT_CODE[name]).sum() == pytest.approx(longest / 500 * FS_HZ, abs=1)
    assert code_L[R_OFFSET] == COMPONENT_CODE["QRS"]


def test_cutting_exactly_changes_components_only() -> None:
    windows = build_windows(open_site("synth-a", 2, 0, plant=wave("none")))
    people = tuple(windows.participants)
    site = AuditSite("synth-a", windows, split(windows, "auto", 0), people, np.ones(2, dtype=bool))
    cut = exactly_cut(site, wave("none"))
    assert cut.windows.component_NL.shape == (len(windows), WINDOW)
    assert cut.windows.x_NL is windows.x_NL
    # The delineation agrees with the truth but for a few samples at the borders.
    assert (cut.windows.component_NL == windows.component_NL).mean() > 0.9


def test_components_are_ranked_and_ties_keep_the_order_of_a_beat() -> None:
    found = ranked({"P": 1.0, "PQ": 0.0, "QRS": 2.0, "ST": 0.0, "T": -1.0, "TP": 0.5})
    assert found.order == ("QRS", "P", "TP", "PQ", "ST", "T")
    assert [found.rank(name) for name in ("QRS", "T")] == [1, 6]


def test_a_component_that_no_window_has_is_never_first() -> None:
    rows = {name: {"enrichment": None if name == "P" else 0.5} for name in (*MEANT, "undefined")}
    rows["undefined"]["enrichment"] = 9.0
    assert by_enrichment(rows).order[-1] == "P"


def ranking(first: str):
    return ranked({name: 3.0 if name == first else 0.5 for name in MEANT})


def outcome(
    carrier: str = "T", leads: str = "T", shown: bool = True, drop: str = "T", seed: int = 0
) -> Found:
    sure = Scores(np.ones(30), tuple(map(str, range(30))))
    chance = Scores(np.linspace(0, 1, 30), sure.person_Q)
    maps = {method: MapFound(ranking(leads), ranking(leads), shown, "why") for method in METHODS}
    maps["cls-attention"] = MapFound(ranking("QRS"), ranking("TP"), False, "why")
    people = {fill: ranking(drop) for fill in ("people", "mean")}
    return Found(wave(carrier), seed, (sure,), (chance,), (sure,), maps, people)


def test_a_plant_is_recovered_only_by_all_shown_claims_and_by_knock_out_on_all_seeds() -> None:
    assert recovered([outcome(), outcome(seed=1)])
    assert not recovered([outcome(), outcome(seed=1, leads="ST")])
    assert not recovered([outcome(drop="TP")])
    assert not recovered([outcome(shown=False)])


def test_methods_that_carry_no_claim_decide_nothing() -> None:
    one = outcome()
    assert one.maps["cls-attention"].exact.rank("T") > 1
    assert recovered(
        [replace(one, maps=one.maps | {"random": MapFound(ranking("P"), ranking("P"), True, "")})]
    )


def test_lines_are_read_back_as_written() -> None:
    one = outcome(seed=3)
    again = read(line(one))
    assert (again.plant, again.seed, again.maps, again.knockout) == (one.plant, 3, one.maps, one.knockout)
    np.testing.assert_array_equal(again.rest[0].above_Q, one.rest[0].above_Q)
    assert again.rest_delineated[0].person_Q == one.rest_delineated[0].person_Q


def test_tables_say_what_leads_where_it_is_wrong_and_who_is_admitted() -> None:
    chosen = {"T": [outcome(), outcome(seed=1, drop="ST")], "none": [outcome("none", shown=False)]}
    admitted = admissions(chosen)
    assert list(admitted) == ["T"]
    assert admitted["T"].refused == ""
    assert admitted["T"].people == 60
    assert "| T | 0.08 | 60 | 1.00 [1.00, 1.00] | 0.50 [" in oracle_table(chosen, admitted)
    table = recovery_table(chosen)
    assert "| cls-attention | (QRS 3.0 (T 5 of 6), delineated TP, greyed);" in table
    assert "| **occlusion** | T 3.0; T 3.0 | (T 3.0, greyed) |" in table
    assert "| **knock-out, people** | T 3.00; ST 3.00 (T 5 of 6) | T 3.00 |" in table


def test_strengths_and_plants_are_declared_for_every_component() -> None:
    for carrier in (*WAVE_PLANTS, "none"):
        assert wave(carrier).strict
    assert not Plant("T").strict
    assert config(1, **{"local-steps": 2}).steps == 2
