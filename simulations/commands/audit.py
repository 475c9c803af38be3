"""``transecg audit``: try to prove the privacy code wrong, or recount a finished run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from transecg_core.errors import UserError

CONTROL_SEEDS = 3


def command(
    run_folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN_FOLDER]", help="Recount this finished run's claim instead.")
    ] = None,
    control_seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Seeds on which each negative control must be caught.")
    ] = CONTROL_SEEDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With RUN_FOLDER: ledgers that outlive the run (ledger=DIR), or one site's ledger file.",
        ),
    ] = None,
) -> None:
    """Audit the installed privacy code, or recount a run from its ledgers. Status 1: something contradicts a claim."""
    from transecg_core.privacy.audit.results import Findings
    from transecg_core.privacy.audit.table import as_json as document
    from transecg_core.privacy.audit.table import render

    if ledger is not None and run_folder is None:
        raise UserError(
            "--ledger recounts a run: give its folder too, transecg audit RUN_FOLDER --ledger DIR"
        )
    if run_folder is not None:
        from simulations.recounted import run_books
        from transecg_core.privacy.audit.recount import recount

        findings = Findings(tuple(recount(book) for book in run_books(run_folder, ledger)), (), ())
    else:
        from simulations.recounted import client_book
        from transecg_core.privacy.audit.suite import run_suite

        findings = run_suite(control_seeds, (client_book(),), _say)
    print(json.dumps(document(findings), indent=2) if as_json else render(findings), flush=True)
    if not findings.passed:
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
