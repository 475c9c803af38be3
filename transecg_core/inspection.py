"""What a site's data is, what can and can't be measured on it, and whether it keeps the contract.

This is the contract test for cohorts: it works on anything that is a `SiteSource`. What it returns
names records and people, and so stays where the data is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

import numpy as np

from transecg_core.cohorts.contract import Contract, Problem
from transecg_core.cohorts.schema import (
    AGE_BANDS,
    BEATS,
    UNKNOWN,
    Diagnosis,
    Recording,
    Sex,
    SiteSource,
    SkipLog,
    age_band,
)
from transecg_core.errors import UserError
from transecg_core.measurable import Verdict, measurable
from transecg_core.signals.schema import RecordInfo, Windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits.duplicates import DuplicatePair, near_duplicates

Say = Callable[[str], None]
SEXES: tuple[str, ...] = get_args(Sex)
DIAGNOSES: tuple[str, ...] = get_args(Diagnosis)
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
    labels
        Task -> class -> people (``beat``: windows); ``unknown`` where a label is missing.
    skipped, kept
        (record, reason): not used at all; used with a remark.
    left_out
        Reason -> windows and beats not used of records that are.
    measurable
        Protocol -> whether a run can measure it here, and why.
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
    ages: tuple[float, float, float] | None = None
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    measurable: Mapping[str, Verdict] = field(default_factory=dict)
    duplicates: tuple[Copy, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there is anything usable and no promise was broken; skipped records are no flaw."""
        return self.records > 0 and not self.problems

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
    noted = list(dict.fromkeys(watched.log.items))
    found = Inspection(
        site=source.name,
        roster=source.people,
        skipped=tuple(item for item in noted if item[1].startswith(LEFT_OUT)),
        kept=tuple(item for item in noted if not item[1].startswith((*LEFT_OUT, *PARTS))),
        left_out={r: n for r, n in watched.log.counts().items() if r.startswith(PARTS)},
        problems=tuple(contract.problems),
        measurable=measurable(source, windows),
    )
    return (found if windows is None else _counted(found, source, windows, watched.rates)), windows


def unusable(site: str, error: UserError) -> Inspection:
    """Return what to say about a site that can't even be opened."""
    source = SiteSource(site, "real", lambda skips: iter(()), "", 0, ())
    problem = Problem("", str(error), "mend this first; then inspect again")
    return Inspection(site=site, measurable=measurable(source, None), problems=(problem,))


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


def _counted(
    found: Inspection, source: SiteSource, windows: Windows, rates: Mapping[str, float]
) -> Inspection:
    records = windows.records
    days: dict[str, set[int]] = {}
    for record in records:
        days.setdefault(source.person(record.participant), set()).add(record.session)
    return replace(
        found,
        participants=len(days),
        records=len(records),
        sessions=sum(map(len, days.values())),
        second_session=sum(len(sessions) > 1 for sessions in days.values()),
        windows=len(windows),
        rates=_counts(f"{rates[record.record]:g}" for record in records),
        leads=_counts(record.lead for record in records),
        duration_s=_spread([record.duration_s for record in records]),
        ages=_spread([r.age for r in _one_each(source, records) if r.age is not None]),
        labels=_labels(source, windows),
    )


def _counts(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _spread(values: list[float]) -> tuple[float, float, float] | None:
    """Return least, median and greatest."""
    return (min(values), float(np.median(values)), max(values)) if values else None


def _one_each(source: SiteSource, records: tuple[RecordInfo, ...]) -> list[RecordInfo]:
    """Return each person's first record: what is said of people is counted once."""
    first: dict[str, RecordInfo] = {}
    for record in records:
        first.setdefault(source.person(record.participant), record)
    return list(first.values())


def _labels(source: SiteSource, windows: Windows) -> dict[str, dict[str, int]]:
    people = _one_each(source, windows.records)
    bands = [age_band(person.age) for person in people]
    return {
        "sex": _tally(SEXES, [person.sex for person in people]),
        "age": _tally(AGE_BANDS, [None if band == UNKNOWN else AGE_BANDS[band] for band in bands]),
        "beat": _tally(BEATS, [None if code == UNKNOWN else BEATS[code] for code in windows.beat_N]),
        "diagnosis": _tally(DIAGNOSES, [person.diagnosis for person in people]),
    }


def _tally(classes: Sequence[str], values: Sequence[str | None]) -> dict[str, int]:
    """Return class -> count in the order of `classes`, then ``unknown``; what never occurs is left out."""
    counts = Counter("unknown" if value is None else value for value in values)
    return {name: counts[name] for name in (*classes, "unknown") if counts[name]}
