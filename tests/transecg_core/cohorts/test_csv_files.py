from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.cohorts import csv_files
from transecg_core.cohorts.channels import Stated
from transecg_core.cohorts.csv_files import decode
from transecg_core.cohorts.leads import EVERY_LEAD, LeadChoice, UnsafeRecord

SAID = Stated(lead="I", fs_hz=500.0, units="mV")


def write(root: Path, text: str | bytes) -> Path:
    (root / "a.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def test_one_column_without_header(tmp_path: Path) -> None:
    got = decode(write(tmp_path, "0.5\n-1\n+2e-1\n .25 \n"), "a.csv", SAID, EVERY_LEAD)
    assert (got.fs_hz, got.lead, got.signal_mv.tolist()) == (500.0, "I", [0.5, -1.0, np.float32(0.2), 0.25])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_column_per_lead(tmp_path: Path, separator: str, end: str) -> None:
    text = "ECG II,V5,I\n1,2,3\n4,5,6\n".replace(",", separator).replace("\n", end)
    root = write(tmp_path, "\ufeff" + text)
    said = Stated(fs_hz=500.0, units="mV")
    assert decode(root, "a.csv", said, EVERY_LEAD).signal_mv.tolist() == [3.0, 6.0]
    assert decode(root, "a.csv", said, LeadChoice(wanted="II")).signal_mv.tolist() == [1.0, 4.0]
    by_column = Stated(lead="I", column="V5", fs_hz=500.0, units="mV")
    assert decode(root, "a.csv", by_column, EVERY_LEAD).signal_mv.tolist() == [2.0, 5.0]


def test_units_become_millivolts(tmp_path: Path) -> None:
    root = write(tmp_path, "1\n2\n")
    values = [
        decode(root, "a.csv", Stated("I", None, 500.0, unit), EVERY_LEAD).signal_mv[1]
        for unit in ("mV", "uV")
    ]
    assert values == [2.0, np.float32(0.002)]


@given(
    values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=60),
    block=st.integers(4, 80),
    header=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    closed=st.booleans(),
)
@settings(max_examples=100)
def test_blocks_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    block: int,
    header: bool,
    end: str,
    closed: bool,
) -> None:
    root = tmp_path_factory.mktemp("csv")
    lines = ["I"] * header + [f"{value:.6g}" for value in values]
    write(root, end.join(lines) + end * closed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BLOCK", max(block, 24))
        got = decode(root, "a.csv", SAID, EVERY_LEAD).signal_mv
    np.testing.assert_array_equal(
        got, np.array([f"{value:.6g}" for value in values], dtype=float).astype(np.float32)
    )


@pytest.mark.parametrize("rate", [100.0, 128.0, 250.0, 257.5, 360.0, 500.0, 1000.0])
@pytest.mark.parametrize("decimals", [3, 6])
def test_the_rate_follows_from_time_stamps(tmp_path: Path, rate: float, decimals: int) -> None:
    time_T = 12.0 + np.arange(round(10 * rate)) / rate
    root = write(tmp_path, "I,Time\n" + "".join(f"0.1,{t:.{decimals}f}\n" for t in time_T))
    got = decode(root, "a.csv", Stated(units="mV"), EVERY_LEAD).fs_hz
    # A whole number of Hz is found exactly even where stamps are rounded to a millisecond.
    assert got == pytest.approx(rate, rel=1e-3 if rate == 257.5 else 1e-12)


@given(
    rate=st.floats(90, 1200)
    | st.integers(90, 1200).map(float)
    | st.sampled_from([249.8, 359.7, 255.9, 257.5, 499.95]),
    start=st.sampled_from([0.0, 12.0, 86_399.5, 1.7e9]),
    decimals=st.integers(4, 9),
    trimmed=st.booleans(),
    count=st.integers(200, 20_000),
)
@settings(max_examples=200)
def test_a_rate_is_rounded_only_where_stamps_cant_tell(
    rate: float, start: float, decimals: int, trimmed: bool, count: int
) -> None:
    text = [f"{t:.{decimals}f}" for t in start + np.arange(count) / rate]
    printed = np.array([float(t.rstrip("0")) if trimmed else float(t) for t in text])
    got = csv_files._rate(
        Stated(), [part for part in np.split(printed, [count // 3, count - 1]) if part.size]
    )
    # A unit of the last place that any stamp needs, and what is lost after 1.7e9 s in float64.
    unit_s = 10.0 ** -max(len(t.partition(".")[2].rstrip("0")) for t in text[-100:]) + 1e-15 * start
    assert abs((count - 1) / got - (count - 1) / rate) <= 2.1 * unit_s
    # Where the stamps leave less than a third of a Hz open, a whole rate comes out as such.
    if rate == round(rate) and rate**2 * unit_s < 0.3 * (count - 1):
        assert got == rate


def test_seconds_off_in_an_hour_are_no_whole_rate(tmp_path: Path) -> None:
    for rate in (249.8, 359.7, 255.9):
        root = write(tmp_path, "I,time\n" + "".join(f"0.1,{k / rate:.6f}\n" for k in range(20_000)))
        assert decode(root, "a.csv", Stated(units="mV"), EVERY_LEAD).fs_hz == pytest.approx(rate, rel=1e-7)


@pytest.mark.parametrize("rate", [250, 360, 500, 1000])
@pytest.mark.parametrize("lost", [1, 2, 50])
@pytest.mark.parametrize("block", [14 * 50, 1 << 20])
def test_a_lost_sample_is_seen(
    tmp_path: Path, rate: int, lost: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lines are 12 or 13 bytes: with small blocks the gap falls inside of some, and between others.
    monkeypatch.setattr(csv_files, "BLOCK", block)
    time_T = np.delete(np.arange(10 * rate) / rate, slice(3 * rate, 3 * rate + lost))
    root = write(tmp_path, "time,I\n" + "".join(f"{t:.5f},0.1\n" for t in time_T))
    with pytest.raises(UnsafeRecord, match="gaps"):
        decode(root, "a.csv", Stated(units="mV"), EVERY_LEAD)


def test_long_recordings_are_refused_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "MAX_SAMPLES", 1000)
    monkeypatch.setattr(csv_files, "BLOCK", 256)
    with pytest.raises(UnsafeRecord, match="longer than 1000"):
        decode(write(tmp_path, "0\n" * 1001), "a.csv", SAID, EVERY_LEAD)
    assert decode(write(tmp_path, "0\n" * 1000), "a.csv", SAID, EVERY_LEAD).signal_mv.size == 1000
    monkeypatch.setattr(csv_files, "MAX_BYTES", 100)
    with pytest.raises(UnsafeRecord, match="too long"):
        decode(tmp_path, "a.csv", SAID, EVERY_LEAD)


@given(st.binary(max_size=200))
def test_any_bytes_are_numbers_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    root = tmp_path_factory.mktemp("csv")
    for content in (raw, b"I,time\n" + raw, b"0.1\n" + raw):
        write(root, content)
        for said in (SAID, Stated(units="mV")):
            with suppress(UnsafeRecord):
                assert np.isfinite(decode(root, "a.csv", said, EVERY_LEAD).signal_mv).all()
