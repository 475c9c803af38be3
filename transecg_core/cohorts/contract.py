"""What every reader promises, checked on what it yields: ours, and a third party's."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.leads import LEADS
from transecg_core.cohorts.schema import BEATS, COMPONENTS, UNKNOWN, Labels, Recording, SiteSource, SkipLog
from transecg_core.cohorts.wfdb_files import MAX_FS_HZ
from transecg_core.names import SITE_NAMES, TASKS, is_site_name, nearest
from transecg_core.remedies import REMEDIES
from transecg_core.text import escaped

MIN_SPAN_MV, MAX_SPAN_MV = 0.02, 50.0
"""Bounds of the range that holds 98 % of a recording's samples. Wide around any ECG: microvolts or
volts taken for millivolts are a thousand times off."""
SPAN_REMEDY = f"is the unit right? 98 % of an ECG's samples span {MIN_SPAN_MV:g} to {MAX_SPAN_MV:g} mV"
OLDEST = 120.0
REASON = re.compile(r"[ -~]{1,100}")
"""A skip reason goes into reports: plain, short, and naming nobody."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEAST_NAME = 5
"""Shorter names may stand in a sentence by chance: ``100`` in ``100 Hz``."""
_WORDS = frozenset(word for pattern in REMEDIES for word in re.findall("[A-Za-z]+", pattern))
"""Words of our own reasons: a record called ``signal`` is not named where one speaks of a signal."""


@dataclass(frozen=True)
class Problem:
    """One broken promise: where (empty for the whole site), what, and what to do about it.

    ``span_mv`` is the range of the record's samples, where that is what is wrong.
    """

    record: str
    what: str
    remedy: str
    span_mv: float | None = None


