import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transecg_core.cohorts import wfdb_files
from transecg_core.cohorts.leads import LEADS, UnsafeRecord, lead_name
from transecg_core.cohorts.wfdb_files import (
    choose_lead,
    inside,
    read_annotations,
    read_header,
    read_signal,
)

Write = Callable[..., Path]


def edit(header: Path, old: str, new: str) -> None:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))


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
    ("old", "new", "reason"),
    [
        ("a.dat", "../a.dat", "plain local"),
        ("a.dat", "/etc/passwd", "plain local"),
        ("a.dat", "s3://bucket/a.dat", "plain local"),
        ("a.dat", "~", "plain local"),
        ("a.dat", "other.dat", "missing"),
        ("a.dat 16", "a.dat 516", "format"),
        ("a.dat 16", "a.dat 16x4", "format"),
        ("a.dat 16", "a.dat 16+9999999", "shorter"),
        ("a.dat 16", "a.dat 16:5", "format"),
        ("a 1 500 5000", "a/2 1 500 5000", "multi-segment"),
        ("a 1 500 5000", "b 1 500 5000", "another"),
        ("a 1 500 5000", "a 1 500 5001", "shorter"),
        ("a 1 500 5000", "a 1 500 49999999", "shorter"),
        ("a 1 500 5000", "a 1 500 99999999999999", "out of bounds"),
        ("a 1 500 5000", "a 1 500 " + "9" * 5000, "malformed"),
        ("a 1 500 5000", "a 1 500 0", "out of bounds"),
        ("a 1 500 5000", "a 1 500 -5", "malformed"),
        ("a 1 500 5000", "a 1 50000 5000", "out of bounds"),
        ("a 1 500 5000", "a 1 0 5000", "out of bounds"),
        ("a 1 500 5000", "a 1 nan 5000", "malformed"),
        ("a 1 500 5000", "a 17 500 5000", "out of bounds"),
        ("a 1 500 5000", "a 2 500 5000", "signal count"),
        ("a 1 500 5000", "a 1", "lacks"),
        ("a 1 500 5000", "", "header"),
        ("a 1 500 5000", "#" * 70_000 + "\na 1 500 5000", "too long"),
    ],
)
def test_refuses_hostile_headers(
    tmp_path: Path, write_record: Write, old: str, new: str, reason: str
) -> None:
    edit(write_record(tmp_path, "a"), old, new)
    with pytest.raises(UnsafeRecord, match=reason):
        read_header(tmp_path, "a")


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=200) | st.from_regex(r"a \d 500 \d{1,5}\n(a\.dat 16 200\(0\)/mV 16 0 0 0 0 I\n)*")
)
def test_any_header_is_read_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(4000))
    (tmp_path / "a.hea").write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        header = read_header(tmp_path, "a")
    except UnsafeRecord:
        # Any other exception fails the test.
        return
    assert header.samples * len(header.channels) * 2 <= 4000


@pytest.mark.parametrize("bad", [np.nan, 25.0])
def test_refuses_corrupt_samples(tmp_path: Path, write_record: Write, bad: float) -> None:
    x_T = np.zeros(5000)
    x_T[::50], x_T[77] = 1.0, bad
    write_record(tmp_path, "a", signal=x_T)
    with pytest.raises(UnsafeRecord, match=r"not numbers|beyond 20 mV"):
        read_signal(read_header(tmp_path, "a"), 0)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("ECG I", "I"), ("i", "I"), ("MLII", "MLII"), ("avr", "AVR"), ("ECG I filtered", "I FILTERED"), ("mod.V1", "MOD.V1")],
)  # fmt: skip
def test_lead_names(spelling: str, name: str) -> None:
    assert lead_name(spelling) == name


def test_lead_choice_prefers_i_then_ii_and_needs_a_known_one(tmp_path: Path, write_record: Write) -> None:
    write_record(tmp_path, "all", leads=("V5", "ii", "ECG I filtered", "ECG I"))
    assert choose_lead(read_header(tmp_path, "all")) == (3, "I")
    write_record(tmp_path, "none", leads=("D3", "CM5", "ECG I filtered"))
    with pytest.raises(UnsafeRecord, match="no known lead"):
        choose_lead(read_header(tmp_path, "none"))
    write_record(tmp_path, "pressure", units="mmHg")
    with pytest.raises(UnsafeRecord, match="no known lead"):
        choose_lead(read_header(tmp_path, "pressure"))
    assert len(set(LEADS)) == len(LEADS)


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
