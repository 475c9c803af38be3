"""Every hostile WFDB record and copy of a public dataset ends as its case says."""

from collections import Counter
from pathlib import Path

import hostile_datasets
import hostile_wfdb
import hostile_wfdb_files
import pytest
from hostile import Case, corpus, run

CASES = [case for part in (hostile_wfdb, hostile_wfdb_files, hostile_datasets) for case in part.cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_records(tmp_path: Path, case: Case) -> None:
    result = run(case, tmp_path)
    assert result.problem is None, result.problem
    assert result.said.isprintable()
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


def test_the_corpus_is_as_large_as_it_says() -> None:
    names = Counter(case.name for case in CASES)
    assert max(names.values()) == 1
    assert len(names) >= 140
    assert set(names) < {case.name for case in corpus()}
