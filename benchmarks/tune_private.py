"""Print the sweep that the recipes of `transecg_core.recipes` rest on, by unit of privacy.

    python benchmarks/tune_private.py                                     # beats, 50 + 50 people at two sites
    python benchmarks/tune_private.py --participants 28 --tasks utility   # the default federation's size
    python benchmarks/tune_private.py --familiar                          # without the planted shift

Everything here is SYNTHETIC: training people follow from seeds 1000 and 1001, test people from others. No real
recording was looked at for these choices.

*What the recipes were tuned on.* On people of the federation's own generator the pretrained weights are so good that
private training can only match them: every setting scores alike (``--familiar``). So the recipes were tuned under a planted
shift: every window, of training and of test people, has its time stretched 1.5 times (`unfamiliar`), so that the
pretrained weights fail and there is something to learn. The settings were found on an earlier pretrained start (5,000 people
and other initial weights, otherwise the same) and the same two seeds; this prints them, and what changing one of them
does, on the start that is shipped. The grid is small: read it as "reasonable, not by accident", not as the best there is.

A federation is trained in this process with the code of a run (caps, sampling, calibration, private steps, aggregation,
averaging; no messages), half of each site's people by the membership coin, at epsilon 8 and delta 1e-5 of the arm's unit for
all rounds. Each line changes the arm's recipe in what it names. Scores are balanced accuracies on 60 other people per site,
mean over seeds; "gain" is the mean over tasks less that of the starting weights, with its standard error over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.strategy import Update, aggregate
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import load_shared, new_site_model, set_trainable, shared_state
from transecg_core.privacy.account import planned_mechanism, sampling
from transecg_core.privacy.accounting import Mechanism
from transecg_core.seeds import seed_for
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import R_OFFSET, Windows
from transecg_core.sites import Site, available_tasks, prepare, public_counts, site_training_set
from transecg_core.training.aggregation import averaged
from transecg_core.training.local import MISSING, TrainingSet, cosine, task_codes, train_local
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.private import PrivateSpec, train_private
from transecg_core.utility import PERSON_TASKS, predict

TEST_PEOPLE, TEST_WINDOWS = 60, 12
"""Test people per site, and how many of each person's windows are scored."""

STRETCH = 1.5
"""How much `unfamiliar` stretches time: enough that the pretrained weights fail."""

Options = dict[str, Any]


@dataclass(frozen=True)
class TestSet:
    """Windows of people whom nobody trained on: x (N, L), person (N,), task -> codes (N,)."""

    x_NL: np.ndarray
    person_N: np.ndarray
    codes: Mapping[str, np.ndarray]


def held_out(cfg: RunConfig, seed: int) -> TestSet:
    """Return the test people of a seed, from all sites of the run."""
    other = parse({"seed": seed, "participants-per-site": TEST_PEOPLE, "sites": cfg.sites})
    parts = [_thinned(cached_windows(open_site(other, site)), cfg.task_names) for site in other.site_names]
    person = [person_N + TEST_PEOPLE * i for i, (_, person_N, _) in enumerate(parts)]
    codes = {task: np.concatenate([codes[task] for *_, codes in parts]) for task in cfg.task_names}
    return TestSet(np.concatenate([x_NL for x_NL, *_ in parts]), np.concatenate(person), codes)


def unfamiliar(x_NL: np.ndarray) -> np.ndarray:
    """Return windows (N, L) as if time ran slower: waves `STRETCH` times as wide, R where it was."""
    source_L = R_OFFSET + (np.arange(x_NL.shape[1]) - R_OFFSET) / STRETCH
    left_L = np.floor(source_L).astype(int)
    share_L = source_L - left_L
    y_NL = x_NL[:, left_L] * (1 - share_L) + x_NL[:, np.minimum(left_L + 1, x_NL.shape[1] - 1)] * share_L
    y_NL -= y_NL.mean(axis=1, keepdims=True)
    return np.asarray(y_NL / y_NL.std(axis=1, keepdims=True), dtype=np.float32)


