import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb.io import _signal as wfdb_io

from transecg_core.cohorts import wfdb_files
from transecg_core.cohorts.leads import EVERY_LEAD, UnsafeRecord
from transecg_core.cohorts.wfdb_files import (
    CHECKSUM,
    choose_lead,
    inside,
    read_annotations,
    read_digital,
    read_header,
    read_signal,
)

Write = Callable[..., Path]


def test_reads_a_plain_record_in_millivolts(tmp_path: Path, write_record: Write) -> None:
    write_record(tmp_path, "100", leads=("V5", "MLII"), fs_hz=360, comments=("69 M 1085 1629 x1",))
    header = read_header(tmp_path, "100")
    assert (header.fs_hz, header.samples, header.comments) == (360.0, 3600, ("69 M 1085 1629 x1",))
    channel, lead = choose_lead(header)
    assert (channel, lead) == (1, "MLII")
    x_T = read_signal(header, channel)
    assert x_T.dtype == np.float32
    assert x_T.shape == (3600,)
    # The second lead is written with half the first one's 1 mV.
    assert 0.45 < x_T.max() < 0.6


@pytest.mark.parametrize("units", ["mV", "uV", "V"])
def test_units_become_millivolts(tmp_path: Path, write_record: Write, units: str) -> None:
    write_record(tmp_path, "a", units=units)
    assert 0.9 < read_signal(read_header(tmp_path, "a"), 0).max() < 1.1


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "http://host/a", "a b", "", "a/../b", "..", "a\\b", "é", "x" * 65, "a.b/c"]
)
def test_refuses_names_that_are_no_plain_local_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeRecord, match="plain local"):
        read_header(tmp_path, name)


@pytest.mark.parametrize("suffix", ["hea", "dat", "atr"])
def test_refuses_links_out_of_the_folder(tmp_path: Path, write_record: Write, suffix: str) -> None:
    root = tmp_path / "root"
    write_record(root, "a", beat_symbols="N")
    outside = tmp_path / f"a.{suffix}"
    (root / f"a.{suffix}").rename(outside)
    (root / f"a.{suffix}").symlink_to(outside)
    with pytest.raises(UnsafeRecord, match="outside"):
        read_annotations(root, "a", "atr") if suffix == "atr" else read_header(root, "a")


def test_follows_links_inside_the_folder_and_a_linked_root(tmp_path: Path, write_record: Write) -> None:
    write_record(tmp_path / "real", "a")
    (tmp_path / "real" / "a.dat").rename(tmp_path / "real" / "b.dat")
    (tmp_path / "real" / "a.dat").symlink_to("b.dat")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read_header(tmp_path / "link", "a").samples == 5000


def test_refuses_a_linked_folder_and_special_files(tmp_path: Path, write_record: Write) -> None:
    write_record(tmp_path / "outside", "a")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "p").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeRecord, match="outside"):
        read_header(tmp_path / "root", "p/a")
    os.mkfifo(tmp_path / "root" / "f.hea")
    with pytest.raises(UnsafeRecord, match="missing"):
        inside(tmp_path / "root", "f.hea")


@pytest.mark.parametrize("bad", [np.nan, 25.0])
def test_refuses_corrupt_samples(tmp_path: Path, write_record: Write, bad: float) -> None:
    x_T = np.zeros(5000)
    x_T[::50], x_T[77] = 1.0, bad
    write_record(tmp_path, "a", signal=x_T)
    with pytest.raises(UnsafeRecord, match=r"not numbers|beyond 20 mV"):
        read_signal(read_header(tmp_path, "a"), 0)


def test_annotations(tmp_path: Path, write_record: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path, "a", beat_symbols="NVA")
    sample_A, symbols = read_annotations(tmp_path, "a", "atr")
    assert (sample_A.tolist(), symbols) == ([250, 650, 1050], ["N", "V", "A"])
    for extension in ("../x", "ATR", "hea/x", ""):
        with pytest.raises(UnsafeRecord, match="extension"):
            read_annotations(tmp_path, "a", extension)
    with pytest.raises(UnsafeRecord, match="missing"):
        read_annotations(tmp_path, "a", "qrs")
    monkeypatch.setattr(wfdb_files, "MAX_ANNOTATION_BYTES", 3)
    with pytest.raises(UnsafeRecord, match="too long"):
        read_annotations(tmp_path, "a", "atr")


