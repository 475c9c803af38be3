"""What a run can measure on one site's data, asked of the code that would measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import SiteSource
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.risk.estimate import MIN_PEOPLE
from transecg_core.risk.thresholds import MIN_CONTROLS
from transecg_core.signals.schema import Windows
from transecg_core.sites import split_site
from transecg_core.splits.protocols import PROTOCOLS, split

DEFAULT = "auto"
SPLITS = tuple(name for name in PROTOCOLS if name != DEFAULT)
DISJOINT = "participant-disjoint"
MEMBERSHIP = "membership"
NAMES = (DEFAULT, *SPLITS, DISJOINT, MEMBERSHIP)
_MISSING = {
    DEFAULT: "nobody has two sessions, two records, or one long enough for a gap of one window",
    "random-window": "nobody has two usable heartbeats",
    "later-in-record": "no record is long enough for a gap of one window",
    "other-record": "no second record of anybody",
    "other-session": "no second session of anybody",
}


@dataclass(frozen=True)
class Verdict:
    """Whether a run can measure something on this site's data, and why."""

    measurable: bool
    reason: str


def measurable(source: SiteSource, windows: Windows | None) -> Mapping[str, Verdict]:
    """Return protocol -> verdict.

    Parameters
    ----------
    source
        The site.
    windows
        Its windows; None if nothing was usable.

    Returns
    -------
    Mapping
        ``auto``, which a run takes by default and which gives several at once; each of the four ways to
        identify a person, chosen alone; ``participant-disjoint`` (labels learned on some people
        and scored on others) and ``membership`` (who was trained on, kind C).
    """
    if windows is None:
        return dict.fromkeys(NAMES, Verdict(False, "no usable record"))
    people = len({source.person(participant) for participant in windows.participants})
    found = {name: _identification(source, windows, name, people) for name in (DEFAULT, *SPLITS)}
    found[DISJOINT] = Verdict(
        people > 1,
        f"{people} people to keep apart" if people > 1 else "one person only, nobody to keep apart",
    )
    found[MEMBERSHIP] = _membership(people)
    return found


def _identification(source: SiteSource, windows: Windows, protocol: str, people: int) -> Verdict:
    if people < 2:
        return Verdict(False, "one person only, nobody to be confused with")
    try:
        roles = split(windows, protocol, seed=0)
    except ValueError as error:
        return Verdict(False, f"refused: {error}")
    probed = {name: _people(source, windows, mask_N) for name, mask_N in roles.probes.items()}
    if not any(probed.values()):
        return Verdict(False, _MISSING[protocol])
    if protocol == DEFAULT:
        counts = ", ".join(f"{name} of {count}" for name, count in probed.items())
        return Verdict(True, f"what a run takes by default: probes {counts}; of {people} people")
    reason = f"probes of {probed[protocol]} of {people} people, if chosen alone"
    if probed[protocol] < MIN_PEOPLE:
        reason += f"; fewer than {MIN_PEOPLE}: no figure of this site's own, they count in the pooled one"
    return Verdict(True, reason + ("; LEAKY, for comparison only" if roles.leaky else ""))


def _people(source: SiteSource, windows: Windows, mask_N: np.ndarray) -> int:
    return len({source.person(windows.participants[p]) for p in np.unique(windows.participant_N[mask_N])})


def refused(source: SiteSource, windows: Windows) -> str:
    """Return why a run with the default options would refuse the site, in its own words; empty if it would not.

    One person is refused whatever the coin of this seed: another seed's leaves nobody.
    """
    if len({source.person(participant) for participant in windows.participants}) < 2:
        return "one person only: the audit split may leave nobody to train on; add people or audit-split=none"
    try:
        split_site(parse({}), source, windows)
    except UserError as error:
        return str(error).removeprefix(f"site '{source.name}': ")
    return ""


def _membership(people: int) -> Verdict:
    """About half of the people are held out by the coin, and a figure needs `MIN_PEOPLE` on either side."""
    need, halves = 2 * MIN_PEOPLE, people // 2
    if people < need:
        return Verdict(False, f"{people} people; about {need} are needed, half of them held out of training")
    reason = f"about {halves} people held out as controls"
    if halves < MIN_CONTROLS:
        reason += f"; true positive rates need {MIN_CONTROLS} over all sites"
    return Verdict(True, reason)


def summary(verdicts: Mapping[str, Verdict]) -> str:
    """Return in one line which identification is possible at best."""
    names = ("other-session", "other-record", "later-in-record")
    can = [name for name in names if name in verdicts and verdicts[name].measurable]
    lacks = [word for name, word in zip(names, ("session", "record"), strict=False) if name not in can]
    if not can:
        return "no honest identification can be measured here"
    if lacks:
        return f"no second {' or '.join(lacks)}: only {' and '.join(can)} identification"
    return f"identification: {', '.join(can)}"
