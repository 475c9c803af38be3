"""What every engine is given and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

INLINE_ENGINE = "TRANSECG_INLINE_ENGINE"
"""Environment variable by which ``client.site`` knows that it runs in our in-process engine."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Options = Mapping[str, str | int | float]
"""A complete, flat run config."""


class RunFailed(Exception):
    """The run ended without a report; the message is one line that says why."""


@dataclass(frozen=True)
class App:
    """A Flower app as installed here.

    Attributes
    ----------
    serverapp, clientapp
        ``module:attribute`` references.
    packages
        Folders of the packages that the two references and their imports need.
    defaults
        Every run-config key with its default; Flower refuses any other key.
    """

    serverapp: str
    clientapp: str
    packages: tuple[Path, ...]
    defaults: Options
    name: str = "transecg-fl"
    version: str = "0.1.0"


@dataclass(frozen=True)
class Order:
    """One run to be carried out.

    Attributes
    ----------
    options
        The complete run config, paths absolute.
    sites
        Number of sites (simulated nodes).
    say
        Takes each line of the run's log as it comes.
    note
        Takes text for the run's log file only (tracebacks, Flower's own output).
    """

    app: App
    options: Options
    sites: int
    say: Callable[[str], None]
    note: Callable[[str], None]
