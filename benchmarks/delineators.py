"""Delineators against cardiologists, on LUDB (200 people, lead I) and QTDB (35 records), and P waves by rhythm.

    python benchmarks/delineators.py DATA_ROOT          # the tables
    python benchmarks/delineators.py DATA_ROOT --p      # the last part: P waves by rhythm (`rhythm_waves`)
    python benchmarks/delineators.py DATA_ROOT --fit    # the constants of transecg_core/signals/delineate.py

Every method gets the same cleaned signal and the same R peaks. *Agreement*: share of the samples
between annotated waves that get the right component; an edge that a method doesn't give is taken from the
fixed offsets, so that no method is punished for silence (*unaided*: it is wrong). *Sensitivity*: share
of annotated waves that a found wave overlaps. *P where none*: share of beats given a P wave in records where
the cardiologists saw none. Errors are found minus annotated. People count alike; intervals are 95 %, by
resampling people (2,000 times). CPU-seconds are of the delineation alone, after a warm-up.

neurokit2 delineates QTDB's annotated stretch with 10 s on either side, not 15 minutes: what it says of
a beat hangs on nothing further away. Ours and the fixed offsets use the whole record, as `windows` does.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import manual_waves as manual
import neurokit_waves
import numpy as np
import rhythm_waves
from manual_waves import Case, Wave

from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.risk.estimate import percentile, resamples
from transecg_core.seeds import seed_for
from transecg_core.signals import delineate, rpeaks
from transecg_core.signals.delineate import Boundaries
from transecg_core.signals.schema import FS_HZ

BOOTSTRAP, FOLDS = 2000, 5
MARGIN = round(10 * FS_HZ)
OURS = "typical beat (ours)"
KINDS = ("P", "QRS", "T")
Method = Callable[[Case], np.ndarray]


@dataclass(frozen=True)
class Score:
    """One method on one record; per wave kind or edge where a dict."""

    agreement: float
    unaided: float
    sensitivity: dict[str, float]
    false_p: float
    error_ms: dict[str, np.ndarray]
    seconds: float
    cpu_s: float


def edges_of(bounds: Boundaries, beats: int) -> np.ndarray:
    """Return boundaries as edges (B, 6), NaN where a wave was not found."""
    missing = (np.nan, np.nan)
    return np.tile([*(bounds.p or missing), *bounds.qrs, *(bounds.t or missing)], (beats, 1))


def ours(case: Case) -> np.ndarray:
    """Delineate as windows are."""
    return edges_of(delineate.delineate(case.x_T, case.r_B, case.typical_K), case.r_B.size)


def fixed(case: Case) -> np.ndarray:
    """Usual offsets for the record's heart rate."""
    return edges_of(usual(case), case.r_B.size)


def usual(case: Case) -> Boundaries:
    """Return the fixed offsets of a record."""
    return delineate.fixed_offsets(delineate.median_rr(case.r_B) / FS_HZ)


def per_beat(method: str) -> Method:
    """neurokit2's method of that name, on every beat."""
    return lambda case: neurokit_waves.beat_by_beat(case.x_T, case.r_B, method)


WHOLE: dict[str, Method] = {
    OURS: ours,
    "fixed offsets": fixed,
    "neurokit2 dwt, tiled median beat": lambda case: neurokit_waves.median_beat(
        case.x_T, case.r_B, case.typical_K
    ),
}
PER_BEAT: dict[str, Method] = {
    f"neurokit2 {method}, every beat": per_beat(method) for method in ("dwt", "peak", "cwt", "prominence")
}


def annotated_part(case: Case) -> Case:
    """Return the stretch that was annotated, with a margin."""
    at = [wave.peak for wave in case.waves]
    start, stop = max(0, round(min(at)) - MARGIN), min(case.x_T.size, round(max(at)) + MARGIN)
    moved = tuple(
        replace(wave, on=wave.on - start, peak=wave.peak - start, off=wave.off - start) for wave in case.waves
    )
    inside_B, typical_K = (r[(r >= start) & (r < stop)] - start for r in (case.r_B, case.typical_K))
    return Case(case.participant, case.x_T[start:stop], inside_B, typical_K, moved)


