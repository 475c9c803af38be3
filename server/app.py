"""The ServerApp: reads the run config, runs the federation, and ends with one truthful line."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.run import Coordinator, Say
from transecg_core.cohorts import resolved
from transecg_core.config import parse
from transecg_core.errors import UserError
from transecg_core.report.folder import new_run_folder, note_run

torch.set_num_threads(1)
app = ServerApp()
logger = logging.getLogger("transecg")


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run one federation. Any failure is logged in one line and raised, so that the run's status is failed."""
    show_progress()
    try:
        cfg = resolved(parse(context.run_config))
        folder = new_run_folder(cfg)
        note_run(folder, context.run_id)
        page = Coordinator(grid, cfg, folder, say_into(folder)).run()
    except UserError as error:
        logger.error("TransECG FAILED: %s", error)
        raise
    except Exception as error:
        logger.exception("TransECG FAILED: %s: %s", type(error).__name__, " ".join(str(error).split()))
        raise
    logger.info("TransECG report: %s", page)


def show_progress() -> None:
    """Send our log to standard output; Flower's processes give it no handler."""
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)


def say_into(folder: Path) -> Say:
    """Return a function that logs a line and keeps it in the run folder's ``progress.log``."""

    def say(line: str) -> None:
        logger.info(line)
        with (folder / "progress.log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    say(f"run folder {folder}")
    return say
