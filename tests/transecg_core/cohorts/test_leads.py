from collections.abc import Callable
from pathlib import Path

import pytest

from transecg_core.cohorts.leads import LEADS, UnsafeRecord, lead_name
from transecg_core.cohorts.wfdb_files import choose_lead, read_header

Write = Callable[..., Path]


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