class Contract:
    """Watches one reading of a site and collects every broken promise.

    Attributes
    ----------
    problems
        In the order found.
    digests
        One per recording, over everything in it: two readings must agree.
    """

    def __init__(self, source: SiteSource) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.digests: list[bytes] = []
        self._records: set[str] = set()
        self._sessions: dict[str, set[int]] = defaultdict(set)
        self._sexes: dict[str, set[str]] = defaultdict(set)
        self._source()

    def broken(self, record: str, what: str, remedy: str, span_mv: float | None = None) -> None:
        """Note a broken promise."""
        self.problems.append(Problem(escaped(record), escaped(what), remedy, span_mv))

    def _source(self) -> None:
        source = self.source
        if not is_site_name(source.name):
            self.broken("", f"'{source.name}' is no site name", f"use {SITE_NAMES}")
        if not _DIGEST.fullmatch(source.fingerprint):
            self.broken("", "the fingerprint is no SHA-256", "hash every input file and the reader's code")
        if source.people < 1:
            self.broken("", f"a roster of {source.people} people", "count the people on the site's list")
        for task in source.tasks:
            if task not in TASKS:
                self.broken("", f"no task named '{task}'{nearest(task, TASKS)}", "declare known tasks only")

    def see(self, recording: object) -> bool:
        """Check one recording; return whether it is sound enough to be cut into windows."""
        if not isinstance(recording, Recording):
            kind = type(recording).__name__
            self.broken(
                "", f"yields a {kind}, not a Recording", "build transecg_core.cohorts.schema.Recording"
            )
            return False
        self._identity(recording)
        self._facts(recording)
        before = len(self.problems)
        self._signal(recording)
        self._labels(recording, recording.labels)
        self.digests.append(digest(recording))
        return len(self.problems) == before

    def _identity(self, r: Recording) -> None:
        if r.site != self.source.name:
            self.broken(r.record, f"says it is of site '{r.site}'", f"set site='{self.source.name}'")
        if not r.participant.strip():
            self.broken(r.record, "has no participant", "name the person, or skip the record")
        if not r.record.strip() or not r.record.isprintable() or r.record.startswith("/") or ".." in r.record:
            self.broken(repr(r.record), "is no record name", "use the path below the site's folder")
        if r.record in self._records:
            self.broken(r.record, "is yielded twice", "give every record its own name")
        self._records.add(r.record)
        self._sessions[self.source.person(r.participant)].add(r.session)

    def _facts(self, r: Recording) -> None:
        if r.age is not None and not 0 <= r.age <= OLDEST:
            self.broken(r.record, f"age {r.age}", "0 to 120 years; None if not known (never -1, 300 or NaN)")
        if r.sex not in ("F", "M", None):
            self.broken(r.record, f"sex {r.sex!r}", "'F' or 'M'; None if not known")
        elif r.sex is not None:
            self._sexes[self.source.person(r.participant)].add(r.sex)
        if r.lead not in LEADS:
            self.broken(
                r.record, f"no lead named '{r.lead}'{nearest(r.lead, LEADS)}", "map the site's spelling"
            )

    def _signal(self, r: Recording) -> None:
        if not (math.isfinite(r.fs_hz) and 1 <= r.fs_hz <= MAX_FS_HZ):
            self.broken(
                r.record, f"sampling rate {r.fs_hz} Hz", f"at most {MAX_FS_HZ:g} Hz; check the header"
            )
        if r.signal_mv.size == 0:
            self.broken(r.record, "has no samples", "skip it with a reason")
        elif not np.isfinite(r.signal_mv).all():
            self.broken(
                r.record, "has samples that are no numbers", "skip it, or cut the stretch and note it"
            )
        else:
            low, high = np.percentile(r.signal_mv, [1, 99])
            if high > low and not MIN_SPAN_MV <= high - low <= MAX_SPAN_MV:
                what = (
                    f"spans too {'little' if high - low < MIN_SPAN_MV else 'much'} for an ECG in millivolts"
                )
                self.broken(r.record, what, SPAN_REMEDY, float(high - low))

    def _labels(self, r: Recording, labels: Labels) -> None:
        if labels.diagnosis not in ("normal", "abnormal", None):
            self.broken(
                r.record, f"diagnosis {labels.diagnosis!r}", "'normal' or 'abnormal'; None if not known"
            )
        at, code = labels.beat_sample_B, labels.beat_class_B
        if (at is None) != (code is None):
            self.broken(r.record, "has beat positions or classes, not both", "give both, or neither")
        elif at is not None and code is not None:
            if at.shape != code.shape or at.ndim != 1:
                self.broken(r.record, "has other numbers of beats and of classes", "give one class per beat")
            elif at.size and (at.min() < 0 or at.max() >= r.signal_mv.size or (np.diff(at) < 0).any()):
                self.broken(
                    r.record, "has beats out of order or outside the signal", "in samples of this recording"
                )
            elif not np.isin(code, [*range(len(BEATS)), UNKNOWN]).all():
                self.broken(
                    r.record, "has unknown beat classes", f"codes of {', '.join(BEATS)}, or {UNKNOWN}"
                )
        part = labels.component_T
        if part is not None and (part.shape != r.signal_mv.shape or (part >= len(COMPONENTS)).any()):
            self.broken(r.record, "has components that don't fit", "one known code per sample")

    def finish(self, skips: SkipLog) -> None:
        """Check what only the whole reading shows; `skips` is what the reader noted."""
        if not self._records:
            self.broken("", "no recording at all", "see what was skipped and why")
        if len(self._sessions) > self.source.people:
            found = f"{len(self._sessions)} people read, {self.source.people} on the roster"
            self.broken("", found, "the roster counts everybody listed, usable or not")
        for person, sexes in sorted(self._sexes.items()):
            if len(sexes) > 1:
                self.broken("", f"{person} has two sexes", "correct the table, or leave both unknown")
        self._ranks(skips)
        names = {
            name
            for name in self._records | {name for name, _ in skips.items}
            if len(name) >= _LEAST_NAME and name not in _WORDS
        }
        for reason in dict.fromkeys(reason for _, reason in skips.items):
            if not REASON.fullmatch(reason):
                self.broken("", f"skip reason {reason[:120]!r}", "plain text of up to 100 characters")
            elif any(name in reason for name in names):
                self.broken(
                    "", f"skip reason {reason!r} names a record", "reasons go into reports: name nobody"
                )

    def _ranks(self, skips: SkipLog) -> None:
        if any(reason.startswith("record:") for _, reason in skips.items):
            return  # a gap may be a session of which nothing was usable
        for person, ranks in sorted(self._sessions.items()):
            if ranks != set(range(1, len(ranks) + 1)):
                found = ", ".join(map(str, sorted(ranks)))
                self.broken(
                    "", f"sessions of {person} are {found}", "rank a person's days 1, 2, 3 without gaps"
                )


def digest(recording: Recording) -> bytes:
    """Return a hash of everything in a recording."""
    r, labels = recording, recording.labels
    facts = (r.site, r.participant, r.session, r.record, r.fs_hz, r.lead, r.age, r.sex, labels.diagnosis)
    total = hashlib.sha256(repr(facts).encode())
    for array in (r.signal_mv, labels.beat_sample_B, labels.beat_class_B, labels.component_T):
        total.update(b"-" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return total.digest()
