"""The command ``transecg fetch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from transecg_core.errors import UserError


def command(
    name: Annotated[str, typer.Argument(help="ecgiddb, ludb, mitdb, ptbxl or qtdb.")],
    data_root: Annotated[Path, typer.Option(help="Folder that gets a sub-folder NAME.")] = Path("data"),
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the dataset's licence without being asked.")
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(help="A mirror of PhysioNet's /files/ [https://physionet.org/files/].")
    ] = None,
) -> None:
    """Download a public dataset from PhysioNet, verified; a stopped download goes on where it was."""
    from simulations.fetch import fetch

    def accept(question: str) -> bool:
        if accept_licence:
            return True
        if not sys.stdin.isatty():
            raise UserError(f"{name}: nobody here to ask; give --accept-licence to accept its licence")
        return typer.confirm(question)

    fetch(name, data_root, accept, base_url)
