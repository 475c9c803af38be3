"""Where a run's output goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from transecg_core.config import RunConfig
from transecg_core.errors import UserError

RUN_ID = "run-id"
"""File of a run folder that holds the number under which Flower ran it, and every ledger charged it.

Not in the report: the same run done twice has the same report, under two numbers.
"""


def new_run_folder(cfg: RunConfig, what: str = "") -> Path:
    """Create and return a run folder; an existing one is never touched.

    Parameters
    ----------
    what
        Begins the folder's name, for what is no training run.

    Raises
    ------
    UserError
        If ``output-dir`` can't be written.
    """
    base = Path(cfg.output_dir).expanduser().resolve()
    stem = f"{what}{datetime.now(UTC):%Y%m%d-%H%M%S}-seed{cfg.seed}"
    for attempt in range(1000):
        folder = base / (stem if attempt == 0 else f"{stem}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"output-dir={base}: {error.strerror}; choose a folder you can write") from None
        return folder
    raise UserError(f"output-dir={base}: no free folder name left; empty it")


def note_run(folder: Path, run_id: int) -> None:
    """Write the run's number into its folder."""
    (folder / RUN_ID).write_text(f"{run_id}\n", encoding="utf-8")


def noted_run(folder: Path) -> str:
    """Return the run's number, as ledgers hold it.

    Raises
    ------
    UserError
        If the folder doesn't tell it.
    """
    path = folder / RUN_ID
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        text = ""
    if not (text.isascii() and text.isdigit()):
        raise UserError(
            f"{path}: no run number in it; write the run's there, as transecg budget show --json prints it"
        )
    return text
