"""Tiny datasets in PhysioNet's layouts, written with the wfdb package."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb

WriteRecord = Callable[..., Path]


def beats(seconds: float, fs_hz: float, seed: int) -> np.ndarray:
    """Return a crude ECG in mV: spikes of 1 mV and 0.3 mV T waves, a beat every 0.8 s."""
    t_T = np.arange(round(seconds * fs_hz)) / fs_hz
    x_T = 0.01 * np.random.default_rng(seed).standard_normal(t_T.size)
    for at in np.arange(0.5, seconds, 0.8):
        x_T += np.exp(-0.5 * ((t_T - at) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((t_T - at - 0.26) / 0.04) ** 2)
    return x_T


@pytest.fixture
def write_record() -> WriteRecord:
    def write(
        folder: Path,
        name: str,
        *,
        leads: Sequence[str] = ("I",),
        fs_hz: int = 500,
        seconds: float = 10.0,
        comments: Sequence[str] = (),
        units: str = "mV",
        signal: np.ndarray | None = None,
        seed: int = 0,
        beat_symbols: str = "",
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        scale = {"mV": 1.0, "uV": 1e3, "V": 1e-3, "mmHg": 1.0}[units]
        x_T = beats(seconds, fs_hz, seed) if signal is None else signal
        # Every lead has its own gain: half the amplitude of the one before.
        x_TC = np.stack([scale * x_T / 2**k for k in range(len(leads))], axis=1)
        wfdb.wrsamp(
            name,
            fs=fs_hz,
            units=[units] * len(leads),
            sig_name=list(leads),
            p_signal=x_TC,
            fmt=["16"] * len(leads),
            comments=list(comments),
            write_dir=str(folder),
        )
        if beat_symbols:
            at = np.round((0.5 + 0.8 * np.arange(len(beat_symbols))) * fs_hz).astype(np.int64)
            wfdb.wrann(name, "atr", at, symbol=list(beat_symbols), write_dir=str(folder))
        return folder / f"{name}.hea"

    return write


@pytest.fixture
def ecgiddb_folder(tmp_path: Path, write_record: WriteRecord) -> Path:
    """Person_01: two days, ten records' worth of numbering traps; Person_02: unknown age."""
    root = tmp_path / "ecgiddb"
    leads = ("ECG I", "ECG I filtered")
    for k, (number, day) in enumerate((("1", "07.12.2004"), ("2", "07.12.2004"), ("10", "03.02.2005"))):
        about = ("Age: 25", "Sex: male", f"ECG date: {day}")
        write_record(root / "Person_01", f"rec_{number}", leads=leads, comments=about, seed=k)
    about = ("Age: -", "Sex: female", "ECG date: 01.01.2005")
    write_record(root / "Person_02", "rec_1", leads=leads, comments=about, seed=9)
    return root


@pytest.fixture
def ptbxl_folder(tmp_path: Path, write_record: WriteRecord) -> Path:
    root = tmp_path / "ptbxl"
    lines = (
        # ecg_id, patient, age, sex, date, codes
        ("1", "15709.0", "56.0", "1", "1984-11-09 09:17:34", "{'NORM': 100.0, 'SR': 0.0}"),
        ("2", "15709.0", "57.0", "1", "1985-11-09 09:17:34", "{'IMI': 35.0}"),
        ("3", "13243.0", "", "0", "1984-11-14 12:55:37", "{'SR': 0.0}"),
        ("4", "13244.0", "300.0", "0", "1984-11-14 12:55:37", "{'NORM': 80.0, 'IMI': 15.0}"),
        ("145", "16690.0", "40.0", "", "1984-11-14 12:55:37", "{'NORM': 80.0}"),
        ("463", "16723.0", "40.0", "0", "1984-11-14 12:55:37", "__import__('os').getpid()"),
    )
    for seed, (ecg_id, *_) in enumerate(lines):
        write_record(
            root / "records100" / "00000", f"{int(ecg_id):05d}_lr", leads=("I", "II"), fs_hz=100, seed=seed
        )
    with (root / "ptbxl_database.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(["ecg_id", "patient_id", "age", "sex", "recording_date", "scp_codes", "filename_lr"])
        table.writerows([[*line, f"records100/00000/{int(line[0]):05d}_lr"] for line in lines])
    statements = ",diagnostic,diagnostic_class\nNORM,1.0,NORM\nIMI,1.0,MI\nSR,,\n"
    (root / "scp_statements.csv").write_text(statements)
    return root
