from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reading import read

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(5000), "record: flat"),
        (np.where(np.arange(5000) % 4, 1.0, 0.1 * np.sin(np.arange(5000))), "record: railed"),
        (np.minimum(np.sin(np.arange(5000) / 40), 0.9), "record kept: clipped"),
        (np.sin(np.arange(5000) / 40), ""),
    ],
    ids=["flat", "railed", "clipped", "sound"],
)
def test_leads_that_were_not_recorded(
    tmp_path: Path, write_record: Write, signal: np.ndarray, reason: str
) -> None:
    write_record(tmp_path, "100", beat_symbols="N", comments=("69 M",))
    write_record(tmp_path, "101", signal=signal, beat_symbols="N", comments=("69 M",))
    recordings, skipped = read("mitdb", tmp_path)
    assert ("101" in {r.record for r in recordings}) == (not reason.startswith("record:"))
    assert len(skipped) == bool(reason)
    assert all(said.startswith(reason) for said in skipped)
