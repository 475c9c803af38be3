"""The page's part on people: the most exposed ones, how everybody is spread, and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transecg_core.report.html import drawing
from transecg_core.report.numbers import NOTHING, count, figure, interval
from transecg_core.report.svg import BLUE, INK, LINE, SOFT, svg
from transecg_core.report.words import plain_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = Mapping[str, Any]
Person = Mapping[str, Any]
WORST = 10
"""People in the table; people.csv and report.json hold all."""
WIDTH = 340
_PERCENTILE = "percentile, "
STRIPS = ("margin",)
_MARGIN = "similarity to the right person less that to the most similar wrong one, by the released encoder"
_ABOVE = "share of the site's people never trained on with a lower score"


def people_parts(report: Report) -> dict[str, Any]:
    """Return what the page shows of ``people_at_risk`` and ``risk_groups``."""
    people = report.get("people_at_risk", [])
    worst = sorted((p for p in people if p["figures"].get("rank-1") is not None), key=_danger)[:WORST]
    memberships = sorted({n for p in people for n in p["figures"] if n.startswith(_PERCENTILE)})
    return {
        "worst": [_row(person, memberships) for person in worst],
        "memberships": [name.removeprefix(_PERCENTILE) for name in memberships],
        "strips": _strips(people, memberships),
        "listed": count(len(people), "person").replace("persons", "people"),
        "certain": [_certain(row) for row in report["risks"] if _is_certain(row)],
        "groups": _groups(report.get("risk_groups", [])),
    }


def _danger(person: Person) -> tuple[float, float, float, str, str]:
    figures = person["figures"]
    keys = ("linked with certainty", "rank-1", "margin")
    first, second, third = (-float(figures.get(key) or 0.0) for key in keys)
    return first, second, third, person["site"], person["participant"]


def _row(person: Person, memberships: Sequence[str]) -> dict[str, Any]:
    figures = person["figures"]

    def show(name: str, metric: str = "") -> str:
        return figure(figures.get(name), metric)

    certain = figures.get("linked with certainty")
    return {
        "who": person["participant"], "site": person["site"], "group": person["group"],
        "protocol": person["protocol"] or NOTHING,
        "certain": NOTHING if certain is None else "yes" if certain else "no",
        "rank1": show("rank-1", "share"), "queries": count(int(figures.get("queries") or 0)),
        "rank": show("expected rank"), "margin": show("margin"), "signal": show("signal rank-1", "share"),
        "percentiles": [show(name, "share") for name in memberships],
    }  # fmt: skip


def _is_certain(row: Mapping[str, Any]) -> bool:
    return (
        row["metric"] == "share linked with certainty" and row["site"] == "pooled" and row["main"] is not None
    )


def _certain(row: Mapping[str, Any]) -> str:
    """Return ``the released encoder, other-session: 3 % (1 to 9 %) of 46 people; ...``."""
    who = plain_name(row["name"].partition(": ")[2])
    n = count(row["n_participants"], "person").replace("persons", "people")
    known = f"{figure(row['main'], 'share')} ({interval(row['ci95'], 'share')}) of {n}"
    control = (
        "" if row["control"] is None else f"; of people never trained on {figure(row['control'], 'share')}"
    )
    return f"{who}, {row['protocol']}: {known}{control}"


def _strips(people: Sequence[Person], memberships: Sequence[str]) -> list[dict[str, Any]]:
    out = []
    for number, name in enumerate((*STRIPS, *memberships)):
        known = [p for p in people if p["figures"].get(name) is not None]
        if len(known) < 2:
            continue
        title = name.removeprefix(_PERCENTILE)
        about = _MARGIN if name == "margin" else _ABOVE
        panel = _strip(f"strip-{number}", name, known)
        out.append({"title": plain_name(title), "about": about, "svg": drawing(panel)})
    return out


_LANES = ("member", "control", "neither", "everybody")


def _strip(name: str, of: str, people: Sequence[Person]) -> str:
    """Return one dot per person, a lane per group: filled for members, hollow for people never trained on."""
    lanes = [lane for lane in _LANES if any(p["group"] == lane for p in people)]
    height = 44 * len(lanes) + 30

    def draw(fig: Figure) -> None:
        ax = fig.add_axes((0.2, 24 / height, 0.77, 1 - 26 / height))
        values = [float(p["figures"][of]) for p in people]
        low, high = min(0.0, *values), max(1.0, *values)
        ax.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
        ax.set_ylim(-len(lanes) + 0.5, 0.5)
        for tick in ax.get_xticks():
            ax.axvline(tick, color=LINE, linewidth=0.5, zorder=0)
        for place, lane in enumerate(lanes):
            own = sorted(float(p["figures"][of]) for p in people if p["group"] == lane)
            y = [-place + offset for offset in _spread(own, (high - low) / 45)]
            ax.plot(own, y, "o", markersize=3.2, color=BLUE if lane != "control" else INK, alpha=0.75,
                    markerfacecolor="white" if lane == "control" else BLUE, markeredgewidth=0.8)  # fmt: skip
            middle = own[len(own) // 2]
            ax.plot([middle] * 2, [-place - 0.36, -place + 0.36], color=SOFT, linewidth=1.1, zorder=0)
        ax.set_yticks([-i for i in range(len(lanes))], lanes)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.spines["left"].set_visible(False)

    return svg(name, f"{of} of {len(people)} people, one dot each", WIDTH, height, draw)


def _spread(values: Sequence[float], width: float) -> list[float]:
    """Return a vertical offset for each of the ascending values, so that equal ones stand apart."""
    out: list[float] = []
    start, place = -float("inf"), 0
    for value in values:
        start, place = (start, place + 1) if value - start < width else (value, 0)
        step = (place + 1) // 2 * (1 if place % 2 else -1)
        out.append(0.06 * ((step + 5) % 11 - 5))
    return out


def _groups(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table of groups: attribute and group down, with the signal's and the encoder's figures."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in groups:
        line = lines.setdefault((row["attribute"], row["group"]), {"A": None, "B": None})
        line[row["kind"]] = {
            "main": figure(row["main"], row["metric"]), "ci": interval(row["ci95"], row["metric"]) if row["ci95"] else "",
            "control": figure(row["control"], row["metric"]), "n": count(row["n_participants"]),
            "controls": count(row["n_controls"]), "note": row["notes"] if row["main"] is None else "",
        }  # fmt: skip
    spans: dict[str, int] = {}
    for attribute, _ in lines:
        spans[attribute] = spans.get(attribute, 0) + 1
    out = []
    for (attribute, group), line in lines.items():
        out.append({"attribute": attribute, "group": group, "span": spans.pop(attribute, 0), **line})
    first = {kind: next((row for row in groups if row["kind"] == kind), None) for kind in "AB"}
    floor, model = first["A"], first["B"]
    return {
        "rows": out,
        "protocol": groups[0]["protocol"] if groups else "",
        "floor": plain_name(floor["name"]) if floor else "",
        "model": plain_name(model["name"]) if model else "",
    }
