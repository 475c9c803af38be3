from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.cohorts.channels import Stated, standard_lead
from transecg_core.cohorts.edf_files import NOT_ASCII, decode, read_header
from transecg_core.cohorts.leads import EVERY_LEAD, Decoded, LeadChoice, UnsafeRecord

FS_HZ = 250


def wave(seed: int, seconds: int = 6, fs_hz: int = FS_HZ) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).standard_normal(seconds * fs_hz)) / 100


def signal(seed: int, label: str, units: str = "mV", fs_hz: int = FS_HZ) -> edfio.EdfSignal:
    scale = {"mV": 1.0, "uV": 1e3, "V": 1e-3}.get(units, 1.0)
    return edfio.EdfSignal(
        scale * wave(seed, fs_hz=fs_hz),
        fs_hz,
        label=label,
        physical_dimension=units,
        physical_range=(-5 * scale, 5 * scale),
    )


def write(root: Path, *signals: edfio.EdfSignal, annotated: bool = False) -> Path:
    marks = [edfio.EdfAnnotation(k / 2, None, f"mark {k}") for k in range(9)] if annotated else None
    edfio.Edf(list(signals), annotations=marks, data_record_duration=1).write(root / "a.edf")
    return root


@pytest.mark.parametrize("units", ["mV", "uV", "V"])
@pytest.mark.parametrize("annotated", [False, True])
def test_the_lead_comes_back_in_millivolts(tmp_path: Path, units: str, annotated: bool) -> None:
    root = write(tmp_path, signal(1, "SpO2", "%", 4), signal(2, "EKG II", units), signal(3, "EKG I", units, 500),
                 annotated=annotated)  # fmt: skip
    got = decode(root, "a.edf", Stated(), EVERY_LEAD)
    assert (got.lead, got.fs_hz, got.signal_mv.dtype) == ("I", 500.0, np.float32)
    # Half a step of 16 bits over 10 mV, and float32.
    np.testing.assert_allclose(got.signal_mv, wave(3, fs_hz=500), atol=0.6 * 10 / 65535)
    other = decode(root, "a.edf", Stated(lead="II"), EVERY_LEAD)
    assert (other.lead, other.fs_hz) == ("II", 250.0)
    np.testing.assert_allclose(other.signal_mv, wave(2), atol=0.6 * 10 / 65535)


def test_an_inverted_range_turns_the_signal(tmp_path: Path) -> None:
    root = write(tmp_path, signal(1, "ECG I"))
    raw = bytearray((root / "a.edf").read_bytes())
    at = 256 + 16 + 80 + 8
    raw[at : at + 16] = raw[at + 8 : at + 16] + raw[at : at + 8]
    (root / "a.edf").write_bytes(raw)
    np.testing.assert_allclose(decode(root, "a.edf", Stated(), EVERY_LEAD).signal_mv, -wave(1), atol=2e-4)


@pytest.mark.parametrize(
    ("label", "lead"),
    [("ECG I", "I"), ("EKG II", "II"), ("ekg-v5", "V5"), ("ECG_aVF", "AVF"), ("Lead III", "III"), ("ECG Lead I", "I"),
     ("ECG", "ECG"), ("EKG1", "ECG"), ("I", "I"), ("MLII", "MLII")],
)  # fmt: skip
def test_labels(label: str, lead: str) -> None:
    assert standard_lead(label) == lead


def test_a_label_without_a_lead_is_read_only_on_the_sites_word(tmp_path: Path) -> None:
    root = write(tmp_path, signal(1, "ECG"))
    with pytest.raises(UnsafeRecord, match="no lead in its label"):
        decode(root, "a.edf", Stated(), EVERY_LEAD)
    assert decode(root, "a.edf", Stated(lead="II"), EVERY_LEAD).lead == "II"
    assert decode(root, "a.edf", Stated(), LeadChoice(names={"ECG": "V5"})).lead == "V5"
    # Whoever asks for another lead than the site says it is gets nothing.
    with pytest.raises(UnsafeRecord, match="no lead I "):
        decode(root, "a.edf", Stated(lead="II"), LeadChoice(wanted="I"))


def test_the_column_names_the_channel_and_the_lead_says_what_it_is(tmp_path: Path) -> None:
    root = write(tmp_path, signal(1, "ECG 1"), signal(2, "ECG 2"), signal(3, "ECG 2 filtered"))
    got = decode(root, "a.edf", Stated(lead="I", column="ECG 2"), EVERY_LEAD)
    np.testing.assert_allclose(got.signal_mv, wave(2), atol=2e-4)
    with pytest.raises(UnsafeRecord, match="no lead I "):
        decode(root, "a.edf", Stated(lead="I"), EVERY_LEAD)
    with pytest.raises(UnsafeRecord, match="no channel of the column's name"):
        decode(root, "a.edf", Stated(lead="I", column="ECG"), EVERY_LEAD)


