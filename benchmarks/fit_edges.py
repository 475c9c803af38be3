"""What LUDB says the constants of the delineator should be; see `delineators`.

Fixed offsets: medians in lead I, and for T waves a regression on the square root of RR. Edges: over all
twelve leads, the median of annotated minus measured where the wave stands well out of the noise; for the
QRS, whose noise hardly matters, the line of least absolute error through annotated against measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import manual_waves as manual
import numpy as np
from delineators import FOLDS, beat_of
from manual_waves import Case

from transecg_core.signals import delineate
from transecg_core.signals.delineate import EDGES, Edge, Measured
from transecg_core.signals.schema import FS_HZ

CLEAR_SNR = 10.0
NAMES = tuple(EDGES)


@dataclass(frozen=True)
class Pair:
    """One record in one lead: annotated edges (6,) and peaks, s from R, NaN if unknown; and what was measured."""

    participant: str
    case: Case
    edge_6: np.ndarray
    p_peak: float
    t_peak: float
    measured: Measured
    rr_s: float


def pair(case: Case) -> Pair | None:
    """Return a record's median annotated edges with its measurements; None if it has no typical beat."""
    rr = delineate.median_rr(case.r_B)
    measured = delineate.measure(case.x_T, case.typical_K, rr)
    if measured is None:
        return None
    edges: dict[str, list[float]] = {name: [] for name in (*NAMES, "P", "T", "QRS")}
    for index, wave in enumerate(case.waves):
        b = beat_of(case.waves, index, case.r_B)
        if b is not None:
            edges[wave.kind].append((wave.peak - case.r_B[b]) / FS_HZ)
            edges[f"{wave.kind} on"].append((wave.on - case.r_B[b]) / FS_HZ)
            edges[f"{wave.kind} off"].append((wave.off - case.r_B[b]) / FS_HZ)
    # A wave seen in one beat only, mostly at the record's edge, says little.
    median = {name: np.nanmedian(e) if np.isfinite(e).sum() > 1 else np.nan for name, e in edges.items()}
    edge_6 = np.array([median[name] for name in NAMES])
    return Pair(case.participant, case, edge_6, median["P"], median["T"], measured, rr / FS_HZ)


def measured_edge(found: Pair, name: str) -> tuple[float, float]:
    """Return a measured edge (s from R) and its wave's height over the noise; NaN without the wave."""
    kind, side = name.split()
    if kind == "QRS":
        return found.measured.qrs[side == "off"] / FS_HZ, math.inf
    wave = found.measured.p if kind == "P" else found.measured.t
    return ((wave.on if side == "on" else wave.off) / FS_HZ, wave.snr) if wave else (math.nan, 0.0)


def fit(pairs: list[Pair]) -> dict[str, Edge]:
    """Return the constants that fit some records."""
    usual = delineate.fixed_offsets(1.0)
    edges = {}
    for column, name in enumerate(NAMES):
        said_N = np.array([found.edge_6[column] for found in pairs])
        at_N, snr_N = np.array([measured_edge(found, name) for found in pairs]).T
        clear_N = np.isfinite(said_N) & np.isfinite(at_N) & (snr_N > CLEAR_SNR)
        if name.startswith("QRS"):
            constant, trust = least_absolute(at_N[clear_N], said_N[clear_N])
            prior = usual.qrs[name.endswith("off")]
            edges[name] = Edge((constant - (1 - trust) * prior) / trust, trust)
        else:
            edges[name] = Edge(float(np.median(said_N[clear_N] - at_N[clear_N])))
    return edges


def least_absolute(x_N: np.ndarray, y_N: np.ndarray) -> tuple[float, float]:
    """Return constant and slope of the line of least absolute error, by reweighted least squares."""
    design_N2, weight_N = np.stack([np.ones_like(x_N), x_N], axis=1), np.ones_like(x_N)
    for _ in range(50):
        line_2 = np.linalg.lstsq(design_N2 * weight_N[:, None], y_N * weight_N, rcond=None)[0]
        weight_N = np.maximum(np.abs(y_N - design_N2 @ line_2), 1 / FS_HZ) ** -0.5
    return float(line_2[0]), float(line_2[1])


def out_of_fold(pairs: list[Pair], lead_i: list[Pair]) -> float:
    """Return the mean agreement in lead I with edges fitted on other people, in `FOLDS` folds."""
    agreement = []
    for fold in range(FOLDS):
        edges = fit([found for found in pairs if int(found.participant) % FOLDS != fold])
        for found in (one for one in lead_i if int(one.participant) % FOLDS == fold):
            bounds = delineate.place(found.measured, found.rr_s, edges)
            code_T = delineate.component_codes(bounds, found.case.r_B, found.case.x_T.size)
            bits_T = manual.allowed(found.case.waves, found.case.x_T.size)
            agreement.append(manual.agreement(code_T, bits_T))
    return float(np.nanmean(agreement))


def show(name: str, pairs: list[Pair], said_N: np.ndarray) -> None:
    """Print a median and, for T waves, the line on the square root of RR."""
    known_N = np.isfinite(said_N)
    root_N = np.sqrt([found.rr_s for found in pairs])
    constant, slope = least_absolute(root_N[known_N], said_N[known_N])
    line = f"; {slope:.3f} sqrt(RR) + {constant:.3f}" if name.startswith("T") else ""
    print(f"  {name:8} {np.median(said_N[known_N]):+.3f}{line}")


def report(root: Path) -> None:
    """Print the constants, and what fitting them on the people they are judged on is worth."""
    by_lead = {
        lead: [found for case in manual.ludb(root, lead) if case.r_B.size > 1 and (found := pair(case))]
        for lead in manual.LUDB_LEADS
    }
    pairs = [found for lead in by_lead.values() for found in lead]
    print(f"{len(pairs)} records: LUDB, {len(by_lead)} leads\n\nfixed offsets, lead I, s from R:")
    for column, name in enumerate(NAMES):
        show(name, by_lead["I"], np.array([found.edge_6[column] for found in by_lead["I"]]))
    print("\nusual peaks, all leads, s from R:")
    show("P peak", pairs, np.array([found.p_peak for found in pairs]))
    show("T peak", pairs, np.array([found.t_peak for found in pairs]))
    print("\nedges:")
    for name, edge in fit(pairs).items():
        print(f"  {name:8} shift {edge.shift_s:+.3f} s" + (f", trust {edge.trust:.2f}" if edge.trust else ""))
    lead_i = by_lead["I"]
    print(f"\nagreement in lead I, unaided, edges from other people: {out_of_fold(pairs, lead_i):.3f}")
