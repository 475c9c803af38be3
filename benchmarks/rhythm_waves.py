"""P waves in atrial fibrillation and flutter, where there are none, and in sinus rhythm, where there are.

The truth is what cardiologists noted (docs/signals.md says what of it is held out): the rhythm annotations of the
MIT-BIH Arrhythmia Database, where a record's rhythm is that of more than half of it and *excerpts* are the
first ten seconds of every minute that are of one rhythm altogether; and the rhythm statements of PTB-XL's
records of ten seconds. Recordings are read as `windows` reads them.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import Recording, SkipLog
from transecg_core.risk.estimate import percentile, resamples, wilson
from transecg_core.seeds import seed_for
from transecg_core.signals import delineate
from transecg_core.signals.delineate import Measured
from transecg_core.signals.windows import MAX_PER_RECORD, record_windows

KINDS = {
    "fibrillation": {"(AFIB", "AFIB"},
    "flutter": {"(AFL", "AFLT"},
    "sinus rhythm": {"(N", "(SBR", "SR", "SARRH", "SBRAD", "STACH"},
}
"""Kind of rhythm -> MIT-BIH's notes and PTB-XL's statements."""
RECORDS, EXCERPTS, SHORT = "mitdb records, 30 min", "mitdb excerpts, 10 s", "ptbxl records, 10 s"
OTHER = "none for more than half"
MEASURE = delineate.measure
EXCERPT_S, EVERY_S, BOOTSTRAP = 10, 60, 2000


@dataclass(frozen=True)
class Verdict:
    """Whether a recording was given a P wave, and whether it is without the test of single beats.

    ``steady`` is what that test goes by (`waves.steadiness`); ``rhythm``: the rhythms noted, in words.
    """

    record: str
    participant: str
    painted: bool
    by_noise_alone: bool
    steady: float
    rhythm: str = ""


def rhythms(root: Path, record: str, samples: int) -> list[tuple[str, int, int]]:
    """Return a record's rhythms with their first and last sample."""
    import wfdb

    marks = wfdb.rdann(str(root / "mitdb" / record), "atr")
    noted = [
        (note.strip("\x00").strip(), int(at)) for note, at in zip(marks.aux_note, marks.sample, strict=True)
    ]
    changes = [(note, at) for note, at in noted if note.startswith("(")]
    ends = [at for _, at in changes[1:]] + [samples]
    return [(note, start, end) for (note, start), end in zip(changes, ends, strict=True)]


def kind_of(spans: list[tuple[str, int, int]], start: int, stop: int, share: float) -> str | None:
    """Return the kind of rhythm that more than `share` of a stretch is of, if any."""
    for kind, notes in KINDS.items():
        inside = sum(max(0, min(stop, b) - max(start, a)) for note, a, b in spans if note in notes)
        if inside > share * (stop - start):
            return kind
    return None


def noted(spans: list[tuple[str, int, int]], samples: int) -> str:
    """Return the share of a record that each noted rhythm has, the longest first."""
    length: dict[str, int] = {}
    for note, start, stop in spans:
        length[note] = length.get(note, 0) + stop - start
    longest = sorted(length.items(), key=lambda item: -item[1])
    return ", ".join(f"{note.removeprefix('(')} {100 * size / samples:.0f} %" for note, size in longest)


def excerpt(recording: Recording, start: int, stop: int) -> Recording:
    """Return a part of a recording as a recording of its own."""
    at_B, class_B = recording.labels.beat_sample_B, recording.labels.beat_class_B
    assert at_B is not None
    assert class_B is not None
    inside_B = (at_B >= start) & (at_B < stop)
    labels = replace(recording.labels, beat_sample_B=at_B[inside_B] - start, beat_class_B=class_B[inside_B])
    return replace(recording, signal_mv=recording.signal_mv[start:stop], labels=labels)


def painted(recording: Recording) -> tuple[bool, float] | None:
    """Return whether a recording's windows get P waves, and its steadiness; None if it has no window."""
    skips, seen = SkipLog(), list[float]()

    def measure(x_T: np.ndarray, typical_K: np.ndarray, rr: int) -> Measured | None:
        measured = MEASURE(x_T, typical_K, rr)
        seen.append(measured.p_steady if measured else 0.0)
        return measured

    with patch.object(delineate, "measure", measure):
        if record_windows(recording, MAX_PER_RECORD, skips) is None:
            return None
    return delineate.NO_P not in skips.counts(), seen[-1]


