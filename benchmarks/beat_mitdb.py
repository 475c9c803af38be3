"""Print what privacy costs on real beats: `beat` on mitdb, pretrained on synthetic people, at epsilon 8.

    python benchmarks/beat_mitdb.py --data-root FOLDER      # FOLDER holds mitdb/; five seeds, some minutes

One site, mitdb, trains alone (no federation). In every seed an independent fair coin per person decides who trains and who
is tested, so that people are disjoint (201 and 202 are one man), every person is tested in about half of the seeds,
and the figures do not hang on one partition. (DS1/DS2, the usual partition, has that man on both sides.)

Every arm uses its recipe of `transecg_core.recipes`, which was tuned on synthetic people only
(`benchmarks/tune_private.py`); nothing was tuned on mitdb. The seeds were fixed before the first run. What is *not*
blind: generator and choice of `bitfit` were informed by aggregate figures of ECG-ID and mitdb.

* zero-shot: the pretrained weights as they are;
* DP window: every window is the unit, epsilon 8 at delta 1e-5 for the whole training;
* matched: the same draws, augmentation, clip and steps without noise;
* best: no privacy, its own recipe from the same start;
* DP window from scratch: random start, all parameters move, batch, rate and steps of DP window;
* DP window, usual cap: as DP window with the default cap on a person's windows, at a lower person epsilon;
* DP participant: every person is the unit, epsilon 8, default cap;
* noise only: as DP participant on nobody's data. Noise alone moves the threshold between classes, which the pretrained
  weights have in the wrong place for real beats: what DP participant gains over *this* is what it learned.

Usual cap and noise only were added after the first run had been seen; the other arms kept every figure.

Scores are balanced accuracies over all windows of the test people. The person epsilon of window training follows from
``--cap``, the most windows a person trains with. Intervals are 95 % and nested: people are resampled, and seeds too.
The target is a mean difference DP window - matched of at least -0.02, in an interval no wider than +-0.02.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tune_private import local_round, private_spec

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import BEATS
from transecg_core.config import RunConfig, defaults, parse
from transecg_core.model.heads import load_shared, new_site_model
from transecg_core.privacy.accounting import Account, Mechanism, epsilon, participant_account
from transecg_core.recipes import PRETRAINED, PROFILES
from transecg_core.risk.estimate import percentile, resamples
from transecg_core.seeds import seed_for
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import Windows
from transecg_core.sites import Site, site_training_set, split_site
from transecg_core.training.aggregation import averaged
from transecg_core.training.local import TrainingSet
from transecg_core.training.pretrain import starting_weights
from transecg_core.utility import predict

SEEDS = (0, 1, 2, 3, 4)
EPSILON, DELTA = 8.0, 1e-5
TARGET = 0.02
BOOTSTRAP = 2000
N, V, S = (BEATS.index(name) for name in "NVS")
CLASS_SETS = {"N/V": (N, V), "N/V/S": (N, V, S)}

Options = dict[str, Any]
WINDOW: Options = {"privacy": "window", "start": "synthetic", "target-epsilon": EPSILON, "delta": DELTA}
_LIKE = PRETRAINED["window"]
SCRATCH: Options = {
    **WINDOW, "start": "random", "trainable": "full", "batch-size": _LIKE.batch_size, "ema": _LIKE.ema,
    "learning-rate": _LIKE.learning_rate, "local-steps": round(PROFILES["default"].local_steps * _LIKE.steps_share),
}  # fmt: skip
USUAL_CAP = defaults()["max-windows-per-participant"]


@dataclass(frozen=True)
class Arm:
    """Options; whether ``--cap`` replaces the usual cap; whether nobody's data is used, only noise."""

    options: Options
    wide: bool = False
    nobody: bool = False


ARMS: dict[str, Arm] = {
    "zero-shot": Arm({"start": "synthetic"}),
    "DP window": Arm(WINDOW, wide=True),
    "matched": Arm({**WINDOW, "noise": "off"}, wide=True),
    "best": Arm({"start": "synthetic"}, wide=True),
    "DP window from scratch": Arm(SCRATCH, wide=True),
    "DP window, usual cap": Arm(WINDOW),
    "DP participant": Arm({**WINDOW, "privacy": "participant"}),
    "noise only": Arm({**WINDOW, "privacy": "participant"}, nobody=True),
}


