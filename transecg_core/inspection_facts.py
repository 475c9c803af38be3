"""What an inspection counts: people, records, labels and heart rates of a site's windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from transecg_core.cohorts.reader import natural
from transecg_core.cohorts.schema import AGE_BANDS, BEATS, UNKNOWN, Diagnosis, Sex, SiteSource, age_band
from transecg_core.signals.schema import FS_HZ, RecordInfo, Windows

SEXES: tuple[str, ...] = get_args(Sex)
DIAGNOSES: tuple[str, ...] = get_args(Diagnosis)
RATES_PER_MIN = (40.0, 150.0)
ODD_RATE = f"record kept: heart rate outside {RATES_PER_MIN[0]:g} to {RATES_PER_MIN[1]:g} per minute"
"""Few people have such a rate for a whole record; a sampling rate that is half or double the true one gives it."""
SITE_PER_MIN, SITE_RECORDS = (50.0, 110.0), 5
ODD_SITE = f"site: median heart rate outside {SITE_PER_MIN[0]:g} to {SITE_PER_MIN[1]:g} per minute"
"""Of five public datasets the medians over records are 63 to 77; at half or double the rate 40 to 49, or 126 to 155."""


def facts(source: SiteSource, windows: Windows, rates: Mapping[str, float]) -> dict[str, Any]:
    """Return the counts of an `Inspection`; `rates`: record -> sampling rate in Hz."""
    records = windows.records
    days: dict[str, set[int]] = {}
    for record in records:
        days.setdefault(source.person(record.participant), set()).add(record.session)
    per_minute = [rate for rate in heart_rates(windows) if not np.isnan(rate)]
    return {
        "participants": len(days),
        "records": len(records),
        "sessions": sum(map(len, days.values())),
        "second_session": sum(len(sessions) > 1 for sessions in days.values()),
        "windows": len(windows),
        "rates": _counts(f"{rates[record.record]:g}" for record in records),
        "leads": _counts(record.lead for record in records),
        "duration_s": _spread([record.duration_s for record in records]),
        "heart_rates": _spread(per_minute),
        "ages": _spread([r.age for r in _one_each(source, records) if r.age is not None]),
        "labels": _labels(source, windows),
    }


def odd_rates(windows: Windows) -> tuple[tuple[str, str], ...]:
    """Return (record, `ODD_RATE`) of the records whose median heart rate is outside `RATES_PER_MIN`.

    And `ODD_SITE` of a site of `SITE_RECORDS` or more whose median over records is outside `SITE_PER_MIN`.
    """
    low, high = RATES_PER_MIN
    rates = heart_rates(windows)
    pairs = zip(windows.records, rates, strict=True)
    names = [record.record for record, rate in pairs if rate < low or rate > high]
    known = [rate for rate in rates if not np.isnan(rate)]
    odd_site = len(known) >= SITE_RECORDS and not SITE_PER_MIN[0] <= np.median(known) <= SITE_PER_MIN[1]
    site = ((f"median of {len(known)} records", ODD_SITE),) if odd_site else ()
    return (*site, *((name, ODD_RATE) for name in sorted(names, key=natural)))


def heart_rates(windows: Windows) -> list[float]:
    """Return each record's median heart rate per minute; NaN with fewer than two beats."""
    found = []
    for record in range(len(windows.records)):
        rr_s = np.diff(windows.rpeak_B[windows.rpeak_record_B == record]) / FS_HZ
        found.append(60.0 / float(np.median(rr_s)) if rr_s.size else float("nan"))
    return found


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
