"""``transecg scenarios``: play the planted federations and say which estimators recovered what was planted."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transecg_core.errors import UserError
from transecg_core.names import nearest

if TYPE_CHECKING:
    from simulations.judged import Judgement

SEEDS = 5


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Scenarios [all of them].")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Seeds 0, 1, ... of each.")] = SEEDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    known: Annotated[bool, typer.Option("--list", help="Name the scenarios, and play none.")] = False,
) -> None:
    """Hold the audit against federations in which we know what there is to find. Status 1: an estimator is wrong."""
    from simulations.engines.workers import single_thread
    from simulations.judged import judge, table
    from simulations.scenarios import SCENARIOS

    for name in names or ():
        if name not in SCENARIOS:
            raise UserError(f"no scenario named '{name}'{nearest(name, SCENARIOS)}")
    chosen = [SCENARIOS[name] for name in dict.fromkeys(names or SCENARIOS)]
    if known:
        print("\n".join(f"{one.name}: {one.planted}" for one in chosen))
        return
    single_thread()
    judged: dict[str, list[Judgement]] = {}
    for scenario in chosen:
        audits = []
        for seed in range(seeds):
            print(f"{scenario.name}: seed {seed}", file=sys.stderr, flush=True)
            audits.append(scenario.play(seed).rows)
        judged[scenario.name] = judge(scenario, audits)
        if not as_json:
            print(table(scenario, judged[scenario.name]), end="\n\n", flush=True)
    wrong = [one for group in judged.values() for one in group if one.passed is False]
    right = sum(one.passed is True for group in judged.values() for one in group)
    if as_json:
        print(json.dumps(document(judged, seeds), indent=2))
    else:
        print(f"{right} of {right + len(wrong)} figures said what was planted; {seeds} seeds each")
    if wrong:
        raise typer.Exit(1)


def document(judged: dict[str, list[Judgement]], seeds: int) -> dict[str, Any]:
    """Return the judgements as JSON's types."""
    return {
        "seeds": seeds,
        "scenarios": {
            name: [
                {
                    **asdict(one.probe),
                    "expected": one.expected,
                    "figures": [asdict(s) for s in one.measured],
                    "passed": one.passed,
                }
                for one in group
            ]
            for name, group in judged.items()
        },
    }