def _thinned(
    windows: Windows, tasks: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    rows = []
    for person in np.unique(windows.participant_N):
        own = np.flatnonzero(windows.participant_N == person)
        rows.append(rng.permutation(own)[:TEST_WINDOWS])
    kept = np.sort(np.concatenate(rows))
    return windows.x_NL[kept], windows.participant_N[kept], task_codes(windows, kept, tasks)


def accuracies(cfg: RunConfig, weights: Mapping[str, Tensor], test: TestSet) -> list[float]:
    """Return each task's balanced accuracy; people vote where the task has one answer per person."""
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, weights)
    return [_accuracy(predict(model, test.x_NL, task), test, task) for task in cfg.task_names]


def _accuracy(logp_NC: np.ndarray, test: TestSet, task: str) -> float:
    known_N = test.codes[task] != MISSING
    truth_N, person_N, logp_NC = test.codes[task][known_N], test.person_N[known_N], logp_NC[known_N]
    guess_N = logp_NC.argmax(axis=1)
    if task in PERSON_TASKS:
        people = np.unique(person_N)
        guess_N = np.array([logp_NC[person_N == p].mean(axis=0).argmax() for p in people])
        truth_N = np.array([truth_N[person_N == p][0] for p in people])
    return float(np.mean([(guess_N[truth_N == c] == c).mean() for c in np.unique(truth_N)]))


def federate(cfg: RunConfig, sites: Sequence[Site], start: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Train a federation as a run does; return the weights it would release."""
    ready = [(s.data.name, s, site_training_set(cfg, s), available_tasks(cfg, s)) for s in sites]
    seed_of = partial(seed_for, cfg.seed, "benchmark")
    weights = average = start
    for number in range(1, cfg.rounds + 1):
        updates = {
            name: Update(
                name, local_round(cfg, site, data, number, weights, seed_of(name, number)), tasks, None, None
            )
            for name, site, data, tasks in ready
        }
        weights = aggregate(updates, weights)
        average = averaged(average, weights, cfg.ema_decay, number)
    return average


def local_round(
    cfg: RunConfig, site: Site, data: TrainingSet, number: int, weights: Mapping[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """Return one site's weights after one round, from global step ``(number - 1) * steps`` on."""
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, weights)
    set_trainable(model, cfg.trained_part)
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), (number - 1) * cfg.steps
    if cfg.privacy == "none":
        train_local(
            model,
            data,
            steps=cfg.steps,
            batch_size=cfg.batch,
            learning_rate=rate,
            first_step=first,
            seed=seed,
        )
    else:
        spec = private_spec(cfg, site)
        train_private(
            model, data, spec, steps=cfg.steps, lr_schedule=lambda step: rate(first + step), seed=seed
        )
    return shared_state(model)


def private_spec(cfg: RunConfig, site: Site) -> PrivateSpec:
    """Return the site's mechanism as a run plans it."""
    counts = public_counts(cfg, site.people)
    mechanism: Mechanism = planned_mechanism(cfg, *counts)
    return PrivateSpec(
        unit=mechanism.unit, sigma=mechanism.sigma, clip_norm=cfg.clip_norm, q=mechanism.q,
        expected=sampling(cfg, *counts)[1], windows_per_draw=cfg.draw_windows, max_windows=mechanism.max_windows,
    )  # fmt: skip


BASE: Options = {"start": "synthetic", "num-server-rounds": 20}
ARMS: dict[str, Options] = {
    "participant": {**BASE, "privacy": "participant"},
    "window": {**BASE, "privacy": "window"},
    "best": {**BASE, "privacy": "none"},
}
"""What is not given here is ``auto``: the arm's recipe."""

CHANGES: dict[str, tuple[Options, ...]] = {
    "participant": (
        {"noise": "off"},
        {"learning-rate": 0.01},
        {"learning-rate": 0.06},
        {"clip-norm": 3.0},
        {"local-steps": 1},
        {"local-steps": 6},
        {"ema": 0.0},
        {"trainable": "head"},
        {"trainable": "full", "learning-rate": 0.01},
        {"windows-per-draw": 16, "batch-size": 800},
        {"windows-per-draw": 2, "batch-size": 100},
    ),
    "window": (
        {"noise": "off"},
        {"learning-rate": 0.01},
        {"learning-rate": 0.04},
        {"clip-norm": 3.0},
        {"local-steps": 2},
        {"local-steps": 15},
        {"ema": 0.0},
        {"trainable": "head"},
        {"trainable": "full", "learning-rate": 0.005},
        {"batch-size": 64},
    ),
    "best": (
        {"learning-rate": 0.001},
        {"learning-rate": 0.004},
        {"local-steps": 10},
        {"ema": 0.8},
        {"trainable": "bitfit", "learning-rate": 0.005},
    ),
}
"""What each further line changes."""


