"""Which rows of the risk table stand for the three kinds, by fixed rules.

The rules never look at how large a figure is among equals, with one exception: of the
signal-only methods (A) the *strongest* counts, because an attacker would take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transecg_core.report.families import family_of
from transecg_core.risk.protocols import LEAKY, judged_by

Row = Mapping[str, Any]

POOLED = "pooled"


@dataclass(frozen=True)
class Headline:
    """The rows the verdict speaks of; None where nothing was measured.

    Attributes
    ----------
    floor
        A: the strongest signal-only method.
    random_init
        A: the untrained encoder.
    model
        B: identification by the released encoder, same protocol and metric as `floor`.
    gain_floor, gain_random, gain_start
        B: paired differences on the same people, to the strongest signal-only method, to the
        untrained encoder, and to the pretrained weights that training started from.
    membership
        C: telling members from controls.
    """

    floor: Row | None
    random_init: Row | None
    model: Row | None
    gain_floor: Row | None
    gain_random: Row | None
    gain_start: Row | None
    membership: Row | None

    @property
    def protocol(self) -> str | None:
        """Protocol of the identification rows."""
        row = self.model or self.floor or self.random_init
        return None if row is None else str(row["protocol"])


def is_random_init(row: Row) -> bool:
    """Return whether a row is about the untrained encoder."""
    name = str(row["name"]).lower().replace("_", "-").replace(" ", "-")
    return "random-init" in name or "untrained" in name


def is_pretrained_start(row: Row) -> bool:
    """Return whether a row is about the pretrained weights that training started from."""
    return str(row["name"]).endswith("pretrained-start")


def measured(row: Row) -> bool:
    """Return whether a row holds a figure."""
    return row["main"] is not None


def _rank1(rows: Iterable[Row], kind: str) -> list[Row]:
    return [
        row
        for row in rows
        if row["kind"] == kind
        and row["site"] == POOLED
        and _is_rank1(row)
        and family_of(row).key in ("signal", "untrained", "identification", "other")
    ]


def _is_rank1(row: Row) -> bool:
    return str(row["metric"]).lower().replace(" ", "-").startswith("rank-1")


def pick_protocol(rows: Iterable[Row]) -> str | None:
    """Return the protocol to judge by: the hardest with enough people, else the one with most; leaky last."""
    people: dict[str, int] = {}
    for row in rows:
        if measured(row):
            n = int(row["n_participants"] or 0)
            people[row["protocol"]] = max(people.get(row["protocol"], 0), n)
    return judged_by(people)


def headline(risks: Iterable[Row]) -> Headline:
    """Return the rows that stand for A, B and C."""
    rows = list(risks)
    floors, models = _rank1(rows, "A"), _rank1(rows, "B")
    protocol = pick_protocol(models) or pick_protocol(floors)
    at = [row for row in floors if row["protocol"] == protocol and measured(row)]
    signal = [row for row in at if not is_random_init(row) and not is_pretrained_start(row)]
    return Headline(
        floor=max(signal, key=lambda row: float(row["main"]), default=None),
        random_init=next((row for row in at if is_random_init(row)), None),
        model=next((row for row in models if row["protocol"] == protocol and measured(row)), None),
        gain_floor=_gain(rows, protocol, "floor"),
        gain_random=_gain(rows, protocol, "random-init"),
        gain_start=_gain(rows, protocol, "pretrained-start"),
        membership=_membership(rows),
    )


def _gain(rows: list[Row], protocol: str | None, over: str) -> Row | None:
    for row in rows:
        metric = str(row["metric"]).lower()
        at = (row["kind"], row["site"], row["protocol"]) == ("B", POOLED, protocol)
        at = at and family_of(row).key in ("identification", "other")
        if at and metric.startswith("gain") and over in metric and row["ci95"] is not None:
            return row
    return None


def _membership(rows: list[Row]) -> Row | None:
    """Return the membership AUC of the released model, measured if there is one."""
    candidates = [
        row
        for row in rows
        if row["kind"] == "C" and row["site"] == POOLED and "auc" in str(row["metric"]).lower()
    ]
    usual = ("membership", "shadow")
    candidates.sort(
        key=lambda row: (
            *(not measured(row), row["observer"] != "released-model"),
            usual.index(key) if (key := family_of(row).key) in usual else len(usual),
        )
    )
    return candidates[0] if candidates else None


def is_leaky(report: Mapping[str, Any]) -> bool:
    """Return whether any figure comes from the leaky random-window protocol."""
    asked = report["manifest"]["config"].get("protocol") == LEAKY
    return asked or any(row["protocol"] == LEAKY for row in report["risks"])


def has_guarantee(report: Mapping[str, Any]) -> bool:
    """Return whether every site trained with noise."""
    privacy = report["privacy"]
    sites = privacy["sites"]
    return (
        privacy["unit"] in ("window", "participant")
        and bool(sites)
        and all((site["sigma"] or 0) > 0 for site in sites)
    )
