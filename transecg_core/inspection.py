"""What a site's data is, what can and can't be measured on it, and whether it keeps the contract.

This is the contract test for cohorts: it works on anything that is a `SiteSource`. What it returns
names records and people, and so stays where the data is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from transecg_core.cohorts.contract import Contract, Problem
from transecg_core.cohorts.reader import natural
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.errors import NothingUsable, UserError
from transecg_core.inspection_facts import facts, odd_rates
from transecg_core.measurable import Verdict, measurable, refused
from transecg_core.signals.schema import Windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits.duplicates import DuplicatePair, near_duplicates

Say = Callable[[str], None]
LEFT_OUT = ("record:", "file:")
"""How the reasons begin for which a whole record is not used."""
PARTS = ("window:", "beat:")
"""How the reasons begin for which a part of a record is not used."""


@dataclass(frozen=True)
class Copy:
    """A record of the site that holds the same waveform as another, there or at another site.

    ``same_person``: both are filed under one person, as two readings of one file would be; otherwise
    somebody has two ids, or a record is filed under the wrong person.
    """

    record: str
    other_site: str
    other_record: str
    same_person: bool
    correlation: float


@dataclass(frozen=True)
class Inspection:
    """What was found at one site. Counts are those of a run: records and people with a usable heartbeat.

    Attributes
    ----------
    roster
        People on the site's list, usable or not: the public constant of every privacy claim.
    sessions
        Days on which somebody was recorded, summed over people; ``second_session``: people with two or more.
    rates, leads
        Sampling rate in Hz, and lead read -> records.
    duration_s
        Shortest, median and longest record.
    heart_rates
        Least, median and greatest of the records' median heart rates, per minute.
    labels
        Task -> class -> people (``beat``: windows); ``unknown`` where a label is missing.
    skipped, kept
        (record, reason): not used at all; used with a remark.
    left_out
        Reason -> windows and beats not used of records that are.
    measurable
        Protocol -> whether a run can measure it here, and why.
    refused
        Why a run with the default options would refuse the site; empty if it would not.
    duplicates
        Records that are copies of others, of the sites inspected together.
    problems
        Broken promises of the data or its reader; a site without any keeps the contract.
    """

    site: str
    roster: int = 0
    participants: int = 0
    records: int = 0
    sessions: int = 0
    second_session: int = 0
    windows: int = 0
    rates: Mapping[str, int] = field(default_factory=dict)
    leads: Mapping[str, int] = field(default_factory=dict)
    duration_s: tuple[float, float, float] | None = None
    heart_rates: tuple[float, float, float] | None = None
    ages: tuple[float, float, float] | None = None
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    measurable: Mapping[str, Verdict] = field(default_factory=dict)
    refused: str = ""
    duplicates: tuple[Copy, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether a run would take it and no promise was broken; skipped records are no flaw."""
        return self.records > 0 and not self.problems and not self.refused

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values; skips as a list of ``record`` and ``reason``."""
        pairs = {
            name: [{"record": record, "reason": reason} for record, reason in getattr(self, name)]
            for name in ("skipped", "kept")
        }
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return body | pairs


def _quiet(_line: str) -> None:
    return None


def inspect_source(source: SiteSource, say: Say = _quiet) -> Inspection:
    """Read a site twice, cut its windows, and say what was found.

    Parameters
    ----------
    source
        The site, from any reader.
    say
        Is told the progress, record by record.
    """
    return inspect_sites((source,), say)[0]


def inspect_sites(sources: Sequence[SiteSource], say: Say = _quiet) -> tuple[Inspection, ...]:
    """Inspect sites of different names, and look for copies across them; see `inspect_source`."""
    examined = [_examined(source, say) for source in sources]
    pairs = near_duplicates([(found.site, windows) for found, windows in examined if windows is not None])
    people = {source.name: source for source in sources}
    return tuple(replace(found, duplicates=_copies(found.site, pairs, people)) for found, _ in examined)


def _copies(site: str, pairs: Sequence[DuplicatePair], sources: Mapping[str, SiteSource]) -> tuple[Copy, ...]:
    """Return the pairs with a record of `site`, told from its side."""
    found = []
    for p in pairs:
        same = sources[p.site_a].person(p.participant_a) == sources[p.site_b].person(p.participant_b)
        if p.site_a == site:
            found.append(Copy(p.record_a, p.site_b, p.record_b, same, p.correlation))
        elif p.site_b == site:
            found.append(Copy(p.record_b, p.site_a, p.record_a, same, p.correlation))
    return tuple(found)


def _examined(source: SiteSource, say: Say) -> tuple[Inspection, Windows | None]:
    watched = _Watched(source, say)
    try:
        windows = build_windows(replace(source, read=watched.read))
    except UserError:  # nothing usable: the skips and problems say why
        windows = None
    contract, skips = watched.contract, watched.own
    contract.finish(skips)
    _read_again(source, contract, skips, say)
    found = _noted(source, watched.log, windows)
    found = replace(found, left_out={r: n for r, n in watched.log.counts().items() if r.startswith(PARTS)},
                    problems=tuple(contract.problems))  # fmt: skip
    if windows is not None:
        found = replace(found, **facts(source, windows, watched.rates), refused=refused(source, windows),
                        kept=(*found.kept, *odd_rates(windows)))  # fmt: skip
    return found, windows


def _noted(source: SiteSource, log: SkipLog, windows: Windows | None = None) -> Inspection:
    """Return an inspection with what was noted of records, and what can be measured."""
    noted = sorted(dict.fromkeys(log.items), key=lambda item: natural(item[0]))
    return Inspection(
        site=source.name,
        roster=source.people,
        skipped=tuple(item for item in noted if item[1].startswith(LEFT_OUT)),
        kept=tuple(item for item in noted if not item[1].startswith((*LEFT_OUT, *PARTS))),
        measurable=measurable(source, windows),
    )


def unusable(site: str, error: UserError) -> Inspection:
    """Return what to say about a site that can't even be opened, with every record's reason if that is why."""
    log = SkipLog()
    for record, reason in error.skips if isinstance(error, NothingUsable) else ():
        log.add(record, reason)
    found = _noted(SiteSource(site, "real", lambda skips: iter(()), "", 0, ()), log)
    if found.skipped:
        problem = Problem("", "no record can be opened", "mend the skipped records; then inspect again")
    else:
        problem = Problem("", str(error), "mend this first; then inspect again")
    return replace(found, problems=(problem,))


def no_site(site: str, what: str, remedy: str) -> Inspection:
    """Return what to say about a folder of recordings that a run would not take for a site."""
    return replace(unusable(site, UserError("")), problems=(Problem("", what, remedy),))


class _Watched:
    """The first reading of a site: what `build_windows` sees goes through here."""

    def __init__(self, source: SiteSource, say: Say) -> None:
        self.source, self.say = source, say
        self.contract = Contract(source)
        self.own = SkipLog()
        self.log = SkipLog()
        self.rates: dict[str, float] = {}
        self._told = 0

    def read(self, skips: SkipLog) -> Iterator[Recording]:
        """Yield the sound recordings; `skips` also takes what the cutting of windows leaves out."""
        self.log = skips
        for number, recording in enumerate(_guarded(self.source, self.own, self.contract), start=1):
            self._pass_on(skips)
            self.say(f"{self.source.name}: {number} records read")
            if self.contract.see(recording):
                self.rates[recording.record] = recording.fs_hz
                yield recording
        self._pass_on(skips)

    def _pass_on(self, skips: SkipLog) -> None:
        """Give the run's log what the reader noted since."""
        skips.items.extend(self.own.items[self._told :])
        self._told = len(self.own.items)


def _guarded(source: SiteSource, skips: SkipLog, contract: Contract) -> Iterator[Recording]:
    """Read a site; whatever its reader raises ends the reading and breaks the contract."""
    try:
        yield from source.read(skips)
    except Exception as error:  # a third party's code: anything may come, and the user must learn what
        what = f"reading stopped: {type(error).__name__}: {' '.join(str(error).split())}"
        contract.broken("", what[:300], "a reader yields a recording or notes a skip; it never raises")


def _read_again(source: SiteSource, contract: Contract, skips: SkipLog, say: Say) -> None:
    """Compare with a second reading: caches and audits rest on equal bytes."""
    if any(problem.what.startswith("reading stopped") for problem in contract.problems):
        return
    second, again = Contract(source), SkipLog()
    for number, recording in enumerate(_guarded(source, again, second), start=1):
        say(f"{source.name}: {number} records read a second time")
        second.see(recording)
    if second.digests != contract.digests or again.items != skips.items:
        contract.broken(
            "", "a second reading differs", "read in a fixed order, without chance, clock or state"
        )