@dataclass(frozen=True)
class Outcome:
    """Hits and totals per person and class of one class set (P, C), on the people of one seed's test half.

    The prediction is the likeliest class *of the set*: for N/V, S is no answer.
    """

    hits_PC: np.ndarray
    totals_PC: np.ndarray


@dataclass(frozen=True)
class Cost:
    """What an arm's training cost, for its own unit and for a person; None without noise."""

    mechanism: Mechanism
    steps: int
    unit: float
    person: Account


def configured(arm: Arm, seed: int, cap: int, patch: int) -> RunConfig:
    """Return an arm's options; what is not given follows from the recipe."""
    return parse(
        {
            "cohort": "real", "data-root": "unused", "tasks": "beat", "audit-split": "halves", "seed": seed,
            "patch": patch, "max-windows-per-participant": cap if arm.wide else USUAL_CAP, **arm.options,
        }
    )  # fmt: skip


def train(
    cfg: RunConfig, site: Site, start: Mapping[str, Tensor], nobody: bool = False
) -> Mapping[str, Tensor]:
    """Return what a run with this one site would release: rounds, and the average over them."""
    data = site_training_set(cfg, site)
    if nobody:
        targets = {task: target[:0] for task, target in data.targets.items()}
        data = TrainingSet(data.x_NL[:0], data.participant_N[:0], targets)
    weights = average = start
    for number in range(1, cfg.rounds + 1):
        # The same seed for DP and matched: the same people and windows are drawn.
        seed = seed_for(cfg.seed, "benchmark", cfg.privacy, number)
        weights = local_round(cfg, site, data, number, weights, seed)
        average = averaged(average, weights, cfg.ema_decay, number)
    return average


def cost_of(cfg: RunConfig, site: Site) -> Cost | None:
    """Return what the arm costs; None for arms without a guarantee."""
    if cfg.privacy == "none" or cfg.noise == "off":
        return None
    mechanism, steps = private_spec(cfg, site).mechanism, cfg.rounds * cfg.steps
    charges = [(mechanism, steps)]
    return Cost(mechanism, steps, epsilon(charges, cfg.delta), participant_account(charges, cfg.delta))


def judge(cfg: RunConfig, site: Site, weights: Mapping[str, Tensor]) -> dict[str, Outcome]:
    """Score all labelled windows of the people who did not train, by class set."""
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, weights)
    windows: Windows = site.data.windows
    rows = np.flatnonzero(~site.data.member_P[windows.participant_N] & np.isin(windows.beat_N, (N, V, S)))
    truth, person = windows.beat_N[rows].astype(int), windows.participant_N[rows]
    logp_NC = predict(model, windows.x_NL[rows], "beat")
    out = {}
    for name, classes in CLASS_SETS.items():
        guess = np.array(classes)[logp_NC[:, classes].argmax(axis=1)]
        totals_PC, hits_PC = np.zeros((2, len(windows.participants), 3))
        np.add.at(totals_PC, (person, truth), 1)
        np.add.at(hits_PC, (person, truth), guess == truth)
        out[name] = Outcome(hits_PC[:, classes], totals_PC[:, classes])
    return out


def balanced(outcome: Outcome, weight_BP: np.ndarray) -> np.ndarray:
    """Return the balanced accuracy (B,) of each resample of people; NaN where a class has nobody."""
    totals_BC = weight_BP @ outcome.totals_PC
    with np.errstate(invalid="ignore"):
        return np.asarray(((weight_BP @ outcome.hits_PC) / totals_BC).mean(axis=1))


