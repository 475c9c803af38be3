"""``transecg audit-model``: the risk audit on a model that was trained elsewhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from transecg_core.errors import UserError


def command(
    encoder: Annotated[Path, typer.Argument(metavar="ENCODER.safetensors", help="Weights to audit.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Run options that name the cohort.")
    ] = None,
    members: Annotated[
        Path | None, typer.Option(help="CSV of site,participant: whom the model was trained on.")
    ] = None,
) -> None:
    """Audit a model trained elsewhere with this encoder's shape; the last line is the report's path."""
    if "=" in encoder.name and not encoder.exists():
        raise UserError(
            f"'{encoder}' is no file; give the weights first: transecg audit-model FILE KEY=VALUE ..."
        )
    print(audit(encoder, options or [], members), flush=True)


def audit(encoder: Path, options: list[str], members: Path | None) -> Path:
    """Check, measure, write; return the report page.

    Raises
    ------
    UserError
        Before anything is measured, if the weights, options or declared members are wrong.
    """
    from simulations.launcher import check, read_pairs

    pairs = read_pairs(options)
    from transecg_core import external
    from transecg_core.report import write_report
    from transecg_core.report.folder import new_run_folder

    weights = external.read_weights(encoder)
    cfg = check(external.audit_options(pairs, weights), Path.cwd())
    declared = external.read_members(members) if members is not None else None
    words = [
        "transecg",
        "audit-model",
        str(encoder),
        *options,
        *(["--members", str(members)] if members else []),
    ]
    line = " ".join(shlex.quote(word) for word in words)
    body = external.audit_model(weights, cfg, declared, line, lambda text: print(text, flush=True))
    return write_report(body, new_run_folder(cfg, "audit-"))
