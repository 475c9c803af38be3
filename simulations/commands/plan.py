"""``transecg plan``: noise, ceilings and the power of an audit, before anybody trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transecg_core.config import RunConfig, parse_text, resolve_paths
from transecg_core.errors import UserError
from transecg_core.names import MAX_PEOPLE
from transecg_core.text import plural

if TYPE_CHECKING:
    from transecg_core.privacy.plan import Plan


def command(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Run options, as for run.")
    ] = None,
    people: Annotated[
        str | None, typer.Option(help="People on a site's roster; several separated by commas.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what privacy would cost with so many people, and what an audit could see; trains nothing."""
    cfg, rosters = read(options or [], people)
    from transecg_core.privacy.plan import plan

    plans = [plan(cfg, n) for n in rosters]
    print(json.dumps(document(cfg, plans), indent=2) if as_json else table(cfg, plans), flush=True)


def read(options: Sequence[str], people: str | None) -> tuple[RunConfig, list[int]]:
    """Return the run's config (participant privacy unless another unit is named) and the rosters.

    Raises
    ------
    UserError
        One line with key and remedy.
    """
    from simulations.campaign import read_numbers
    from simulations.launcher import read_pairs
    from transecg_core.cohorts import resolved
    from transecg_core.privacy.accounting import check_delta

    pairs = read_pairs(options)
    if people is not None and "participants-per-site" in pairs:
        raise UserError("--people stands in place of participants-per-site; give one of them")
    rosters = read_numbers(people, "people", int, "20,200") if people is not None else []
    if few := [n for n in rosters if n < 2]:
        raise UserError(f"--people {few[0]}: a site needs at least 2 people")
    if many := [n for n in rosters if n > MAX_PEOPLE]:
        raise UserError(f"--people {many[0]}: a site has at most {MAX_PEOPLE} people here")
    first = {"participants-per-site": str(rosters[0])} if rosters else {}
    cfg = resolved(resolve_paths(parse_text({"privacy": "participant", **pairs, **first}), Path.cwd()))
    if not rosters and cfg.people is None:
        raise UserError("the options don't say how many people a site has; give --people N")
    rosters = rosters or [int(cfg.people or 0)]
    check_delta(cfg.delta, max(rosters))  # before the first row is computed
    return cfg, rosters


def facts(cfg: RunConfig, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return what all rows share, with every ``auto`` resolved."""
    return {
        "privacy": cfg.privacy, "target-epsilon": cfg.target_epsilon, "delta": cfg.delta, "sites": len(cfg.site_names),
        "num-server-rounds": cfg.rounds, "local-steps": cfg.steps, "batch-size": cfg.batch,
        "windows-per-draw": cfg.draw_windows, "max-windows-per-participant": cfg.max_windows_per_participant,
        "trainable": cfg.trained_part, "start": cfg.start_from, "audit-split": cfg.audit_split,
    }  # fmt: skip


def document(cfg: RunConfig, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return the plan as JSON's types; None is what can't be measured."""
    return {"options": facts(cfg, plans), "rows": [asdict(row) for row in plans]}


def table(cfg: RunConfig, plans: Sequence[Plan]) -> str:
    """Return the plan as text: the setting, a row per roster, a reading per roster."""
    moved = {row.trainable for row in plans}
    some = f"{min(moved):,}" if len(moved) == 1 else f"{min(moved):,} to {max(moved):,}"
    drawn = f", {cfg.draw_windows} windows of each drawn" if cfg.privacy == "participant" else ""
    run = (
        f"{plural(len(cfg.site_names), 'site')}, {plural(cfg.rounds, 'round')} of {plural(cfg.steps, 'step')}"
    )
    lines = [
        f"{cfg.privacy} epsilon {cfg.target_epsilon:g} at delta {cfg.delta:g} for the whole run; {run}, "
        f"at most {cfg.batch} windows a step{drawn}",
        f"trainable={cfg.trained_part}: {some} of {plans[0].parameters:,} parameters, from "
        f"{'pretrained' if cfg.start_from == 'synthetic' else 'random'} weights; audit-split={cfg.audit_split}",
        "",
    ]
    return "\n".join(
        [*lines, *columns(cells(plans)), "", *(f"{p.people} people a site: {p.reading}" for p in plans)]
    )


def cells(plans: Sequence[Plan]) -> list[list[str]]:
    """Return two header rows and a row per roster."""
    over = ["", "", "", "units", "", "noise/signal", "", "epsilon", "", "ceiling", "", "audit"]
    under = ["people", "train", "q", "a step", "sigma", "a step", "the run", "person", "window", "advantage", "TPR@5%",
             "sees"]  # fmt: skip
    return [over, under, *([
        f"{p.people}", f"{p.trained:g}", f"{p.q:.3f}", f"{p.expected:.3g}", f"{p.sigma:.3g}",
        significant(p.noise_per_step), significant(p.noise_over_run), cost(p.epsilon_person),
        "-" if p.epsilon_window is None else cost(p.epsilon_window), f"{p.ceiling_advantage:.2f}",
        f"{p.ceiling_tpr:.2f}", "-" if p.audit.advantage is None else f"{p.audit.advantage:.2f}",
    ] for p in plans)]  # fmt: skip


def significant(value: float) -> str:
    """Return a positive number to two significant digits, without an exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def cost(epsilon: float) -> str:
    """Return an epsilon to three significant digits, without an exponent."""
    return f"{epsilon:,.0f}" if epsilon >= 100 else f"{epsilon:.3g}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows with their columns aligned to the right."""
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(w) for cell, w in zip(row, width, strict=True)).rstrip() for row in rows]
