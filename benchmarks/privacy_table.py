"""What privacy costs and buys: unit x epsilon x trainable, against `matched` and `best`, from whole runs.

    python benchmarks/privacy_table.py FOLDER [--seeds 0,1,2] [--epsilons 2,8] [KEY=VALUE ...]

Every arm is a whole `transecg run` on the synthetic federation, from the same weights pretrained on other synthetic
people (in-distribution pretraining: utility here is not evidence for real data). Arms with the same seed have the same
people, coins and split. FOLDER keeps the runs: called again, it goes on where it was cut off.

- ``best``: no privacy, its own recipe. ``matched``: the private recipe, clipped, without noise.
- *beat*: balanced accuracy on people never trained on; in brackets the 95 % interval over people, mean of the seeds'.
- *- matched*, *- best*: paired differences, mean over seeds with a 95 % t interval over seeds (training runs).
- *advantage*: of the membership attack on the released model, 2 AUC - 1: by how much a member more often looks like one
  than a control does. *At most*: what the guarantee allows any attack, for a person; 1.00 allows everything.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from simulations.campaign import finished_run, read_numbers
from simulations.launcher import launch, read_pairs
from transecg_core.config import parse_text
from transecg_core.report import read_report
from transecg_core.report.compare import over_seeds
from transecg_core.report.headline import headline

TASK, UNITS, TRAINABLES = "beat", ("participant", "window"), ("bitfit", "head", "full")
Report = Mapping[str, Any]


def arms(epsilons: Sequence[float]) -> dict[str, dict[str, str]]:
    """Return name -> options, in the order of the table."""
    out = {"best": {"privacy": "none"}}
    for unit, trainable in itertools.product(UNITS, TRAINABLES):
        common = {"privacy": unit, "trainable": trainable}
        out[f"{unit} {trainable} matched"] = common | {"noise": "off"}
        for epsilon in sorted(epsilons, reverse=True):
            out[f"{unit} {trainable} eps {epsilon:g}"] = common | {"target-epsilon": f"{epsilon:g}"}
    return out


def run_all(
    folder: Path, wanted: Mapping[str, Mapping[str, str]], seeds: Sequence[int]
) -> dict[str, list[Report]]:
    """Return name -> one report per seed; runs that this code finished before are not repeated."""
    done: dict[str, list[Report]] = {name: [] for name in wanted}
    jobs = list(itertools.product(seeds, wanted))
    for number, (seed, name) in enumerate(jobs, start=1):
        place = folder.resolve() / name.replace(" ", "-") / f"seed{seed}"
        options = {**wanted[name], "seed": str(seed), "output-dir": str(place)}
        report = finished_run(place, parse_text(options))
        print(
            f"run {number}/{len(jobs)}: {name}, seed {seed}{'' if report is None else ', already finished'}",
            flush=True,
        )
        if report is None:
            with redirect_stdout(StringIO()):
                report = read_report(launch(options).with_suffix(".json"))
        done[name].append(report)
    return done


def utility(report: Report) -> tuple[float, list[float]]:
    """Return the pooled score of `TASK` and its interval over people."""
    row = report["utility"][TASK]["pooled"]
    return row["value"], row["ci95"]


def difference(arm: Sequence[Report], reference: Sequence[Report]) -> str:
    """Return the paired difference in utility with its interval over seeds."""
    found = over_seeds([utility(a)[0] - utility(r)[0] for a, r in zip(arm, reference, strict=True)])
    half = "" if found["ci95"] is None else f" +-{found['ci95'][1] - found['mean']:.3f}"
    return f"{found['mean']:+.3f}{half}"


def epsilons_of(reports: Sequence[Report]) -> str:
    """Return the largest epsilon of a person and of a window over sites and seeds; a dash where nothing bounds it."""
    sites = [site for report in reports for site in report["privacy"]["sites"]]
    out = []
    for key in ("epsilon_participant", "epsilon_window"):
        values = [site[key] for site in sites]
        out.append(f"{max(values):.4g}" if values and None not in values else "-")
    return f"{out[0]:>8} {out[1]:>8}"


def membership(reports: Sequence[Report]) -> str:
    """Return the attack's advantage, its interval over people (mean of the seeds'), and its ceiling."""
    rows = [headline(report["risks"]).membership for report in reports]
    known = [row for row in rows if row is not None and row["main"] is not None]
    if not known:
        return "not measurable"
    value, low, high = (
        2 * float(np.mean(v)) - 1 for v in zip(*((r["main"], *r["ci95"]) for r in known), strict=True)
    )
    most = [row["ceiling"] for row in known]
    ceiling = f"{2 * max(most) - 1:.2f}" if None not in most else "none"
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f}) {ceiling:>6}"


def row(name: str, done: Mapping[str, list[Report]]) -> str:
    """Return one line of the table."""
    reports = done[name]
    value, low, high = np.mean([[utility(r)[0], *utility(r)[1]] for r in reports], axis=0)
    matched = done.get(" ".join([*name.split()[:2], "matched"]))
    to_matched = difference(reports, matched) if matched is not None and matched is not reports else "-"
    to_best = difference(reports, done["best"]) if name != "best" else "-"
    return (
        f"{name:27} {value:.3f} ({low:.3f} to {high:.3f}) {to_matched:>15} {to_best:>15} {epsilons_of(reports)}  "
        f"{membership(reports)}"
    )


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epsilons", default="2,8")
    parser.add_argument("options", nargs="*", help="run options common to all arms")
    asked = parser.parse_args()
    common = {"start": "synthetic", "tasks": "utility"} | read_pairs(asked.options)
    wanted = {
        name: common | own for name, own in arms(read_numbers(asked.epsilons, "epsilons", float)).items()
    }
    done = run_all(asked.folder, wanted, read_numbers(asked.seeds, "seeds", int))
    first = done["best"][0]
    people = first["utility"][TASK]["pooled"]["n_participants"]
    trained = sum(site["trained_on"] for site in first["data"]["sites"])
    zero = np.mean([r["utility"][TASK]["pooled"]["start"]["value"] for r in done["best"]])
    sites = len(first["data"]["sites"])
    print(f"\n{trained} people trained at {sites} sites, scored on {people} others; seeds {asked.seeds}; "
          f"zero-shot {TASK} {zero:.3f}")  # fmt: skip
    print(f"{'arm':27} {TASK:22} {'- matched':>15} {'- best':>15} {'eps pers':>8} {'eps win':>8}  "
          f"{'advantage':22} at most")  # fmt: skip
    for name in wanted:
        print(row(name, done))


if __name__ == "__main__":
    main()
