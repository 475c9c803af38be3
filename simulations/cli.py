"""The ``transecg`` command: thin; the launcher does the work."""

from __future__ import annotations

import io
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from click import ClickException
from click.exceptions import Exit
from typer import core

from simulations.commands import audit, audit_model, budget, cache, fetch, init_data, inspect, plan, scenarios
from transecg_core.errors import UserError
from transecg_core.text import escaped

# Typer escapes help texts for rich wherever rich is installed, also where it doesn't print them: "\\[default: 1]".
core.HAS_RICH = False
app = typer.Typer(
    name="transecg", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False,
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        try:
            print(f"transecg {version('transecg-fl')}")
        except PackageNotFoundError:
            print("transecg (not installed)")
        raise typer.Exit


@app.callback()
def top(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")
    ] = False,
) -> None:
    """Federated ECG training, and how much re-identification risk remains."""


@app.command()
def run(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Run options.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="inline (this machine, fastest) or ray (Flower's simulation).")
    ] = "inline",
    workers: Annotated[int | None, typer.Option(help="Sites computed at a time.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of options; KEY=VALUE overrides it.")] = None,
) -> None:
    """Train the federation, audit it, and write the report; the last line is its path."""
    from simulations.launcher import launch, read_file, read_pairs

    pairs = {**(read_file(config) if config else {}), **read_pairs(options or [])}
    print(launch(pairs, engine, workers), flush=True)


@app.command()
def compare(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Run options common to all arms.")
    ] = None,
    epsilons: Annotated[str | None, typer.Option(help="Target epsilons, comma-separated [1,8].")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds; every arm runs on each [0,1,2].")] = None,
    unit: Annotated[str | None, typer.Option(help="participant or window [participant].")] = None,
    engine: Annotated[str, typer.Option(help="inline or ray.")] = "inline",
    workers: Annotated[int | None, typer.Option(help="Sites computed at a time.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this comparison folder.")] = None,
) -> None:
    """Run without privacy (also with the participant task), clipped without noise, and at each epsilon."""
    from simulations import campaign
    from simulations.launcher import check_engine, read_pairs

    check_engine(engine, workers)
    if resume is not None:
        if options or epsilons or seeds or unit:
            raise UserError("--resume repeats the comparison in its folder; give only --engine and --workers")
        folder = resume
    else:
        request = campaign.Request(
            read_pairs(options or []),
            tuple(campaign.read_numbers(epsilons or "1,8", "epsilons", float)),
            tuple(campaign.read_numbers(seeds or "0,1,2", "seeds", int)),
            unit or "participant",
        )
        folder = campaign.start(request, Path.cwd())
    print(campaign.carry_on(folder, engine, workers), flush=True)


for _name, _module in (
    ("fetch", fetch), ("init-data", init_data), ("inspect", inspect), ("audit-model", audit_model), ("cache", cache),
    ("plan", plan), ("audit", audit), ("scenarios", scenarios),
):  # fmt: skip
    app.command(_name)(_module.command)
app.add_typer(budget.app, name="budget")


def main() -> None:
    """Run the command line: status 2 for the user's errors, 1 for failed runs, 128 + signal when stopped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may lack a letter of somebody's alphabet.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status())


def _status() -> int:
    from simulations.engines.base import RunFailed
    from simulations.processes import Interrupted, interruptible

    try:
        with interruptible():
            result = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except Exit as leave:
        return int(leave.exit_code)
    except UserError as error:
        return _say(str(error), 2)
    except ClickException as error:
        return _say(error.format_message(), 2)
    except RunFailed as error:
        return _say(str(error), 1)
    except Interrupted as stop:
        return _say(f"stopped by {stop}; what was finished is kept", 128 + stop.signum)


def _say(message: str, status: int) -> int:
    # A name, a file or a server may have put anything into it: nothing may reach the terminal as a command.
    print(f"transecg: error: {escaped(' '.join(message.split()))}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    main()
