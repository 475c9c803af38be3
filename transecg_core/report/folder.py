"""Where a run's output goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from transecg_core.config import RunConfig
from transecg_core.errors import UserError


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