@dataclass(frozen=True)
class Figure:
    """A mean over seeds with its nested interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def compared(arm_S: Sequence[Outcome], other_S: Sequence[Outcome] | None = None) -> Figure:
    """Return the mean over seeds of an arm's score, or of its paired difference from another arm.

    People are resampled (the same draw for both arms and all seeds), and seeds are; a resample in which a
    class has no test person in one of the seeds drawn leaves that seed out.
    """
    rng = np.random.default_rng(0)
    people = len(arm_S[0].totals_PC)
    weight_BP = np.vstack([np.ones(people), resamples(people, BOOTSTRAP, rng)])
    value_SB = np.stack([balanced(outcome, weight_BP) for outcome in arm_S])
    if other_S is not None:
        value_SB = value_SB - np.stack([balanced(outcome, weight_BP) for outcome in other_S])
    drawn_KB = rng.integers(len(arm_S), size=(len(arm_S), BOOTSTRAP))
    nested_KB = np.take_along_axis(value_SB[:, 1:], drawn_KB, axis=0)
    kept_B = ~np.isnan(nested_KB).all(axis=0)
    low, high = percentile(np.nanmean(nested_KB[:, kept_B], axis=0))
    return Figure(float(value_SB[:, 0].mean()), low, high)


def verdict(difference: Figure) -> str:
    """Return what a difference says about the target; a wide interval says nothing."""
    if difference.high - difference.low > 2 * TARGET:
        return f"not resolved (interval wider than +-{TARGET:g})"
    return "reached" if difference.value >= -TARGET else "not reached"


def run(
    site_of: Mapping[int, Site], args: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Cost | None]]:
    """Return arm -> class set -> outcomes over seeds, and arm -> cost."""
    outcomes: dict[str, dict[str, list[Outcome]]] = {arm: {name: [] for name in CLASS_SETS} for arm in ARMS}
    costs: dict[str, Cost | None] = {}
    for seed, site in site_of.items():
        for arm, what in ARMS.items():
            cfg = configured(what, seed, args.cap, args.patch)
            began = time.process_time()
            start = starting_weights(cfg, print)
            weights = start if arm == "zero-shot" else train(cfg, site, start, what.nobody)
            for name, outcome in judge(cfg, site, weights).items():
                outcomes[arm][name].append(outcome)
            costs.setdefault(arm, None if arm == "zero-shot" else cost_of(cfg, site))
            score = {
                n: float(balanced(o[-1], np.ones((1, len(o[-1].totals_PC))))[0])
                for n, o in outcomes[arm].items()
            }
            shown = "  ".join(f"{name} {value:.3f}" for name, value in score.items())
            print(f"seed {seed}  {arm:<24} {shown}  ({time.process_time() - began:.0f} CPU-s)", flush=True)
    return outcomes, costs


def report(outcomes: Mapping[str, Mapping[str, Sequence[Outcome]]], costs: Mapping[str, Cost | None]) -> None:
    """Print the table and the verdicts."""
    for name in CLASS_SETS:
        print(
            f"\n{name}: recalls | balanced accuracy | minus matched | minus best | epsilon of a window, of a person"
        )
        for arm in ARMS:
            own = outcomes[arm][name]
            others = (None, outcomes["matched"][name], outcomes["best"][name])
            columns = " | ".join(str(compared(own, other)) for other in others)
            hits, totals = (
                np.stack([getattr(o, k).sum(axis=0) for o in own]) for k in ("hits_PC", "totals_PC")
            )
            recalls = "/".join(f"{recall:.2f}" for recall in (hits / totals).mean(axis=0))
            print(f"{arm:<24} {recalls} | {columns} | {_cost(costs[arm])}")
        learned = compared(outcomes["DP participant"][name], outcomes["noise only"][name])
        print(f"{name}: DP participant - noise only {learned}")
        difference = compared(outcomes["DP window"][name], outcomes["matched"][name])
        print(f"{name}: DP window - matched {difference}, target >= -{TARGET:g}: {verdict(difference)}")


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "no guarantee"
    m, person = cost.mechanism, cost.person
    unit = f"{cost.unit:.2f}" if m.unit == "window" else "-"
    return (
        f"{unit}, {person.epsilon:.4g} ({person.method}; sigma {m.sigma:.3f}, q {m.q:.4f}, "
        f"{cost.steps} steps, at most {m.max_windows} windows a person)"
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True, help="folder that holds mitdb/")
    parser.add_argument("--cap", type=int, default=400, help="most windows of a person (window unit)")
    parser.add_argument("--patch", type=int, default=5, choices=(5, 10))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    source = open_reader("mitdb", args.data_root / "mitdb", "mitdb")
    windows = cached_windows(source)
    sites = {
        seed: split_site(configured(ARMS["best"], seed, args.cap, args.patch), source, windows)
        for seed in args.seeds
    }
    members = [int(site.data.member_P.sum()) for site in sites.values()]
    print(
        f"mitdb: {len(windows.participants)} people with {len(windows)} windows; seeds {args.seeds} train on {members}"
    )
    report(*run(sites, args))


if __name__ == "__main__":
    main()
