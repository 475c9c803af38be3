"""Near-duplicate recordings in the five public datasets: what is found, how surely, how fast.

    python benchmarks/duplicates.py DATA_ROOT

PTB-XL is read whole, its known copies included; the other datasets as their readers do. Prints

- the pairs found, against those that the datasets' documentation names;
- the proof's controls, each before the other can veto: how alike any two different recordings get at a shift
  where their beats agree, and where they don't, against the least alike copies;
- how many of ECG-ID's channels 1, their authors' filtered copies of channel 0, are found as copies;
- how many copies are found of stretches of MIT-BIH records sampled again by a clock that is off, with 3 uV of noise;
- how many are found of short and long stretches copied with more and more noise;
- seconds, and the ratio to a search without fingerprints (every pair of records, every shift at which two
  beats meet), timed in the same run on pairs drawn at random and scaled to all pairs.

Windows come from the cache where they are in it.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from transecg_core.cohorts import ecgiddb, open_reader, ptbxl, wfdb_files
from transecg_core.cohorts.leads import EVERY_LEAD, LeadChoice
from transecg_core.cohorts.reader import make_source
from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import Windows
from transecg_core.signals.windows import build_windows
from transecg_core.splits import duplicates, rhythm
from transecg_core.splits.duplicates import near_duplicates

KNOWN = {
    ("100", "sel100"), ("116", "sel116"), ("00137", "00138"), ("00143", "00144"), ("00145", "00463"),
    ("00456", "00457"), ("00459", "00460"),
}  # fmt: skip
BRUTE_PAIRS = 4000
LENGTHS_S = (30, 300, 1800)
NOISE_UV = (3, 10, 30, 100, 300)
NOISY_S = (6, 10, 20, 60, 300)
NOISY_RECORDS = 48
PPM = (0, 20, 100, 300, 1000)
CLOCK_RECORDS = 8


def whole_ptbxl(root: Path) -> SiteSource:
    """Return PTB-XL with the records that its reader leaves out as copies."""
    usual = open_reader("ptbxl", root, "ptbxl")
    entries = [replace(entry, skip=None) for entry in ptbxl.READER.index(root)]

    def read(_skips: SkipLog) -> Iterator[Recording]:
        for entry in entries:
            got = wfdb_files.decode(root, entry.record, EVERY_LEAD)
            yield Recording(
                "ptbxl", entry.participant, entry.session, entry.record, got.fs_hz, got.lead, got.signal_mv
            )

    return replace(usual, read=read, fingerprint=f"whole {usual.fingerprint}")


def load(root: Path) -> list[tuple[str, Windows]]:
    """Return the windows of all five datasets."""
    sources = [open_reader(name, root / name, name) for name in ("ecgiddb", "ludb", "mitdb", "qtdb")]
    return [(s.name, cached_windows(s)) for s in (*sources, whole_ptbxl(root / "ptbxl"))]


def filtered(root: Path) -> tuple[str, Windows]:
    """Return ECG-ID's channel 1."""
    leads = LeadChoice(wanted="FILTERED", names={"ECG I filtered": "FILTERED"})
    return "filtered", cached_windows(make_source(ecgiddb.READER, root / "ecgiddb", "filtered", None, leads))


def clocks(root: Path) -> None:
    """Print how many copies by another clock are found, per length and parts per million."""
    reader, found = (
        open_reader("mitdb", root / "mitdb", "mitdb"),
        np.zeros((len(LENGTHS_S), len(PPM)), dtype=int),
    )
    wrong = 0
    for whole in islice(reader.read(SkipLog()), CLOCK_RECORDS):
        for row, seconds in enumerate(LENGTHS_S):
            windows = build_windows(replace(reader, read=partial(by_clocks, whole, seconds)))
            for pair in near_duplicates([("mitdb", windows)]):
                names = {pair.record_a, pair.record_b}
                found[row] += [names == {"original", f"{ppm} ppm"} for ppm in PPM]
                wrong += "other" in names
    print(f"\ncopies by another clock found, of {CLOCK_RECORDS} each; wrong pairs {wrong}")
    print("ppm     " + "".join(f"{ppm:>7}" for ppm in PPM))
    for seconds, counts in zip(LENGTHS_S, found, strict=True):
        print(f"{seconds:>6} s" + "".join(f"{count:>7}" for count in counts))


