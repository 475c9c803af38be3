"""From options to a finished run: checks first, then the engine, then the truth about how it ended."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from simulations.engines.base import App, Options, Order, RunFailed
from simulations.processes import Interrupted
from transecg_core.config import RunConfig, defaults, parse_text, resolve_paths
from transecg_core.errors import UserError

ENGINES = ("inline", "ray")
REPORT = re.compile(r"TransECG report: (/.+)$")
FAILED = re.compile(r"TransECG FAILED: (.+)$")
FOLDER = re.compile(r"run folder:? (/.+)$")
NOISE = re.compile(
    r"^\s*(\x1b\[\d+m)*(INFO|DEBUG|WARNING)\s*(\x1b\[\d+m)*\s*:|^\s*$|\((raylet|gcs_server|autoscaler)"
    r"|^Using SuperLink: |^Successfully (started run|installed) "
)
"""Lines of Flower's and Ray's own in a run's stream; the log file keeps them."""


def read_pairs(arguments: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` arguments.

    Raises
    ------
    UserError
        If one is malformed or given twice.
    """
    pairs: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.strip():
            raise UserError(f"'{argument}' is not key=value; write for example seed=1")
        if key in ("engine", "workers"):
            raise UserError(f"'{key}' is not a run option; write --{key} {value}")
        if key in pairs:
            raise UserError(f"'{key}' is given twice; give it once")
        pairs[key] = value
    return pairs


def read_file(path: Path) -> dict[str, str]:
    """Read a TOML file of flat options, the same file that ``flwr run --run-config`` takes.

    Raises
    ------
    UserError
        If it can't be read, or holds a table.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--config {path}: {error}") from None
    if nested := [key for key, value in options.items() if isinstance(value, dict | list)]:
        raise UserError(f"--config {path}: '{nested[0]}' must be one plain value")
    return {key: str(value) for key, value in options.items()}


def check(pairs: Mapping[str, str], base: Path) -> RunConfig:
    """Validate everything that can be known before training; paths become absolute against `base`.

    Raises
    ------
    UserError
        One line with key and remedy.
    """
    cfg = resolve_paths(parse_text(pairs), base)
    if cfg.data_root or cfg.sites_file:
        cfg = _check_data(cfg)
    if cfg.ledger:
        _check_ledgers(Path(cfg.ledger), cfg)
    _check_output(Path(cfg.output_dir))
    return cfg


def _check_ledgers(folder: Path, cfg: RunConfig) -> None:
    """Refuse before anything is read what every site would refuse, or one site alone while the others are charged."""
    from client.ledger import read, verify

    if folder.exists() and not folder.is_dir():
        raise UserError(f"ledger={folder}: this is a file; give a folder")
    if not cfg.sites_known:
        return
    for site in cfg.site_names:
        path = folder / f"{site}.sqlite"
        if path.exists():
            verify(path)
            owner = read(path).site
            if owner != site:
                raise UserError(
                    f"ledger {path}: it belongs to site '{owner}', not '{site}'; put the right file there"
                )


def _check_data(cfg: RunConfig) -> RunConfig:
    """Return `cfg` with its sites spelled out, each of them a folder with data in it."""
    from transecg_core.cohorts import declared, resolved  # synthetic runs don't wait for the readers
    from transecg_core.cohorts.listing import TABLE
    from transecg_core.cohorts.sites_file import FOLDER

    if cfg.cohort == "real" and not Path(cfg.data_root).is_dir():
        sites = "/, ".join(cfg.site_names)
        raise UserError(f"data-root={cfg.data_root}: no such folder; give the one that holds {sites}/")
    cfg = resolved(cfg)
    found = declared(cfg)
    for site in cfg.site_names:
        folder, reader = found[site].path, found[site].reader
        if not folder.is_dir():
            raise UserError(
                f"site '{site}': no folder {folder}; put the dataset there or leave the site out of sites="
            )
        there = (
            (folder / TABLE).is_file() if reader == FOLDER else next(folder.rglob("*.hea"), None) is not None
        )
        if not there:
            what, remedy = "record (.hea file)", "put the dataset there"
            if reader == FOLDER:
                what, remedy = TABLE, f"write it with: transecg init-data {shlex.quote(str(folder))},"
            raise UserError(f"site '{site}': no {what} in {folder}; {remedy} or leave it out")
    return cfg


def _check_output(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"output-dir={folder}: {error.strerror}; choose a folder you can write") from None


def options_of(cfg: RunConfig) -> Options:
    """Return the complete flat run config of `cfg`."""
    return dict(cfg.model_dump(by_alias=True))


def installed_app() -> App:
    """Return the product's app as it is installed here.

    Raises
    ------
    RunFailed
        If another package is in the way of ours; ``client`` and ``server`` are common names.
    """
    import client
    import server
    import transecg_core

    folders = tuple(
        Path(str(package.__file__)).resolve().parent for package in (client, server, transecg_core)
    )
    if len({folder.parent for folder in folders}) != 1:
        raise RunFailed(
            f"packages from different places: {', '.join(map(str, folders))}; use a fresh environment"
        )
    return App("server.app:app", "client.app:app", folders, defaults())


@dataclass
class RunLog:
    """Prints the run's lines, keeps everything in a log file, and picks out what the ServerApp declares."""

    path: Path
    out: TextIO = field(default_factory=lambda: sys.stdout)
    report: Path | None = None
    failure: str = ""
    folder: Path | None = None

    def __post_init__(self) -> None:
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def note(self, text: str) -> None:
        """Keep `text` in the file only."""
        self._file.write(text.rstrip("\n") + "\n")

    def say(self, line: str) -> None:
        """Keep one line, and print it unless it is Flower's or Ray's own chatter."""
        self.note(line)
        if found := REPORT.search(line):
            self.report = Path(found[1])
            self.folder = self.report.parent
            return
        if found := FOLDER.search(line):
            self.folder = Path(found[1])
        if found := FAILED.search(line):
            self.failure = found[1]
        elif not NOISE.search(line):
            print(line, file=self.out, flush=True)

    def close(self) -> Path:
        """Move the file into the run folder, if there is one, as ``run.log``; return where it is."""
        self._file.close()
        if self.folder is not None and self.folder.is_dir() and not (self.folder / "run.log").exists():
            with suppress(OSError):
                return Path(shutil.move(self.path, self.folder / "run.log"))
        return self.path


def check_engine(engine: str, workers: int | None) -> None:
    """Refuse an engine or a number of workers that does not exist.

    Raises
    ------
    UserError
        With what to give.
    """
    if engine not in ENGINES:
        raise UserError(f"--engine {engine}: choose {' or '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: at least 1")


def launch(pairs: Mapping[str, str], engine: str = "inline", workers: int | None = None) -> Path:
    """Check, run, and return the report's path.

    Raises
    ------
    UserError
        Before anything is started.
    RunFailed
        If the run ends without a report.
    Interrupted
        On Ctrl-C or SIGTERM, when everything is stopped.
    """
    check_engine(engine, workers)
    cfg = check(pairs, Path.cwd())
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    log = RunLog(Path(cfg.output_dir) / f"unfinished-{stamp}.log")
    log.say(f"TransECG: {len(cfg.site_names)} sites, {cfg.rounds} rounds, engine {engine}, log {log.path}")
    try:
        order = Order(installed_app(), options_of(cfg), len(cfg.site_names), log.say, log.note)
        return carry_out(_engine(engine), order, workers, log)
    finally:
        log.close()


def _engine(name: str) -> Callable[[Order, int | None], None]:
    """Import only the engine asked for: the first line must not wait for the others."""
    if name == "ray":
        from simulations.engines import ray

        return ray.run
    from simulations.engines import inline

    return inline.run


def carry_out(
    engine: Callable[[Order, int | None], None], order: Order, workers: int | None, log: RunLog
) -> Path:  # fmt: skip
    """Run `order` and judge it: no report, no success.

    Raises
    ------
    RunFailed
        With the ServerApp's own reason where it gave one.
    """
    try:
        engine(order, workers)
    except Interrupted as stop:
        log.note(f"stopped by {stop}")
        raise
    except Exception as error:
        log.note(traceback.format_exc())
        reason = log.failure or (
            str(error) if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}"
        )
        raise RunFailed(f"{' '.join(reason.split())}; log: {_final(log)}") from error
    if log.failure or log.report is None or not log.report.is_file():
        raise RunFailed(f"{log.failure or 'the run ended without a report'}; log: {_final(log)}")
    return log.report


def _final(log: RunLog) -> Path:
    """Return where `close` will leave the log."""
    return log.folder / "run.log" if log.folder is not None and log.folder.is_dir() else log.path