@dataclass(frozen=True)
class Cohort:
    """One seed's sites and test people, read once."""

    seed: int
    sites: tuple[Site, ...]
    test: TestSet


def read(seed: int, shared: Options, familiar: bool) -> Cohort:
    """Return one seed's people, their windows stretched unless `familiar`."""
    cfg = parse({**shared, "seed": seed})
    sites = tuple(prepare(cfg, open_site(cfg, site)) for site in cfg.site_names)
    test = held_out(cfg, seed + 500_000)
    if familiar:
        return Cohort(seed, sites, test)
    return Cohort(seed, tuple(map(_stretched, sites)), replace(test, x_NL=unfamiliar(test.x_NL)))


def _stretched(site: Site) -> Site:
    windows = replace(site.data.windows, x_NL=unfamiliar(site.data.windows.x_NL))
    return replace(site, data=replace(site.data, windows=windows))


def scores(cohorts: Sequence[Cohort], options: Options) -> np.ndarray:
    """Return balanced accuracies (seeds, tasks) of one line."""
    rows = []
    for cohort in cohorts:
        cfg = parse({**options, "seed": cohort.seed})
        weights = federate(cfg, cohort.sites, starting_weights(cfg, print))
        rows.append(accuracies(cfg, weights, cohort.test))
    return np.array(rows)


def show(label: str, tasks: Sequence[str], score_ST: np.ndarray, start_ST: np.ndarray) -> None:
    """Print one line."""
    each = "  ".join(f"{task} {value:.3f}" for task, value in zip(tasks, score_ST.mean(axis=0), strict=True))
    gain_S = (score_ST - start_ST).mean(axis=1)
    error = gain_S.std(ddof=1) / np.sqrt(len(gain_S)) if len(gain_S) > 1 else float("nan")
    print(f"{label:<62} {each}   gain {gain_S.mean():+.3f} +- {error:.3f}", flush=True)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--participants", type=int, default=100, help="people per site; half of them train")
    parser.add_argument(
        "--tasks", default="beat", help="beat (at synth-b and synth-d), or utility (at all four sites)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001])
    parser.add_argument("--patch", type=int, default=10, choices=(5, 10), help="10 takes half the time")
    parser.add_argument("--familiar", action="store_true", help="without the planted shift")
    parser.add_argument("--recipes-only", action="store_true", help="without the changed lines")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sites = "synth-b,synth-d" if args.tasks == "beat" else "auto"
    shared: Options = {
        "participants-per-site": args.participants, "patch": args.patch, "tasks": args.tasks, "sites": sites,
    }  # fmt: skip
    cohorts = [read(seed, shared, args.familiar) for seed in args.seeds]
    cfg = parse({**shared, **BASE})
    start = np.array([accuracies(cfg, starting_weights(cfg, print), cohort.test) for cohort in cohorts])
    where = "familiar" if args.familiar else f"time stretched {STRETCH:g} times"
    print(
        f"SYNTHETIC, {args.participants} people a site, half train; seeds {args.seeds}; patch {args.patch}; {where}"
    )
    show("zero-shot", cfg.task_names, start, start)
    for arm in args.arms:
        for change in ({}, *(() if args.recipes_only else CHANGES[arm])):
            found = scores(cohorts, {**shared, **ARMS[arm], **change})
            show(f"{arm}: {describe(change)}", cfg.task_names, found, start)


def describe(change: Options) -> str:
    """Return a line's label."""
    return ", ".join(f"{key}={value}" for key, value in change.items()) or "the recipe"


if __name__ == "__main__":
    main()
