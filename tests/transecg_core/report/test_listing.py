"""``people.csv``: the one place that says whose a code is."""

from __future__ import annotations

import csv
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from transecg_core.report.listing import PEOPLE, write_people
from transecg_core.risk.codes import person_codes


def context() -> Any:
    beats = np.arange(6, dtype=np.int64)
    windows = SimpleNamespace(
        rpeak_B=beats, rpeak_record_B=beats.astype(np.int32), r_sample_N=beats, participants=("=p0", "p1")
    )
    return SimpleNamespace(sites=(SimpleNamespace(name="a", windows=windows),), strangers=False)


def test_codes_are_told_to_those_who_hold_the_data(tmp_path) -> None:
    ctx = context()
    first, second = person_codes(ctx.sites[0])
    people = [
        {"site": "a", "participant": second, "group": "control", "protocol": None, "figures": {}},
        {"site": "a", "participant": first, "group": "member", "protocol": "x", "figures": {"margin": 0.25}},
    ]
    write_people(ctx, people, tmp_path)
    with (tmp_path / PEOPLE).open(newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["site", "participant", "code", "group", "protocol", "margin"],
            ["a", "p1", second, "control", "", ""],
            ["a", "'=p0", first, "member", "x", "0.250"],
        ]
    ctx.strangers = True
    with pytest.raises(ValueError, match="local"):
        write_people(ctx, [], tmp_path)
