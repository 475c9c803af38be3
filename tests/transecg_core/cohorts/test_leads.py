from collections.abc import Callable
from pathlib import Path

import pytest

from transecg_core.cohorts.leads import LEADS, LeadChoice, UnsafeRecord, lead_name
from transecg_core.cohorts.qtdb import NEAREST_LEAD
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


@pytest.mark.parametrize("spelling", sorted(NEAREST_LEAD))
def test_holter_leads_are_read_as_the_nearest_and_noted(spelling: str) -> None:
    choice = LeadChoice(nearest=NEAREST_LEAD)
    lead = NEAREST_LEAD[spelling]
    assert lead in LEADS
    assert choice.pick(["unknown", spelling], ["mV", "mV"]) == (1, lead)
    assert choice.note(spelling) == f"record kept: lead {spelling} read as {lead}"
    assert LeadChoice(wanted=lead, nearest=NEAREST_LEAD).pick([spelling], ["mV"]) == (0, lead)
    with pytest.raises(UnsafeRecord, match="no known lead"):
        LeadChoice().pick([spelling], ["mV"])
    # A site that says what its spelling means is taken at its word.
    own = LeadChoice(names={spelling: "II"}, nearest=NEAREST_LEAD)
    assert own.pick([spelling], ["mV"]) == (0, "II")
    assert own.note(spelling) is None


@pytest.mark.parametrize("spelling", ["ECG", "ecg", "EKG", "ECG1", "ECG 2"])
def test_a_lead_called_nothing_but_ecg_is_the_last_resort(spelling: str) -> None:
    assert LeadChoice().pick([spelling, "V6"], ["mV", "uV"]) == (1, "V6")
    assert LeadChoice().pick([spelling], ["mV"]) == (0, "ECG")
