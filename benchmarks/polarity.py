"""Should windows keep the sign of the lead? Linkage on ECG-ID with it and with every R peak turned up.

    python benchmarks/polarity.py DATA_ROOT

First record against last record of each person, correlation of median beats. *Turned up*: windows of
records whose R peak points down are multiplied by -1. Intervals are 95 % over people, the paired
difference by resampling them (2,000 times). Then, per dataset, how many records point down.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibrate_synthetic import estimates, raw

from transecg_core.cohorts import READERS, open_reader
from transecg_core.risk.estimate import difference
from transecg_core.risk.problems import everybody, outcome
from transecg_core.seeds import seed_for
from transecg_core.signals.schema import R_OFFSET, Windows
from transecg_core.signals.windows import POINTS_DOWN, build_windows

BOOTSTRAP = 2000


def first_and_last(windows: Windows) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the windows of everybody's first and last record, for those with two."""
    pairs = []
    for person in range(len(windows.participants)):
        records = np.unique(windows.record_N[windows.participant_N == person])
        if records.size > 1:
            pairs.append(tuple(windows.x_NL[windows.record_N == records[i]] for i in (0, -1)))
    return [first for first, _ in pairs], [last for _, last in pairs]


def down(windows: Windows) -> np.ndarray:
    """Return which records (R,) point down."""
    return np.array([
        np.median(windows.x_NL[windows.record_N == record, R_OFFSET]) < 0
        for record in range(len(windows.records))
    ])  # fmt: skip


def turned_up(windows: Windows) -> Windows:
    """Return the same windows with every record's R peak up."""
    sign_R = np.where(down(windows), -1, 1).astype(np.float32)
    return replace(windows, x_NL=windows.x_NL * sign_R[windows.record_N][:, None])


def both_ways(windows: Windows) -> int:
    """Return how many people have records of either kind."""
    down_R = down(windows)
    owner_R = np.array([windows.participants.index(record.participant) for record in windows.records])
    return sum(np.unique(down_R[owner_R == person]).size == 2 for person in np.unique(owner_R))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path)
    root = parser.parse_args().data_root
    windows = build_windows(open_reader("ecgiddb", root / "ecgiddb", "ecgiddb"))
    credit = {}
    for name, variant in {"as it is": windows, "turned up": turned_up(windows)}.items():
        score_PP = raw(*first_and_last(variant))
        rank1, error = estimates(score_PP, BOOTSTRAP)
        n = len(score_PP)
        credit[name] = outcome(everybody(n), score_PP).rank1_P
        print(
            f"{name:10} n={n}  rank-1 {rank1.value:.3f} ({rank1.ci95[0]:.3f} to {rank1.ci95[1]:.3f})"
            f"  EER {error.value:.3f} ({error.ci95[0]:.3f} to {error.ci95[1]:.3f})"
        )
    rng = np.random.default_rng(seed_for(0, "polarity"))
    gap = difference(credit["turned up"] - credit["as it is"], BOOTSTRAP, rng)
    print(f"rank-1 gained by turning: {gap.value:+.3f} ({gap.ci95[0]:+.3f} to {gap.ci95[1]:+.3f})")
    print(f"people with records of both kinds: {both_ways(windows)} of {len(windows.participants)}\n")
    for name in sorted(READERS):
        site = windows if name == "ecgiddb" else build_windows(open_reader(name, root / name, name))
        print(f"{name:8} R points down in {site.skipped.get(POINTS_DOWN, 0)} of {len(site.records)} records")


if __name__ == "__main__":
    main()
