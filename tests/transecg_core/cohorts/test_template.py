import csv
from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np
import pytest

from transecg_core.cohorts.folder import open_folder
from transecg_core.cohorts.schema import SkipLog
from transecg_core.cohorts.table_text import COLUMNS
from transecg_core.cohorts.template import GUIDE, HEADER, MEANING, write
from transecg_core.errors import UserError

Write = Callable[..., Path]
DOCS = Path(__file__).parents[3] / "docs" / "data.md"


@pytest.fixture
def recordings(tmp_path: Path, write_record: Write) -> Path:
    root = tmp_path / "site"
    write_record(root / "ward 1", "w2", leads=("V5", "II"), fs_hz=360, units="uV", beat_symbols="NNV")
    write_record(root, "w10", leads=("CM5",))
    x_T = np.sin(np.arange(2500) / 20)
    patient = edfio.Patient(code="H-4711", name="Anna")
    edfio.Edf([edfio.EdfSignal(x_T, 250, label="EKG I", physical_dimension="mV")], patient=patient).write(
        root / "e.edf"
    )
    (root / "c.csv").write_text(
        "time,ECG II\n" + "".join(f"{k / 250:.3f},{x:.4f}\n" for k, x in enumerate(x_T))
    )
    (root / "bare.csv").write_text("".join(f"{x:.4f}\n" for x in x_T))
    (root / "broken.edf").write_bytes(b"0")
    (root / "=x.edf").write_bytes(b"0")
    (root / "notes.txt").write_text("not a recording")
    return root


def rows(root: Path) -> dict[str, dict[str, str]]:
    with (root / "participants.csv").open(newline="") as handle:
        return {row["record"]: row for row in csv.DictReader(handle)}


def test_what_files_say_is_filled_in_and_nothing_else(recordings: Path) -> None:
    made = write(recordings)
    found = rows(recordings)
    assert made.kinds == {"csv": 2, "edf": 2, "wfdb": 2}
    assert list(found) == ["bare.csv", "broken.edf", "c.csv", "e.edf", "w10", "ward 1/w2"]
    said = {
        name: {key: value for key, value in row.items() if value and key != "record"}
        for name, row in found.items()
    }
    assert said == {
        "ward 1/w2": {"lead": "II", "fs-hz": "360", "units": "uV", "beats": "atr"},
        "e.edf": {"lead": "I", "fs-hz": "250", "units": "mV"},
        "c.csv": {"lead": "II"},
        "w10": {},
        "bare.csv": {},
        "broken.edf": {},
    }
    problems = dict(made.problems)
    assert problems["'=x.edf'"] == "record: name is not a plain local one; rename it"
    assert problems["broken.edf"] == "record: EDF header is cut off"
    assert "no known lead" in problems["w10"]
    assert "Anna" not in (recordings / "participants.csv").read_text()


def test_the_template_is_valid_once_participants_are_filled_in(recordings: Path) -> None:
    write(recordings)
    with pytest.raises(UserError, match="participant is blank in all 6 rows; fill it in"):
        open_folder(recordings, "clinic")
    text = (recordings / "participants.csv").read_text()
    filled = [text.splitlines()[0]]
    for number, line in enumerate(text.splitlines()[1:]):
        record, _, *rest = line.split(",")
        filled.append(",".join((record, f"P{number}", *rest)))
    (recordings / "participants.csv").write_text("\n".join(filled) + "\n")
    skips = SkipLog()
    read = {r.record: r for r in open_folder(recordings, "clinic").read(skips)}
    assert {(name, r.lead, r.fs_hz) for name, r in read.items()} == {
        ("ward 1/w2", "II", 360.0),
        ("e.edf", "I", 250.0),
    }
    # What only the site knows is asked for by name.
    reasons = dict(skips.items)
    assert reasons["c.csv"] == "record: CSV without units in the table"
    assert reasons["bare.csv"] == "record: CSV without header; name its lead in the table"


def test_nothing_is_ever_overwritten(recordings: Path) -> None:
    (recordings / GUIDE).write_text("ours")
    write(recordings)
    assert (recordings / GUIDE).read_text() == "ours"
    table = recordings / "participants.csv"
    table.write_text("days of work")
    with pytest.raises(UserError, match="is there already; move it away first"):
        write(recordings)
    assert table.read_text() == "days of work"
    table.unlink()
    table.symlink_to(recordings / "elsewhere.csv")
    with pytest.raises(UserError, match="is there already"):
        write(recordings)
    assert not (recordings / "elsewhere.csv").exists()


def test_folders_without_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no recording found"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_column_is_explained_in_the_guide_and_the_docs(recordings: Path) -> None:
    assert tuple(MEANING) == COLUMNS
    assert set(HEADER) <= set(COLUMNS)
    guide, docs = (recordings / write(recordings).guide.name).read_text(), DOCS.read_text()
    for name, meaning in MEANING.items():
        assert f"| `{name}` | {meaning} |" in guide
        assert f"| `{name}` | {meaning} |" in docs
