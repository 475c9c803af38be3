"""Folders as an institution would hand them over: synthetic people written as CSV, EDF and WFDB."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import edfio
import numpy as np
import wfdb

from transecg_core.cohorts.schema import Recording, SkipLog
from transecg_core.cohorts.synthetic import open_site

COLUMNS = ("record", "participant", "session", "age", "sex", "lead", "fs-hz", "units")


def write_site(
    root: Path, cohort: str, kinds: Sequence[str], people: int = 6, columns: Sequence[str] = COLUMNS
) -> Path:
    """Write the people of a synthetic site, file types taking turns; `columns` are the table's own names."""
    root.mkdir(parents=True)
    with (root / "participants.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(columns)
        for number, recording in enumerate(open_site(cohort, people, seed=5).read(SkipLog())):
            kind = kinds[number % len(kinds)]
            name = _WRITERS[kind](root, f"r{number:03d}", recording)
            said = (recording.lead, f"{recording.fs_hz:g}", "mV") if kind == "csv" else ("", "", "")
            age = f"{recording.age:.0f}"
            table.writerow((name, recording.participant, recording.session, age, recording.sex, *said))
    return root


def _csv(root: Path, name: str, recording: Recording) -> str:
    (root / f"{name}.csv").write_text("".join(f"{value:.4f}\n" for value in recording.signal_mv))
    return f"{name}.csv"


def _edf(root: Path, name: str, recording: Recording) -> str:
    x_T = recording.signal_mv[: len(recording.signal_mv) // round(recording.fs_hz) * round(recording.fs_hz)]
    signal = edfio.EdfSignal(
        x_T.astype(np.float64), recording.fs_hz, label=f"ECG {recording.lead}", physical_dimension="mV",
        physical_range=(-20, 20),
    )  # fmt: skip
    edfio.Edf([signal]).write(root / f"{name}.edf")
    return f"{name}.edf"


def _wfdb(root: Path, name: str, recording: Recording) -> str:
    wfdb.wrsamp(
        name, fs=recording.fs_hz, units=["mV"], sig_name=[recording.lead], fmt=["16"],
        p_signal=recording.signal_mv.astype(np.float64)[:, None], write_dir=str(root),
    )  # fmt: skip
    return name


_WRITERS = {"csv": _csv, "edf": _edf, "wfdb": _wfdb}
