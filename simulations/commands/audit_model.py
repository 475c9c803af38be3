"""``transecg audit-model``: the risk audit on a model that was trained elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transecg_core.errors import UserError

if TYPE_CHECKING:
    from transecg_core.risk.context import AuditContext


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
    from transecg_core.report.listing import write_listing, write_people

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
    folders: list[Path] = []

    def listed(ctx: AuditContext, body: Mapping[str, Any]) -> None:
        """Make the folder, now that there is something to put in, and list the names that the report leaves out."""
        folders.append(new_run_folder(cfg, "audit-"))
        write_listing(ctx, folders[0])
        write_people(ctx, body["people_at_risk"], folders[0])

    body = external.audit_model(weights, cfg, declared, line, lambda text: print(text, flush=True), listed)
    return write_report(body, folders[0])