def paint(case: Case, edge_B6: np.ndarray, aided: bool) -> np.ndarray:
    """Return component codes (T,), as `delineate.component_codes` paints; see the module's docstring."""
    code_T = np.full(case.x_T.size, COMPONENT_CODE["TP"], dtype=np.uint8)
    full_B6 = np.where(np.isnan(edge_B6), edges_of(usual(case), 1), edge_B6)
    spans = {"T": (4, 5), "ST": (3, 4), "P": (0, 1), "PQ": (1, 2), "QRS": (2, 3)}
    for name, (on, off) in spans.items():
        lost_B = np.isnan(edge_B6[:, [on, off]]).any(axis=1)
        for r, start, stop, lost in zip(case.r_B, full_B6[:, on], full_B6[:, off], lost_B, strict=True):
            shown = COMPONENT_CODE["undefined" if lost and not aided else name]
            code_T[max(0, r + round(start * FS_HZ)) : max(0, r + round(stop * FS_HZ))] = shown
    return code_T


def beat_of(waves: Sequence[Wave], index: int, r_B: np.ndarray) -> int | None:
    """Return which detected beat an annotated wave belongs to: its QRS's."""
    step = 1 if waves[index].kind == "P" else -1
    while 0 <= index < len(waves) and waves[index].kind != "QRS":
        index += step
    if not 0 <= index < len(waves) or not r_B.size:
        return None
    nearest = int(np.abs(r_B - waves[index].peak).argmin())
    return nearest if abs(r_B[nearest] - waves[index].peak) <= rpeaks.MATCH else None


def score(case: Case, edge_B6: np.ndarray, cpu_s: float) -> Score:
    """Judge a method's edges on one record."""
    bits_T = manual.allowed(case.waves, case.x_T.size)
    agreement, unaided = (manual.agreement(paint(case, edge_B6, aided), bits_T) for aided in (True, False))
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    error: dict[str, list[float]] = {f"{kind} {side}": [] for kind in KINDS for side in ("on", "off")}
    for index, wave in enumerate(case.waves):
        b = beat_of(case.waves, index, case.r_B)
        column = 2 * KINDS.index(wave.kind)
        on, off = case.r_B[b] + FS_HZ * edge_B6[b, column : column + 2] if b is not None else (np.nan,) * 2
        # One edge, or an annotated peak, stands for what is missing.
        start, stop = np.fmin(on, off), np.fmax(on, off)
        hit = bool(start <= np.fmax(wave.off, wave.peak) and stop >= np.fmin(wave.on, wave.peak))
        found[wave.kind].append(hit)
        if hit:
            error[f"{wave.kind} on"].append((on - wave.on) / FS_HZ * 1000)
            error[f"{wave.kind} off"].append((off - wave.off) / FS_HZ * 1000)
    no_p = found["QRS"] and not found["P"]
    return Score(
        agreement,
        unaided,
        {kind: float(np.mean(hits)) if hits else float("nan") for kind, hits in found.items()},
        float(np.isfinite(edge_B6[:, :2]).any(axis=1).mean()) if no_p and len(edge_B6) else float("nan"),
        {edge: np.asarray(ms)[np.isfinite(ms)] for edge, ms in error.items()},
        case.x_T.size / FS_HZ,
        cpu_s,
    )


def run(method: Method, cases: Sequence[Case]) -> list[Score]:
    """Delineate and judge all records."""
    before = neurokit_waves.raised.copy()
    method(cases[0])
    neurokit_waves.raised.clear()
    neurokit_waves.raised.update(before)
    scores = []
    for case in cases:
        start = time.process_time()
        edge_B6 = method(case)
        scores.append(score(case, edge_B6, time.process_time() - start))
    return scores


def mean_ci(value_P: np.ndarray, label: str, digits: int) -> str:
    """Return the mean over people with its interval; people without a value don't count."""
    value_P = value_P[np.isfinite(value_P)]
    if value_P.size == 0:
        return "-"
    rng = np.random.default_rng(seed_for(0, "delineators", label))
    low, high = percentile(resamples(value_P.size, BOOTSTRAP, rng) @ value_P / value_P.size)
    return f"{value_P.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def spread(per_person: Iterable[np.ndarray]) -> float:
    """Return the standard deviation of errors, people weighted alike."""
    people = [ms for ms in per_person if ms.size]
    centre = np.mean([ms.mean() for ms in people])
    return float(np.sqrt(np.mean([((ms - centre) ** 2).mean() for ms in people])))


