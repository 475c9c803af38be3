"""Hostile WFDB datasets: headers, signal files, annotations, links."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import wfdb
from hostile import GOOD, Case, Expect

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import SiteSource

FS_HZ, SECONDS = 360, 12
SAMPLES = FS_HZ * SECONDS


def ecg(seed: int) -> np.ndarray:
    """Return a crude ECG in mV, shape (T,): a beat every 0.8 s."""
    t_T = np.arange(SAMPLES) / FS_HZ
    x_T = 0.01 * np.random.default_rng(seed).standard_normal(t_T.size)
    for at in np.arange(0.5, SECONDS, 0.8):
        x_T += np.exp(-0.5 * ((t_T - at) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((t_T - at - 0.26) / 0.04) ** 2)
    return x_T


def write(root: Path, record: str = "101", seed: int = 1, comment: str = "69 M 1085 1629 x1") -> Path:
    """Write a record in the layout of mitdb and return its header's path."""
    root.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        record,
        FS_HZ,
        ["mV", "mV"],
        ["MLII", "V5"],
        np.stack([ecg(seed), 0.5 * ecg(seed)], axis=1),
        fmt=["16", "16"],
        comments=[comment],
        write_dir=str(root),
    )
    beats_B = np.arange(0.5, SECONDS, 0.8) * FS_HZ
    wfdb.wrann(record, "atr", beats_B.astype(np.int64), symbol=["N"] * beats_B.size, write_dir=str(root))
    return root / f"{record}.hea"


def mitdb(root: Path) -> SiteSource:
    return open_reader("mitdb", root, "clinic")


def case(name: str, spoil: Callable[[Path], None], expect: Expect, reason: str) -> Case:
    """Return a case on a dataset in mitdb's layout: record 100 is good, 101 is for `spoil` to spoil."""

    def build(root: Path) -> None:
        write(root, GOOD, seed=0)
        write(root)
        spoil(root)

    return Case(name, build, expect, reason, mitdb)


def cut_signal(root: Path) -> None:
    data = root / "101.dat"
    data.write_bytes(data.read_bytes()[:-100])


def cases() -> list[Case]:
    """Return all cases, each on a dataset of its own."""
    return [case("signal file cut short", cut_signal, "skipped", "signal file shorter than its header says")]
