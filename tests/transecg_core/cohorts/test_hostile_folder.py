"""Every hostile folder, table, EDF and CSV ends as its case says."""

from collections import Counter
from pathlib import Path

import hostile_csv
import hostile_folder
import hostile_people
import hostile_table
import pytest
from hostile import Case, run

CASES = [
    case for part in (hostile_csv, hostile_folder, hostile_people, hostile_table) for case in part.cases()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_folders(tmp_path: Path, case: Case) -> None:
    result = run(case, tmp_path)
    assert result.problem is None, result.problem
    # One line, and nothing in it that a terminal or a spreadsheet would obey.
    assert result.said.isprintable()


def test_case_names_are_their_own() -> None:
    assert max(Counter(case.name for case in CASES).values()) == 1
