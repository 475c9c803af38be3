from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transecg_core.cohorts.leads import EVERY_LEAD, UnsafeRecord
from transecg_core.cohorts.wfdb_files import decode, read_header
from transecg_core.cohorts.wfdb_headers import ASSUMED_GAIN, INVERTED_GAIN, parse

Write = Callable[..., Path]


def edit(header: Path, old: str, new: str) -> None:
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))


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


@pytest.mark.parametrize(
    ("word", "zero", "mv"),
    [
        ("200", 0, 1.0),
        ("200", 100, 0.5),
        ("200(0)", 100, 1.0),
        ("200(-100)/mV", 0, 1.5),
        ("1716(6)/mV", 0, 194 / 1716),
        ("0", 0, 1.0),
        ("0(0)/mV", 0, 1.0),
        ("-200", 0, -1.0),
        (".5/uV", 0, 0.4),
        ("2e2/mV", 0, 1.0),
        ("200./mV", 0, 1.0),
        ("200000/V", 0, 1.0),
    ],
)
def test_gains(tmp_path: Path, word: str, zero: int, mv: float) -> None:
    np.array([200, 0, 200], dtype="<i2").tofile(tmp_path / "a.dat")
    (tmp_path / "a.hea").write_text(f"a 1 500 3\na.dat 16 {word} 16 {zero} 0 0 0 I")
    decoded = decode(tmp_path, "a", EVERY_LEAD)
    assert decoded.signal_mv[0] == pytest.approx(mv)
    assert decoded.notes == (
        (ASSUMED_GAIN,) if mv == 1.0 and word[0] == "0" else (INVERTED_GAIN,) if mv < 0 else ()
    )


@given(st.text(alphabet="0123456789.-+e()/mVnaif", max_size=24))
def test_any_gain_is_a_number_or_refused(word: str) -> None:
    try:
        channel = parse(f"a 1 500 3\na.dat 16 {word or '?'} 16 0 0 0 0 I".encode(), "a").channels[0]
    except UnsafeRecord:
        return
    assert 1e-3 <= abs(channel.gain) <= 1e9


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding: str, end: str) -> None:
    text = end.join(["a 1 500/360(0) 5", "a.dat 16 200 12 0 0 0 0 ECG I ", "", "# Name: Müller"])
    header = parse(text.encode(encoding), "a")
    assert (header.fs_hz, header.samples, header.comments) == (500.0, 5, ("Name: Müller",))
    assert header.channels[0].lead == "ECG I"
