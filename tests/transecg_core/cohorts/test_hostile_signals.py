"""Every hostile signal ends as its case says."""

from pathlib import Path

import hostile_signals
import numpy as np
import pytest
from hostile import Case, run
from hostile_folder import FS_HZ
from sleepecg.heartbeats import detect_heartbeats

from transecg_core.signals.preprocess import clean


@pytest.mark.parametrize("case", hostile_signals.cases(), ids=lambda case: case.name)
def test_hostile_signals(tmp_path: Path, case: Case) -> None:
    result = run(case, tmp_path)
    assert result.problem is None, result.problem


@pytest.mark.parametrize(("hz", "samples", "phase"), hostile_signals.HUMS)
def test_the_hums_are_hostile(hz: float, samples: int, phase: float) -> None:
    """The Python twin of sleepecg's C code raises where the latter writes past its array."""
    x_T = hostile_signals.hum(hz, samples, phase).astype(np.float32)
    with pytest.raises(IndexError, match="out of bounds"):
        detect_heartbeats(clean(x_T, FS_HZ), 250.0, backend="python")
