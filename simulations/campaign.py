"""``transecg compare``: the same federation without privacy, clipped only, and at several epsilons, on paired seeds."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simulations.launcher import check, launch
from transecg_core.config import RunConfig, parse_text
from transecg_core.config_checks import PRIVACY_ONLY
from transecg_core.errors import UserError
from transecg_core.report import read_report
from transecg_core.report.compare import write_comparison
from transecg_core.report.manifest import code_hash

PLAN = "plan.json"
UNITS = ("participant", "window")
OWNED = ("privacy", "target-epsilon", "noise", "seed")
"""Options that the comparison sets itself."""


@dataclass(frozen=True)
class Arm:
    """One setting; ``options`` are laid over the common ones."""

    name: str
    options: Mapping[str, str]


def arms(unit: str, epsilons: Sequence[float], tasks: str, start: str = "random") -> list[Arm]:
    """Return the arms in the order of the page.

    ``best`` is the price users pay for privacy: no privacy, the same tasks, its own recipe.
    ``matched`` has the private arms' sampler, clip and steps without noise, so that it isolates
    the noise. ``identity`` adds the participant task to ``best``: TransECG's own setting, and the
    worst case for linkage. ``scratch`` is the weakest private arm from random weights, where the
    others start from pretrained ones: what the start is worth.
    """
    named = {
        "best": {"privacy": "none", "tasks": tasks},
        "matched": {"privacy": unit, "noise": "off", "tasks": tasks},
    }
    named["identity"] = {"privacy": "none", "tasks": "all" if tasks == "utility" else f"participant,{tasks}"}
    for epsilon in epsilons:
        named[f"epsilon={epsilon:g}"] = {"privacy": unit, "target-epsilon": f"{epsilon:g}", "tasks": tasks}
    for options in named.values():
        options["start"] = start
    if start == "synthetic":
        named["scratch"] = named[f"epsilon={max(epsilons):g}"] | {"start": "random"}
    return [Arm(name, options) for name, options in named.items()]


def read_numbers(text: str, what: str, kind: Callable[[str], Any], example: str = "1,8") -> list[Any]:
    """Read distinct comma-separated numbers; `example` shows some in the message.

    Raises
    ------
    UserError
        Naming the option and what is wrong.
    """
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--{what} {text}: give numbers separated by commas, for example {example}") from None
    if len(set(values)) != len(values):
        raise UserError(f"--{what} {text}: a number is given twice")
    return values


@dataclass(frozen=True)
class Request:
    """What is compared; kept in the comparison's folder, so that resuming repeats exactly this."""

    options: Mapping[str, str]
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]
    unit: str

    def runs(self, folder: Path) -> list[tuple[Arm, int, dict[str, str]]]:
        """Return every run with its options, below `folder`.

        Raises
        ------
        UserError
            If any arm's options are refused: an impossible arm must not fail after hours.
        """
        for key in OWNED:
            if key in self.options:
                raise UserError(f"'{key}' is set by compare itself; use --epsilons, --seeds, --unit")
        if self.unit not in UNITS:
            raise UserError(f"--unit {self.unit}: choose {' or '.join(UNITS)}")
        plan = []
        # All arms start from the same weights: the private ones' would else be an advantage, or a burden, of their own.
        start = parse_text({**self.options, "privacy": self.unit, "tasks": _utility(self.options)}).start_from
        for seed in self.seeds:
            for arm in arms(self.unit, self.epsilons, _utility(self.options), start):
                free = arm.options["privacy"] == "none"
                common = {k: v for k, v in self.options.items() if not (free and k in PRIVACY_ONLY)}
                place = {"seed": str(seed), "output-dir": str(_place(folder, arm, seed))}
                options = {**common, **arm.options, **place}
                parse_text(options)
                plan.append((arm, seed, options))
        return plan


def start(request: Request, base: Path) -> Path:
    """Validate a comparison, make its folder with the plan in it, and return it.

    Raises
    ------
    UserError
        Before anything is made.
    """
    request.runs(base)
    free = {key: value for key, value in request.options.items() if key not in PRIVACY_ONLY}
    cfg = check(free, base)
    output, request = Path(cfg.output_dir), replace(request, options=_pinned(request.options, cfg))
    stem = f"compare-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in itertools.count():
        folder = output / (stem if attempt == 0 else f"{stem}-{attempt}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    (folder / PLAN).write_text(json.dumps(asdict(request), indent=2) + "\n", encoding="utf-8")
    return folder


def _pinned(options: Mapping[str, str], cfg: RunConfig) -> dict[str, str]:
    """Return `options` with the places and the sites that they mean here and now.

    So all arms compare the same sites, whatever is put beside them meanwhile, and resuming from
    another folder repeats exactly this.
    """
    here = {"data-root": cfg.data_root, "sites-file": cfg.sites_file}
    if cfg.cohort == "folder":
        here["sites"] = cfg.sites
    return {**options, **{key: value for key, value in here.items() if value}}


def reopen(folder: Path) -> Request:
    """Return what a comparison that was cut off compares.

    Raises
    ------
    UserError
        If the folder holds no comparison.
    """
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return Request(
            dict(plan["options"]), tuple(plan["epsilons"]), tuple(plan["seeds"]), str(plan["unit"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"--resume {folder}: no comparison was started there (no {PLAN})") from None


def carry_on(folder: Path, engine: str, workers: int | None) -> Path:
    """Run what is missing in `folder`, and write the comparison page.

    Returns
    -------
    Path
        The page.
    """
    finished: dict[str, list[dict[str, Any]]] = {}
    request = reopen(folder)
    plan = request.runs(folder.resolve())
    began, done = time.monotonic(), 0
    for number, (arm, seed, options) in enumerate(plan, start=1):
        report = finished_run(_place(folder.resolve(), arm, seed), parse_text(options))
        title = f"compare: run {number}/{len(plan)}: {arm.name}, seed {seed}"
        if report is None:
            print(f"{title}{_left(began, done, len(plan) - number + 1)}", flush=True)
            report = read_report(launch(options, engine, workers).with_suffix(".json"))
            done += 1
        else:
            print(f"{title}: already finished", flush=True)
        finished.setdefault(arm.name, []).append(report)
    return write_comparison(finished, folder)


def _utility(options: Mapping[str, str]) -> str:
    tasks = options.get("tasks", "utility")
    if tasks in ("auto", "all", "utility"):
        return "utility"
    if "participant" in tasks.split(","):
        raise UserError("tasks: leave participant out; compare adds it as the arm 'identity'")
    return tasks


def _place(folder: Path, arm: Arm, seed: int) -> Path:
    return folder / "runs" / f"{arm.name.replace('=', '-')}-seed{seed}"


def finished_run(place: Path, cfg: RunConfig) -> dict[str, Any] | None:
    """Return the report of a run below `place` that already ended with exactly this config and this code."""
    wanted = {key: value for key, value in cfg.model_dump(by_alias=True).items() if key != "output-dir"}
    for path in sorted(place.glob("*/report.json")):
        report: dict[str, Any] = read_report(path)
        config = {key: value for key, value in report["manifest"]["config"].items() if key != "output-dir"}
        same_code = report["manifest"]["code_hash"] == code_hash()
        if same_code and json.dumps(config, sort_keys=True) == json.dumps(wanted, sort_keys=True):
            return report
    return None


def _left(began: float, done: int, remaining: int) -> str:
    if not done:
        return ""
    return f"; about {(time.monotonic() - began) / done * remaining / 60:.0f} min left"