def tables(results: dict[str, list[Score]]) -> str:
    """Return both tables of a dataset."""
    reference_P = np.array([score.agreement for score in results[OURS]])
    lines = [
        "| method | agreement (95 %) | minus ours (95 %) | unaided | sensitivity P | QRS | T "
        "| P where none | CPU-s per hour |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, scores in results.items():
        own_P = np.array([score.agreement for score in scores])
        cost = sum(score.cpu_s for score in scores) / sum(score.seconds for score in scores) * 3600
        cells = [
            mean_ci(own_P, name, 3),
            "-" if name == OURS else mean_ci(own_P - reference_P, f"{name} gap", 3),
            f"{np.nanmean([score.unaided for score in scores]):.3f}",
            *(
                mean_ci(np.array([s.sensitivity[kind] for s in scores]), f"{name} {kind}", 2)
                for kind in KINDS
            ),
            mean_ci(np.array([score.false_p for score in scores]), f"{name} no P", 2),
            f"{cost:.2f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    edges = list(next(iter(results.values()))[0].error_ms)
    lines += ["", "Error in ms, mean (95 %) and standard deviation:", ""]
    lines += ["| method | " + " | ".join(edges) + " |", "|---" * (len(edges) + 1) + "|"]
    for name, scores in results.items():
        lines.append(f"| {name} | " + " | ".join(error_cell(name, scores, edge) for edge in edges) + " |")
    return "\n".join(lines)


def error_cell(name: str, scores: list[Score], edge: str) -> str:
    """Return mean error with interval, and its spread."""
    errors = [score.error_ms[edge] for score in scores]
    if not any(ms.size for ms in errors):
        return "-"
    means_P = np.array([ms.mean() if ms.size else np.nan for ms in errors])
    return f"{mean_ci(means_P, f'{name} {edge}', 0)}, sd {spread(errors):.0f}"


def compare(name: str, cases: list[Case]) -> None:
    """Print a dataset's tables."""
    results = {method: run(function, cases) for method, function in WHOLE.items()}
    parts = [annotated_part(case) for case in cases] if name == "qtdb" else cases
    results |= {method: run(function, parts) for method, function in PER_BEAT.items()}
    waves = sum(len(case.waves) for case in cases)
    print(f"\n{name}: {len(cases)} people, {waves} annotated waves\n\n{tables(results)}\n", flush=True)
    for what, count in sorted(neurokit_waves.raised.items()):
        print(f"{what} on {count} of {len(cases)} records; they count as records without an edge.")
    neurokit_waves.raised.clear()


def steadiness_kept(cases: Iterable[Case]) -> str:
    """Say how far `P_STEADY` may go before an annotated P wave that the noise test passes is lost."""
    steady = []
    for case in cases:
        with patch.object(delineate, "P_STEADY", -np.inf):
            edge_B6 = ours(case)
        if score(case, edge_B6, 0.0).sensitivity["P"] > 0:
            measured = delineate.measure(case.x_T, case.typical_K, delineate.median_rr(case.r_B))
            assert measured is not None
            steady.append(measured.p_steady)
    least = math.floor(100 * min(steady)) / 100
    return f"LUDB, lead I: P_STEADY may be {least:.2f} without the loss of an annotated P wave ({len(steady)} records)."


def p_waves(root: Path) -> None:
    """Print P waves by rhythm, and what the threshold costs on LUDB."""
    rhythm_waves.report(root)
    print(f"\n{steadiness_kept(case for case in manual.ludb(root) if case.waves and case.r_B.size > 1)}")


def main() -> None:
    """Print the tables, or the constants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--fit", action="store_true", help="print what LUDB says the constants should be")
    parser.add_argument("--p", action="store_true", help="print only the part on P waves by rhythm")
    options = parser.parse_args()
    if options.p:
        p_waves(options.data_root)
        return
    if options.fit:
        from fit_edges import report

        report(options.data_root)
        return
    load = {"ludb": partial(manual.ludb, options.data_root), "qtdb": partial(manual.qtdb, options.data_root)}
    for name, read in load.items():
        compare(name, [case for case in read() if case.waves and case.r_B.size > 1])
    p_waves(options.data_root)


if __name__ == "__main__":
    main()
