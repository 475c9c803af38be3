"""When the maps of a task together may name components, and within which limits: rules on the report's figures alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import floor
from typing import Any, NamedTuple

from transecg_core.attribution.judgement import NULL_MODELS, leader
from transecg_core.attribution.methods import BY_COMPONENT, CLAIM_METHODS, CLAIM_PATCH, FAMILIES

KEPT = 0.8
"""Share of the draws with moved boundaries, and of the retrained models, that must put a claimed component first."""

POSSIBLE_FILLS = ("people", "mean")
"""Fills of the knock-out that must put a claimed component first; the others make beats that no heart makes."""

OTHER_FILLS = ("bridge", "zero")
"""Fills whose first component is told where it is another one."""

Entry = Mapping[str, Any]
"""One method's entry of the report's ``attribution`` of a task."""


class Claim(NamedTuple):
    """What the maps of one task may name.

    Attributes
    ----------
    component
        The one that comes first, told apart from every other by every shown map; None where none is.
    components
        All that lie above their share of the time in every shown map, the largest first; empty where nothing
        may be said.
    why
        The evidence and the limits of the claim, or every reason that stands against it, in plain words.
    """

    component: str | None
    components: tuple[str, ...]
    why: str


def claim(entry_by_method: Mapping[str, Entry], patch: int | None) -> Claim:
    """Return which components the maps of one task may name, and why, or why none.

    The claim-carrying maps that are shown are used. Any of these stands against a claim:

    - another `patch` than `CLAIM_PATCH`;
    - a family (gradient, perturbation) without a shown map;
    - a used map whose largest component isn't the others' too, or whose interval (for all components at once) isn't above 1;
    - a used map that keeps the component first in less than `KEPT` of the draws with moved boundaries, or of the
      retrained models; or no used map with moved boundaries at all;
    - a knock-out by one of `POSSIBLE_FILLS` that puts another component first, shown or not.

    What else was not measured is told as a limit. Maps that are greyed have no vote, but are counted.

    Parameters
    ----------
    entry_by_method
        Method -> its entry of the report's ``attribution[task]``, as read from JSON. Keys that reports
        before 1.4 don't have count as not measured.
    patch
        The run's samples per token; None if unknown.

    Returns
    -------
    Claim
        With one component if every used map tells it from all others: over the same people it has more, with the
        whole interval of the difference. Else with all that are above 1 in every used map, and none of them as the first.
    """
    shown = {
        family: [m for m in methods if m in entry_by_method and entry_by_method[m]["shown"]]
        for family, methods in FAMILIES.items()
    }
    used = {method: entry_by_method[method] for methods in shown.values() for method in methods}
    against = [] if patch == CLAIM_PATCH else [f"component claims need patch={CLAIM_PATCH}"]
    against += [f"no {family} map is shown" for family, methods in shown.items() if not methods]
    against += _unlike(used)
    first = next((leader(entry["components"]) for entry in used.values()), None)
    if first is not None:
        against += [*_unstable(used, first), *_refilled(entry_by_method, first)]
    if against or first is None:
        return Claim(None, (), "; ".join(against))
    others = [name for name in _known(used) if name != first]
    rivals = {name: by for name in others if (by := _not_told_apart(used, first, name))}
    named = [name for name in _known(used) if all(_above_one(entry, name) for entry in used.values())]
    named.sort(
        key=lambda name: (name != first, -min(e["components"][name]["enrichment"] for e in used.values()))
    )
    evidence = [_maps_used(entry_by_method, used, first), *_held(entry_by_method, used, first)]
    evidence += [f"{first} not told apart from {name} by {', '.join(by)}" for name, by in rivals.items()]
    evidence += [*_sometimes(used, named), *_unchecked(entry_by_method, used)]
    return Claim(None if rivals else first, tuple(named), "; ".join(evidence))


def _known(used: Mapping[str, Entry]) -> list[str]:
    """Return the components that some used map has a figure of, sorted."""
    parts = chain.from_iterable(entry["components"].items() for entry in used.values())
    return sorted({name for name, part in parts if name != "undefined" and part["enrichment"] is not None})


def _above_one(entry: Entry, component: str) -> bool:
    # Which components are named is chosen by the same figures, so their intervals must hold for all at once.
    # Reports without such intervals name none.
    interval = (entry["components"].get(component) or {}).get("joint95")
    return interval is not None and bool(interval[0] > 1)


def _unlike(used: Mapping[str, Entry]) -> list[str]:
    """Return where the maps have no leader above its share of the time, or not the same one."""
    named = {method: leader(entry["components"]) for method, entry in used.items()}
    out = [
        f"{method} puts no component clearly above its share of the time"
        for method, first in named.items()
        if first is None or not _above_one(used[method], first)
    ]
    if len(set(named.values())) > 1:
        out.append(
            f"the maps disagree: {', '.join(f'{method} says {first}' for method, first in named.items())}"
        )
    return out


def _unstable(used: Mapping[str, Entry], first: str) -> list[str]:
    """Return which maps lose the leader when boundaries move, or when the model is trained again."""
    jitter, seeds = _measured(used, _jitter_first), _measured(used, _seeds_first)
    out = [] if jitter else ["stability under moved boundaries was not measured"]
    return out + [
        f"{method} keeps {first} first in only {_percent(share)} of the {of_what}"
        for kept, of_what in ((jitter, "draws with moved boundaries"), (seeds, "models trained again"))
        for method, share in kept.items()
        if share < KEPT
    ]


def _refilled(entry_by_method: Mapping[str, Entry], first: str) -> list[str]:
    fills = _fills(entry_by_method)
    other = {fill: fills[fill] for fill in POSSIBLE_FILLS if fill in fills and fills[fill] != first}
    return [f"knocked out with fill {fill}, {name or 'none'} comes first" for fill, name in other.items()]


def _not_told_apart(used: Mapping[str, Entry], first: str, other: str) -> list[str]:
    """Return the maps in which the leader may have no more than another component, over the same people."""
    parts = {method: entry["components"].get(other) or {} for method, entry in used.items()}
    return [
        method
        for method, part in parts.items()
        if part.get("enrichment") is not None and not (part.get("behind") and part["behind"][0] > 0)
    ]


def _maps_used(entry_by_method: Mapping[str, Entry], used: Mapping[str, Entry], first: str) -> str:
    """Return by which maps, how many of all, and which greyed ones would have said otherwise."""
    greyed = {m: entry_by_method[m] for m in CLAIM_METHODS if m in entry_by_method and m not in used}
    tops = {method: leader(entry["components"]) for method, entry in greyed.items()}
    other = [f"{m} says {n}" for m, n in tops.items() if n not in (None, first) and _above_one(greyed[m], n)]
    said = f"by {', '.join(used)}: {len(used)} of {len(CLAIM_METHODS)} maps shown"
    return f"{said}, and greyed {', '.join(other)}" if other else said


def _held(entry_by_method: Mapping[str, Entry], used: Mapping[str, Entry], first: str) -> list[str]:
    """Return how firmly the leader stays first, and which impossible beats put another first."""
    out = [
        f"first in {_share(min(kept.values()))} {of_what}"
        for kept, of_what in (
            (_measured(used, _jitter_first), "draws with moved boundaries"),
            (_measured(used, _seeds_first), "models trained again"),
        )
        if kept
    ]
    fills = _fills(entry_by_method)
    other = [f"{fill} {fills[fill]}" for fill in OTHER_FILLS if fills.get(fill) not in (None, first)]
    return out + (
        [f"fills that make impossible beats put another first: {', '.join(other)}"] if other else []
    )


def _sometimes(used: Mapping[str, Entry], named: Sequence[str]) -> list[str]:
    """Return what is above its share of the time in some used maps only."""
    by = {name: [m for m, entry in used.items() if _above_one(entry, name)] for name in _known(used)}
    return [f"{name} too by {', '.join(m)} alone" for name, m in by.items() if m and name not in named]


def _unchecked(entry_by_method: Mapping[str, Entry], used: Mapping[str, Entry]) -> list[str]:
    """Return what was not measured, of all used maps or of some: the limits of the claim."""
    lacks = {
        f"against {whose}": [m for m, e in used.items() if e.get(key) is None or m in BY_COMPONENT]
        for key, whose in NULL_MODELS.items()
    }
    lacks["under moved boundaries"] = [m for m in used if m not in _measured(used, _jitter_first)]
    lacks["against knock-out"] = [m for m, e in used.items() if e.get("knockout_agreement") is None]
    lacks["over training seeds"] = [m for m in used if m not in _measured(used, _seeds_first)]
    out = [
        f"not checked {what}" + ("" if len(without) == len(used) else f" for {', '.join(without)}")
        for what, without in lacks.items()
        if without
    ]
    missing = [fill for fill in POSSIBLE_FILLS if fill not in _fills(entry_by_method)]
    return out + ([f"not checked with fill {', '.join(missing)}"] if missing else [])


def _measured(used: Mapping[str, Entry], figure: Callable[[Entry], float | None]) -> dict[str, float]:
    return {method: value for method, entry in used.items() if (value := figure(entry)) is not None}


def _jitter_first(entry: Entry) -> float | None:
    return (entry.get("stability") or {}).get("jitter_first")


def _seeds_first(entry: Entry) -> float | None:
    return ((entry.get("stability") or {}).get("seeds") or {}).get("first")


def _fills(entry_by_method: Mapping[str, Entry]) -> Mapping[str, str | None]:
    """Return fill -> first component: of whole components knocked out, which is measured whatever is shown."""
    entry = entry_by_method.get("component-occlusion") or {}
    return (entry.get("stability") or {}).get("fills") or {}


def _percent(share: float) -> str:
    """Return a share rounded down, so that `at least` and `only` hold."""
    return f"{floor(100 * share + 1e-9)} %"


def _share(share: float) -> str:
    return "all" if share >= 1 else f"at least {_percent(share)} of the"