def test_the_wanted_lead_of_the_run_comes_before_the_tables(tmp_path: Path) -> None:
    root = write(tmp_path, signal(1, "I"), signal(2, "II"))
    assert decode(root, "a.edf", Stated(lead="I"), LeadChoice(wanted="II")).lead == "II"


def test_a_unit_that_the_file_leaves_out_is_the_tables(tmp_path: Path) -> None:
    root = write(tmp_path, signal(1, "I", ""))
    with pytest.raises(UnsafeRecord, match="millivolts"):
        decode(root, "a.edf", Stated(), EVERY_LEAD)
    np.testing.assert_allclose(
        decode(root, "a.edf", Stated(units="mV"), EVERY_LEAD).signal_mv, wave(1), atol=2e-4
    )


def test_nothing_of_the_patients_header_is_kept(tmp_path: Path) -> None:
    marked = edfio.Edf(
        [signal(1, "I")], patient=edfio.Patient(code="H-4711", name="Anna"), data_record_duration=1
    )
    marked.write(tmp_path / "a.edf")
    assert b"H-4711" in (tmp_path / "a.edf").read_bytes()
    assert "4711" not in repr(read_header(tmp_path, "a.edf"))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "label",
    [" EDF Annotations", "EDF Annotations", "EDF\xa0Annotations", "EDF Annotations\xa0", "BDF Annotations"],
)
def test_no_channel_is_taken_for_its_neighbour(tmp_path: Path, label: str, place: int) -> None:
    others = [signal(1, "I"), signal(2, "II")]
    root = write(tmp_path, *others[:place], signal(3, "x" * 16), *others[place:])
    raw = (root / "a.edf").read_bytes()
    (root / "a.edf").write_bytes(raw.replace(b"x" * 16, label.encode("latin-1").ljust(16)[:16]))
    for seed, lead in ((1, "I"), (2, "II")):
        got = decode(root, "a.edf", Stated(lead=lead), EVERY_LEAD)
        np.testing.assert_allclose(got.signal_mv, wave(seed), atol=0.6 * 10 / 65535)


def test_a_decoder_that_counts_signals_otherwise_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, signal(1, "I"), signal(2, "II"))
    monkeypatch.setattr(edfio.Edf, "signals", property(lambda edf: edf._signals[1:]))
    with pytest.raises(UnsafeRecord, match="can't be told apart"):
        decode(root, "a.edf", Stated(), EVERY_LEAD)


@settings(max_examples=150)
@given(at=st.integers(0, 1023), new=st.binary(min_size=1, max_size=12), cut=st.integers(0, 5000))
def test_a_header_with_any_bytes_in_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, new: bytes, cut: int
) -> None:
    root = write(tmp_path_factory.mktemp("edf"), signal(1, "I"), signal(2, "II"), annotated=True)
    raw = bytearray((root / "a.edf").read_bytes())
    raw[at : at + len(new)] = new
    (root / "a.edf").write_bytes(raw[:-cut] if cut % 4 == 1 else raw)
    try:
        got = decode(root, "a.edf", Stated(), EVERY_LEAD)
    except UnsafeRecord:
        return
    assert isinstance(got, Decoded)
    assert np.isfinite(got.signal_mv).all()
    assert 0 < got.fs_hz <= 10_000


@pytest.mark.parametrize("micro", ["µV".encode("latin-1"), "µV".encode(), "μV".encode()])
def test_the_sign_of_micro_is_read_and_noted(tmp_path: Path, micro: bytes) -> None:
    root = write(tmp_path, signal(2, "EKG II", "uV"))
    raw = bytearray((root / "a.edf").read_bytes())
    at = 256 + 16 + 80  # one signal: its dimension follows label and transducer
    assert raw[at : at + 2] == b"uV"
    raw[at : at + len(micro)] = micro
    (root / "a.edf").write_bytes(raw)
    got = decode(root, "a.edf", Stated(), EVERY_LEAD)
    np.testing.assert_allclose(got.signal_mv, wave(2), atol=0.6 * 10 / 65535)
    assert got.notes == (NOT_ASCII,)


@pytest.mark.parametrize(
    "name", ["MÜLLER", "Groß", "Müller", "Çelik", "Łoś", "\x1b$B;3ED\x1b(B", "A\tB", "\0"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
def test_whose_name_is_in_the_header_decides_nothing(tmp_path: Path, name: str, encoding: str) -> None:
    root = write(tmp_path, signal(2, "EKG II"))
    raw = bytearray((root / "a.edf").read_bytes())
    patient = name.encode(encoding, errors="replace")
    raw[8 : 8 + len(patient)] = patient
    (root / "a.edf").write_bytes(raw)
    got = decode(root, "a.edf", Stated(), EVERY_LEAD)
    np.testing.assert_allclose(got.signal_mv, wave(2), atol=0.6 * 10 / 65535)
    assert got.notes == ()