@pytest.mark.parametrize("fmt", ["16", "61", "80", "160", "212", "24", "32"])
@settings(max_examples=15)
@given(data=st.data())
def test_decodes_as_the_wfdb_package_does(
    tmp_path_factory: pytest.TempPathFactory, fmt: str, data: st.DataObject
) -> None:
    """Any bytes, any number of signals and samples, in blocks of any size: the package's own digital values."""
    folder = tmp_path_factory.mktemp("any")
    signals, samples = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 97))
    raw = data.draw(st.binary(min_size=4 * signals * samples, max_size=4 * signals * samples))
    size = wfdb_io._required_byte_num("read", fmt, signals * samples)
    (folder / "a.dat").write_bytes(raw[:size])
    lines = [f"a.dat {fmt} 200 12 0 0 0 0 I" for _ in range(signals)]
    (folder / "a.hea").write_text("\n".join([f"a {signals} 500 {samples}", *lines]))
    whole = wfdb.rdrecord(str(folder / "a"), physical=False).d_signal
    header = read_header(folder, "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wfdb_files, "BLOCK", 2 * data.draw(st.integers(1, 60)))
        ours = [read_digital(header, index) for index in range(signals)]
    assert np.array_equal(np.stack(ours, axis=1), whole)


def test_signals_in_files_of_their_own_and_of_different_formats(tmp_path: Path) -> None:
    narrow, wide = np.arange(-50, 50), np.arange(100) * 300
    wfdb.wrsamp("a", 500, ["mV"], ["II"], d_signal=narrow[:, None], fmt=["212"], adc_gain=[200.0], baseline=[0],
                write_dir=str(tmp_path))  # fmt: skip
    wfdb.wrsamp("b", 500, ["uV"], ["I"], d_signal=wide[:, None], fmt=["16"], adc_gain=[2.0], baseline=[7],
                write_dir=str(tmp_path))  # fmt: skip
    lines = [(tmp_path / f"{name}.hea").read_text().splitlines()[1] for name in ("a", "b")]
    (tmp_path / "c.hea").write_text("\n".join(["c 2 500 100", *lines]))
    decoded = wfdb_files.decode(tmp_path, "c", EVERY_LEAD)
    assert (decoded.lead, decoded.notes) == ("I", ())
    assert np.allclose(decoded.signal_mv, (wide - 7) / 2.0 / 1000)
    assert wfdb_files.signal_files(tmp_path, "c") == ("a.dat", "b.dat")
    assert np.allclose(read_signal(read_header(tmp_path, "c"), 0), narrow / 200)


def challenge(folder: Path, fmt: str = "16+24", name: bytes = b"val", dtype: str = "<i2") -> np.ndarray:
    """Write a record as the PhysioNet challenges of 2017 and 2020 do, and return its samples in ADC units."""
    x_T = np.round(1000 * np.sin(np.arange(9000) / 40)).astype(dtype)
    kind = {"<i2": 30, "<i4": 20}[dtype]
    head = np.array([kind, 1, x_T.size, 0, len(name) + 1], dtype="<i4").tobytes() + name + b"\0"
    (folder / "A00001.mat").write_bytes(head + x_T.tobytes())
    (folder / "A00001.hea").write_text(
        f"A00001 1 300 9000 05:05:15 1/05/2000\nA00001.mat {fmt} 1000/mV 16 0 -127 0 0 ECG \n"
    )
    return x_T


@pytest.mark.parametrize(
    ("fmt", "name", "dtype"),
    [("16+24", b"val", "<i2"), ("16x1+24", b"val", "<i2"), ("32+26", b"ecg_a", "<i4")],
)
def test_matlab_files_of_the_challenges(tmp_path: Path, fmt: str, name: bytes, dtype: str) -> None:
    x_T = challenge(tmp_path, fmt, name, dtype)
    decoded = wfdb_files.decode(tmp_path, "A00001", EVERY_LEAD)
    assert (decoded.fs_hz, decoded.lead, decoded.notes) == (300.0, "ECG", ())
    assert np.allclose(decoded.signal_mv, x_T / 1000)
    assert wfdb_files.signal_files(tmp_path, "A00001") == ("A00001.mat",)
    scipy_x = scipy.io.loadmat(tmp_path / "A00001.mat")[name.decode()]
    assert np.array_equal(scipy_x[0], x_T)


def test_no_other_matlab_file_is_read(tmp_path: Path) -> None:
    x_T = challenge(tmp_path)
    scipy.io.savemat(tmp_path / "A00001.mat", {"val": x_T[None]}, format="5")
    with pytest.raises(UnsafeRecord, match="not a MATLAB 4 matrix"):
        read_header(tmp_path, "A00001")
    scipy.io.savemat(tmp_path / "A00001.mat", {"val": x_T[None]}, format="4")
    assert read_header(tmp_path, "A00001").samples == 9000


@pytest.mark.parametrize("change", [0, 1])
def test_checksums_of_the_lead_that_is_read(tmp_path: Path, write_record: Write, change: int) -> None:
    header = write_record(tmp_path, "a", leads=("I", "II"))
    raw = np.fromfile(header.with_suffix(".dat"), dtype="<i2").reshape(-1, 2)
    raw[77, 0] += change
    raw[78, 1] += 1
    raw.tofile(header.with_suffix(".dat"))
    notes = wfdb_files.decode(tmp_path, "a", EVERY_LEAD).notes
    assert notes == ((CHECKSUM,) if change else ())


def test_a_checksum_of_zero_states_none(tmp_path: Path) -> None:
    x_T = challenge(tmp_path)
    assert int(x_T.sum()) % 65_536
    assert CHECKSUM not in wfdb_files.decode(tmp_path, "A00001", EVERY_LEAD).notes


@settings(max_examples=150)
@given(raw=st.binary(max_size=60) | st.binary(max_size=60).map(lambda raw: raw + b"\0\0"))
def test_any_annotation_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    np.arange(5000, dtype="<i2").tofile(folder / "a.dat")
    (folder / "a.hea").write_text("a 1 500 5000\na.dat 16 200 12 0 0 0 0 I")
    (folder / "a.atr").write_bytes(raw)
    try:
        sample_A, symbols = read_annotations(folder, "a", "atr")
    except UnsafeRecord:
        # Any other exception fails the test.
        return
    assert len(symbols) == sample_A.size > 0
    assert 0 <= sample_A[0] <= sample_A[-1] < 5000
    assert (np.diff(sample_A) >= 0).all()
