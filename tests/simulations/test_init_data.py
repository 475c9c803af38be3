import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
import wfdb
from typer.testing import CliRunner

from simulations.commands.init_data import SHOWN, command, init_data
from transecg_core.errors import UserError


def write(root: Path, name: str) -> None:
    root.mkdir(exist_ok=True)
    x_TC = np.sin(np.arange(1000) / 9)[:, None]
    wfdb.wrsamp(name, 250, ["mV"], ["II"], x_TC, fmt=["16"], write_dir=str(root))


def test_it_says_what_was_found_and_what_comes_next(tmp_path: Path) -> None:
    root = tmp_path / "my site"
    write(root, "a")
    (root / "b.csv").write_text("1\n2\n")
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(root)])
    assert result.exit_code == 0
    *_, next_step, last = result.stdout.splitlines()
    assert "2 recordings (1 CSV, 1 WFDB)" in result.stdout
    assert "  CSV without header; name its lead in the table: b.csv" in result.stdout
    assert "fill in participant, and units, fs-hz and lead of CSV files" in next_step
    # The last line is a command to paste.
    assert shlex.split(last) == ["transecg", "inspect", str(root)]
    assert (root / "participants.csv").is_file()
    assert (root / "participants.README.md").is_file()


def test_a_second_time_it_refuses(tmp_path: Path) -> None:
    write(tmp_path, "a")
    init_data(tmp_path)
    with pytest.raises(UserError, match="is there already"):
        init_data(tmp_path)


def test_problems_are_a_line_per_reason(tmp_path: Path) -> None:
    write(tmp_path, "a")
    for number in range(SHOWN + 5):
        (tmp_path / f"x{number:02d}.edf").write_bytes(b"")
    said = init_data(tmp_path)
    assert "  EDF header is cut off: x00.edf, x01.edf, x02.edf, x03.edf, x04.edf and 5 more\n" in said
