"""Groups in a shareable report: nobody's small group is told, nor follows from the others."""

from __future__ import annotations

import pytest

from transecg_core.report.groups import risk_groups
from transecg_core.risk.findings import GroupRisk


def group(name: str, n: int, controls: int = 0) -> GroupRisk:
    kind = "B" if controls else "A"
    attack = "identification" if controls else "pca"
    return GroupRisk(
        "age band", name, attack, kind, "o", "p", "rank-1", 0.5, 0.4, 0.3, (0.2, 0.8), n, controls, ""
    )


@pytest.mark.parametrize(
    ("groups", "hidden"),
    [
        ((group("<35", 30), group("35-59", 10)), ""),
        ((group("<35", 30), group("35-59", 14), group(">=60", 9)), "35-59 >=60"),
        ((group("<35", 9), group("35-59", 14), group(">=60", 9)), "<35 >=60"),
        ((group("<35", 30, 9), group("35-59", 14, 14), group(">=60", 16, 15)), "<35 35-59"),
        ((group("<35", 30, 10), group("35-59", 14, 14)), ""),
        ((group("<35", 30), group("35-59", 4)), "<35 35-59"),
    ],
    ids=["none", "one, and the next", "two", "few controls", "enough controls", "two groups"],
)
def test_small_groups_are_suppressed_and_do_not_follow_from_the_rest(groups, hidden) -> None:
    rows = risk_groups(groups, shareable=True)
    gone = [row["group"] for row in rows if row["notes"].startswith("suppressed")]
    assert " ".join(gone) == hidden
    for row in rows:
        figures = [
            row[name] for name in ("main", "control", "baseline", "ci95", "n_participants", "n_controls")
        ]
        assert (figures == [None] * 6) == (row["group"] in gone)


def test_those_who_hold_the_data_see_every_group() -> None:
    (row,) = risk_groups((group(">=60", 5),), shareable=False)
    assert (row["main"], row["ci95"], row["n_participants"]) == (0.5, [0.2, 0.8], 5)


def test_each_attack_of_an_attribute_is_a_table_of_its_own() -> None:
    rows = risk_groups(
        (group("<35", 30), group("35-59", 14), group("<35", 15, 15), group("35-59", 3, 11)), shareable=True
    )
    assert [row["main"] is None for row in rows] == [False, False, True, True]
