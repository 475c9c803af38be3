"""``transecg compare``: the same federation without privacy, clipped only, and at several epsilons, on paired seeds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulations.launcher import check, launch
from transecg_core.config import UTILITY_TASKS, RunConfig
from transecg_core.errors import UserError
from transecg_core.report import read_report
from transecg_core.report.compare import write_comparison
from transecg_core.report.manifest import code_hash

OWNED = ("privacy", "target-epsilon", "noise", "seed")
"""Options that the comparison sets itself."""


@dataclass(frozen=True)
class Arm:
    """One setting; ``options`` are laid over the common ones."""

    name: str
    options: Mapping[str, str]


def arms(unit: str, epsilons: Sequence[float], tasks: str) -> list[Arm]:
    """Return the arms in the order of the page.

    ``best`` is the price users pay for privacy: no privacy, the same tasks, its own recipe.
    ``matched`` has the private arms' sampler, clip and steps without noise, so that it isolates
    the noise. ``identity`` adds the participant task to ``best``: TransECG's own setting, and the
    worst case for linkage.
    """
    named = {
        "best": {"privacy": "none", "tasks": tasks},
        "matched": {"privacy": unit, "noise": "off", "tasks": tasks},
    }
    named["identity"] = {"privacy": "none", "tasks": f"participant,{tasks}"}
    for epsilon in epsilons:
        named[f"epsilon={epsilon:g}"] = {"privacy": unit, "target-epsilon": f"{epsilon:g}", "tasks": tasks}
    return [Arm(name, options) for name, options in named.items()]


def read_numbers(text: str, what: str, kind: Callable[[str], Any]) -> list[Any]:
    """Read distinct comma-separated numbers.

    Raises
    ------
    UserError
        Naming the option and what is wrong.
    """
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--{what} {text}: give numbers separated by commas, for example 1,8") from None
    if len(set(values)) != len(values):
        raise UserError(f"--{what} {text}: a number is given twice")
    return values


def compare(
    pairs: Mapping[str, str], epsilons: Sequence[float], seeds: Sequence[int], unit: str,
    engine: str, workers: int | None, resume: Path | None,
) -> Path:  # fmt: skip
    """Run every arm on every seed, and write the comparison page.

    Parameters
    ----------
    resume
        A comparison folder that was cut off: runs with a report in it are not repeated.

    Returns
    -------
    Path
        The comparison page.

    Raises
    ------
    UserError
        Before anything runs, if any arm's options are refused.
    """
    for key in OWNED:
        if key in pairs:
            raise UserError(f"'{key}' is set by compare itself; use --epsilons, --seeds, --unit")
    base = check(pairs, Path.cwd())
    if resume is not None and not (resume / "runs").is_dir():
        raise UserError(
            f"--resume {resume}: no comparison was started there; give the folder that holds its runs/"
        )
    folder = resume.resolve() if resume else _new_folder(base)
    plan = _plan(pairs, arms(unit, epsilons, _utility(pairs)), seeds, folder)
    finished: dict[str, list[dict[str, Any]]] = {}
    start, done = time.monotonic(), 0
    for number, (arm, seed, options) in enumerate(plan, start=1):
        report = _finished(folder, arm, seed, check(options, Path.cwd()))
        if report is None:
            print(
                f"compare: run {number}/{len(plan)}: {arm.name}, seed {seed}{_left(start, done, len(plan) - number + 1)}",
                flush=True,
            )
            report = read_report(launch(options, engine, workers).with_suffix(".json"))
            done += 1
        else:
            print(f"compare: run {number}/{len(plan)}: {arm.name}, seed {seed}: already finished", flush=True)
        finished.setdefault(arm.name, []).append(report)
    return write_comparison(finished, folder)


def _utility(pairs: Mapping[str, str]) -> str:
    tasks = pairs.get("tasks", "auto")
    if tasks == "auto":
        return ",".join(UTILITY_TASKS)
    if "participant" in tasks.split(","):
        raise UserError("tasks: leave participant out; compare adds it as the arm 'identity'")
    return tasks


def _new_folder(cfg: RunConfig) -> Path:
    folder = Path(cfg.output_dir) / f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True)  # never an existing one
    return folder


def _plan(
    pairs: Mapping[str, str], chosen: Sequence[Arm], seeds: Sequence[int], folder: Path
) -> list[tuple[Arm, int, dict[str, str]]]:
    """Return every run, all of them validated: an impossible arm must not fail after hours."""
    plan = []
    for seed in seeds:
        for arm in chosen:
            options = {
                **pairs,
                **arm.options,
                "seed": str(seed),
                "output-dir": str(_place(folder, arm, seed)),
            }
            check(options, Path.cwd())
            plan.append((arm, seed, options))
    return plan


def _place(folder: Path, arm: Arm, seed: int) -> Path:
    return folder / "runs" / f"{arm.name.replace('=', '-')}-seed{seed}"


def _finished(folder: Path, arm: Arm, seed: int, cfg: RunConfig) -> dict[str, Any] | None:
    """Return the report of a run that already ended with exactly this config and this code."""
    wanted = {key: value for key, value in cfg.model_dump(by_alias=True).items() if key != "output-dir"}
    for path in sorted(_place(folder, arm, seed).glob("*/report.json")):
        report: dict[str, Any] = read_report(path)
        config = {key: value for key, value in report["manifest"]["config"].items() if key != "output-dir"}
        same_code = report["manifest"]["code_hash"] == code_hash()
        if same_code and json.dumps(config, sort_keys=True) == json.dumps(wanted, sort_keys=True):
            return report
    return None


def _left(start: float, done: int, remaining: int) -> str:
    if not done:
        return ""
    return f"; about {(time.monotonic() - start) / done * remaining / 60:.0f} min left"
