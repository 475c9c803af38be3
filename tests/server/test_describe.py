"""What a site says about itself is checked before it is believed, and before any training."""

from __future__ import annotations

import json

import pytest

from server.run import read_facts
from transecg_core.errors import UserError

GOOD = {
    "name": "a",
    "participants": 3,
    "trained_on": 2,
    "records": 9,
    "sessions": 6,
    "windows": 90,
    "skipped": {"x": 1},
}


def test_an_honest_description_is_read() -> None:
    assert read_facts("a", json.dumps(GOOD)) == GOOD
    little = {"name": "a", "participants": 3, "windows": None}
    assert read_facts("a", json.dumps(little)) == {**little, "trained_on": None}


@pytest.mark.parametrize(
    "facts",
    [
        "{", "[]", "null", "[" * 9000, json.dumps(GOOD | {"name": "b"}), json.dumps(GOOD | {"windows": -1}),
        json.dumps(GOOD | {"windows": "9" * 9}), json.dumps(GOOD | {"windows": 1e400}), json.dumps(GOOD | {"extra": 1}),
        json.dumps(GOOD | {"records": True}), json.dumps(GOOD | {"skipped": [1]}),
        json.dumps(GOOD | {"skipped": {"\ud800": 1}}),
        json.dumps(GOOD | {"skipped": {"a\nb": 1}}), "9" * 5000,
        json.dumps(GOOD | {"trained_on": 4}),
        json.dumps(GOOD | {"participants": 0}), json.dumps(GOOD | {"skipped": {"x": "<script>"}}),
        json.dumps(GOOD | {"skipped": {"x" * 20_001: 1}}),
    ],
)  # fmt: skip
def test_a_hostile_description_is_refused_by_the_sites_name(facts: str) -> None:
    with pytest.raises(UserError, match="site 'a'"):
        read_facts("a", facts)