def by_clocks(whole: Recording, seconds: int, _skips: SkipLog) -> Iterator[Recording]:
    """Yield the first seconds of a recording, what follows on them, and copies of them by other clocks."""
    x_T = np.asarray(whole.signal_mv, dtype=np.float64)
    part_T, rest_T = np.split(x_T[: round(2 * seconds * whole.fs_hz)], [round(seconds * whole.fs_hz)])
    rng, played = np.random.default_rng(0), CubicSpline(np.arange(part_T.size), part_T)
    signals = {"original": part_T, "other": rest_T[: part_T.size]}
    for ppm in PPM:
        at_T = np.arange(round(part_T.size * (1 + ppm / 1e6))) / (1 + ppm / 1e6)
        signals[f"{ppm} ppm"] = played(at_T) + 0.003 * rng.standard_normal(at_T.size)
    for name, signal_T in signals.items():
        if signal_T.size > 10 * whole.fs_hz:
            yield replace(whole, record=name, signal_mv=signal_T.astype(np.float32))


def noisy(root: Path) -> None:
    """Print how many copies with white noise are found, per length and noise."""
    reader, found = (
        open_reader("mitdb", root / "mitdb", "mitdb"),
        np.zeros((len(NOISY_S), len(NOISE_UV)), int),
    )
    wrong = records = 0
    for whole in islice(reader.read(SkipLog()), NOISY_RECORDS):
        records += 1
        for row, seconds in enumerate(NOISY_S):
            windows = build_windows(replace(reader, read=partial(with_noise, whole, seconds)))
            pairs = [{pair.record_a, pair.record_b} for pair in near_duplicates([("mitdb", windows)])]
            found[row] += [{"original", f"{uv} uV"} in pairs for uv in NOISE_UV]
            wrong += sum("other" in names for names in pairs)
    print(f"\ncopies with white noise found, of {records} each; wrong pairs {wrong}")
    print("uV      " + "".join(f"{uv:>7}" for uv in NOISE_UV))
    for seconds, counts in zip(NOISY_S, found, strict=True):
        print(f"{seconds:>6} s" + "".join(f"{count:>7}" for count in counts))


def with_noise(whole: Recording, seconds: int, _skips: SkipLog) -> Iterator[Recording]:
    """Yield the first seconds of a recording, what follows on them, and copies of them with noise."""
    part_T, rest_T = np.split(
        whole.signal_mv[: round(2 * seconds * whole.fs_hz)], [round(seconds * whole.fs_hz)]
    )
    rng, signals = np.random.default_rng(0), {"original": part_T, "other": rest_T}
    for uv in NOISE_UV:
        signals[f"{uv} uV"] = part_T + uv / 1000 * rng.standard_normal(part_T.size)
    for name, signal_T in signals.items():
        yield replace(whole, record=name, signal_mv=signal_T.astype(np.float32))


def short(record: str) -> str:
    """Return a record's name without folder and resolution."""
    return record.rpartition("/")[2].removesuffix("_lr")