def judge(recording: Recording, rhythm: str = "") -> Verdict | None:
    """Judge one recording."""
    found = painted(recording)
    if found is None:
        return None
    with patch.object(delineate, "P_STEADY", -np.inf):
        by_noise = painted(recording)
    assert by_noise is not None
    return Verdict(recording.record, recording.participant, found[0], by_noise[0], found[1], rhythm)


def stated(root: Path) -> Iterator[tuple[str, str, Verdict]]:
    """Yield PTB-XL's records whose statements name one kind of rhythm, as `annotated` does."""
    with (root / "ptbxl" / "ptbxl_database.csv").open(encoding="utf-8", newline="") as handle:
        codes = {
            line["filename_lr"]: set(ast.literal_eval(line["scp_codes"])) for line in csv.DictReader(handle)
        }
    for recording in open_reader("ptbxl", root / "ptbxl", "ptbxl").read(SkipLog()):
        kinds = [kind for kind, names in KINDS.items() if names & codes[recording.record]]
        verdict = judge(recording) if len(kinds) == 1 else None
        if verdict:
            yield SHORT, kinds[0], verdict


def annotated(root: Path) -> Iterator[tuple[str, str, Verdict]]:
    """Yield what was judged (MIT-BIH's records and excerpts), its kind of rhythm, and the verdict."""
    for recording in open_reader("mitdb", root / "mitdb", "mitdb").read(SkipLog()):
        size = recording.signal_mv.size
        spans = rhythms(root, recording.record, size)
        length, step = (round(seconds * recording.fs_hz) for seconds in (EXCERPT_S, EVERY_S))
        stretches = [(RECORDS, 0, size, 0.5)]
        # Nothing exceeds the whole of it: a sample less does for "altogether".
        stretches += [(EXCERPTS, at, at + length, 1 - 1 / length) for at in range(0, size - length, step)]
        for what, start, stop, share in stretches:
            kind = kind_of(spans, start, stop, share) or (OTHER if what == RECORDS else None)
            verdict = judge(excerpt(recording, start, stop), noted(spans, size)) if kind else None
            if kind and verdict:
                yield what, kind, verdict


def per_person(verdicts: Iterable[Verdict], name: str) -> np.ndarray:
    """Return each person's share of recordings with a P wave."""
    people: dict[str, list[bool]] = {}
    for verdict in verdicts:
        people.setdefault(verdict.participant, []).append(getattr(verdict, name))
    return np.array([np.mean(shares) for shares in people.values()])


def cell(what: str, verdicts: list[Verdict], name: str) -> str:
    """Return how many records, or which share of people's excerpts, have a P wave, with an interval."""
    if what != EXCERPTS:
        count = sum(getattr(verdict, name) for verdict in verdicts)
        low, high = wilson(count, len(verdicts))
        return f"{count} of {len(verdicts)} ({low:.2f} to {high:.2f})"
    share_P = per_person(verdicts, name)
    rng = np.random.default_rng(seed_for(0, "rhythm waves", name))
    low, high = percentile(resamples(share_P.size, BOOTSTRAP, rng) @ share_P / share_P.size)
    return f"{share_P.mean():.2f} ({low:.2f} to {high:.2f})"


def report(root: Path) -> None:
    """Print the table, and a list of the half-hour records that are not plain sinus rhythm with P waves."""
    found = [*annotated(root), *stated(root)]
    print("\nIs a P wave painted?\n")
    print(
        "| what | rhythm | n | people | P painted (95 %) | by the noise alone (95 %) |\n|---|---|---|---|---|---|"
    )
    for what in (RECORDS, EXCERPTS, SHORT):
        for kind in KINDS:
            verdicts = [verdict for w, k, verdict in found if (w, k) == (what, kind)]
            if not verdicts:
                continue
            people = len({verdict.participant for verdict in verdicts})
            cells = [cell(what, verdicts, name) for name in ("painted", "by_noise_alone")]
            print(f"| {what} | {kind} | {len(verdicts)} | {people} | {' | '.join(cells)} |")
    print("\n| mitdb record | mostly | rhythm as noted | P painted | steadiness |\n|---|---|---|---|---|")
    for kind in (*KINDS, OTHER):
        for v in (v for what, k, v in found if (what, k) == (RECORDS, kind)):
            if kind != "sinus rhythm" or not v.painted:
                shown = "yes" if v.painted else "no"
                print(f"| {v.record} | {kind} | {v.rhythm} | {shown} | {v.steady:.2f} |")
