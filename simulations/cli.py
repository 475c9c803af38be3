"""The ``transecg`` command: thin; the launcher does the work."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from click import ClickException
from click.exceptions import Exit

from transecg_core.errors import UserError

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
    epsilons: Annotated[str, typer.Option(help="Comma-separated target epsilons.")] = "1,8",
    seeds: Annotated[str, typer.Option(help="Comma-separated seeds; every arm runs on each.")] = "0,1,2",
    unit: Annotated[str, typer.Option(help="Unit of privacy: participant or window.")] = "participant",
    engine: Annotated[str, typer.Option(help="inline or ray.")] = "inline",
    workers: Annotated[int | None, typer.Option(help="Sites computed at a time.")] = None,
    resume: Annotated[Path | None, typer.Option(help="A comparison folder that was cut off.")] = None,
) -> None:
    """Run without privacy, clipped without noise, and at each epsilon; the last line is the page's path."""
    from simulations.campaign import compare as run_comparison
    from simulations.campaign import read_numbers
    from simulations.launcher import read_pairs

    levels = read_numbers(epsilons, "epsilons", float)
    numbers = read_numbers(seeds, "seeds", int)
    page = run_comparison(read_pairs(options or []), levels, numbers, unit, engine, workers, resume)
    print(page, flush=True)


def main() -> None:
    """Run the command line: status 2 for the user's errors, 1 for failed runs, 128 + signal when stopped."""
    sys.exit(_status())


def _status() -> int:
    from simulations.engines.base import RunFailed
    from simulations.processes import Interrupted, interruptible

    try:
        with interruptible():
            result = app(standalone_mode=False)
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
    print(f"transecg: error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    main()