def controls(sites: list[tuple[str, Windows]]) -> None:
    """Print the highest correlation between different recordings, and the lowest of copies."""
    table = rhythm.table_of(sites)
    usual, rhythm.MIN_VOTES = rhythm.MIN_VOTES, 0.0  # every pair and shift that any run of beats votes for
    shifts = rhythm.candidates_of(table)
    rhythm.MIN_VOTES = usual
    beats, share = duplicates._beats(table, shifts)
    count, _, own = duplicates._correlations(table, shifts)
    told = duplicates._told_apart(table, shifts)
    name = [short(record) for _, _, record in table.names]
    known = np.array([(name[a], name[b]) in KNOWN for a, b in zip(shifts.a_C, shifts.b_C, strict=True)])
    agree = (beats >= duplicates.MIN_BEATS) & (share >= duplicates.MIN_SHARE)
    print(f"\n{len(known):,} shifts of {len(table.names):,} records")
    print(
        f"{'windows':>10} {'':22} {'shifts':>7}  highest correlation (needed), of what tells apart (needed)"
    )
    steps = (duplicates.MIN_CORRELATION, duplicates.MIN_TOLD_APART)
    edges = [*sorted({least for step in steps for least, _ in step}), 10**9]
    for low, high in itertools.pairwise(edges):
        needed = [float(duplicates._least(step, np.array([low]))[0]) for step in steps]
        for words, held in (("beats agree", agree), ("beats disagree", ~agree)):
            chosen = held & ~known & (count >= low) & (count < high)
            tops = [
                f"{x[chosen].max():.2f} ({least})"
                for x, least in zip((own, told), needed, strict=True)
                if chosen.any()
            ]
            print(f"{low:>7} up {words:>22} {chosen.sum():>7}  {', '.join(tops) or '-'}")
    copies = known & agree & (own >= duplicates.MIN_CORRELATION[-1][1])
    print(f"copies: lowest {own[copies].min():.3f}, of what tells apart {told[copies].min():.3f}")


def brute(sites: list[tuple[str, Windows]]) -> float:
    """Return the seconds that all pairs would take, from a random sample."""
    peaks = [w.rpeak_B[w.rpeak_record_B == r] for _, w in sites for r in range(len(w.records))]
    rng = np.random.default_rng(0)
    start = time.process_time()
    for _ in range(BRUTE_PAIRS):
        a, b = (peaks[i] for i in rng.choice(len(peaks), 2, replace=False))
        shift = np.sort((a[:, None] - b[None, :]).ravel())
        (np.searchsorted(shift, shift + 2 * rhythm.TOLERANCE, side="right") - np.arange(shift.size)).argmax()
    return (time.process_time() - start) / BRUTE_PAIRS * len(peaks) * (len(peaks) - 1) / 2


def main() -> None:
    """Measure everything."""
    root = Path(sys.argv[1]).resolve()
    sites = load(root)
    wall, cpu = time.perf_counter(), time.process_time()
    found = near_duplicates(sites)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for pair in found:
        print(
            f"{pair.site_a}/{short(pair.record_a)} = {pair.site_b}/{short(pair.record_b)} at {pair.offset_s:+.3f} s, "
            f"{pair.rate_ppm:+.1f} ppm: "
            f"{pair.beats} beats, correlation {pair.correlation:.3f}"
        )
    named = {(short(p.record_a), short(p.record_b)) for p in found}
    print(f"known {len(KNOWN)}, found of them {len(named & KNOWN)}, others {sorted(named - KNOWN) or 'none'}")
    print(f"least alike of them: correlation {min(pair.correlation for pair in found):.3f}")
    controls(sites)
    raw = dict(sites)["ecgiddb"]
    again = near_duplicates([("ecgiddb", raw), filtered(root)])
    right = sum(p.record_a == p.record_b for p in again)
    print(
        f"\nfiltered copies of ECG-ID found: {right} of {len(raw.records)}; other pairs {len(again) - right}"
    )
    clocks(root)
    noisy(root)
    slow = brute(sites)
    print(
        f"{sum(len(w.records) for _, w in sites):,} records, {sum(len(w.rpeak_B) for _, w in sites):,} beats: "
        f"{cpu:.2f} s CPU, {wall:.2f} s wall; every pair at every shift: about {slow:,.0f} s CPU "
        f"(from {BRUTE_PAIRS:,} pairs), ratio {slow / cpu:,.0f}"
    )


if __name__ == "__main__":
    main()
