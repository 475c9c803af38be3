"""Print the sweep that the recipes of `transecg_core.recipes` rest on, by unit of privacy.

Everything here is SYNTHETIC: training people follow from seeds 1000, 1001, ... and test people from other
seeds, which no other command of this repository uses by default. No real recording was looked at for
these choices.

    python benchmarks/tune_private.py                      # the recipes and their neighbours, 14 + 14 people a site
    python benchmarks/tune_private.py --participants 200   # the same with 100 + 100

A federation of the four synthetic sites is trained in this process (same code as a run: caps, sampling,
calibration, private steps, aggregation, averaging; no messages), half of each site's people by the membership coin,
at epsilon 8 and delta 1e-5 of the arm's unit over the whole run. Each line changes one thing of the arm's recipe. The
score is the balanced accuracy on 60 other people per site, mean over seeds, and for the mean over tasks the standard error
over seeds of the difference from the arm's first line. Differences under two of them are noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from server.strategy import Update, aggregate, averaged
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.model.heads import SiteModel, load_shared, new_site_model, set_trainable, shared_state
from transecg_core.names import UTILITY_TASKS
from transecg_core.privacy.account import planned_mechanism, sampling
from transecg_core.privacy.accounting import Mechanism
from transecg_core.seeds import seed_for
from transecg_core.signals.cache import cached_windows
from transecg_core.signals.schema import R_OFFSET, Windows
from transecg_core.sites import Site, available_tasks, prepare, public_counts, site_training_set
from transecg_core.training.local import MISSING, TrainingSet, cosine, task_codes, train_local
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.private import PrivateSpec, train_private
from transecg_core.utility import PERSON_TASKS, predict

TEST_PEOPLE, TEST_WINDOWS = 60, 12
"""Test people per site, and how many of each person's windows are scored."""

STRETCH = 1.5
"""How much `unfamiliar` stretches time: enough that the pretrained weights call every third beat wrongly."""

Options = dict[str, Any]


@dataclass(frozen=True)
class TestSet:
    """Windows of people whom nobody trained on: x (N, L), person (N,), task -> codes (N,)."""

    x_NL: np.ndarray
    person_N: np.ndarray
    codes: Mapping[str, np.ndarray]


def held_out(seed: int) -> TestSet:
    """Return the test people of a seed, from all four sites."""
    cfg = parse({"seed": seed, "participants-per-site": TEST_PEOPLE})
    parts = [_thinned(cached_windows(open_site(cfg, site))) for site in cfg.site_names]
    person = [person_N + TEST_PEOPLE * i for i, (_, person_N, _) in enumerate(parts)]
    codes = {task: np.concatenate([codes[task] for *_, codes in parts]) for task in UTILITY_TASKS}
    return TestSet(np.concatenate([x_NL for x_NL, *_ in parts]), np.concatenate(person), codes)


def unfamiliar(x_NL: np.ndarray) -> np.ndarray:
    """Return windows (N, L) as if time ran slower: waves `STRETCH` times as wide, R where it was."""
    source_L = R_OFFSET + (np.arange(x_NL.shape[1]) - R_OFFSET) / STRETCH
    left_L = np.floor(source_L).astype(int)
    share_L = source_L - left_L
    y_NL = x_NL[:, left_L] * (1 - share_L) + x_NL[:, np.minimum(left_L + 1, x_NL.shape[1] - 1)] * share_L
    y_NL -= y_NL.mean(axis=1, keepdims=True)
    return np.asarray(y_NL / y_NL.std(axis=1, keepdims=True), dtype=np.float32)


def _thinned(windows: Windows) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    rows = []
    for person in np.unique(windows.participant_N):
        own = np.flatnonzero(windows.participant_N == person)
        rows.append(rng.permutation(own)[:TEST_WINDOWS])
    kept = np.sort(np.concatenate(rows))
    return windows.x_NL[kept], windows.participant_N[kept], task_codes(windows, kept, UTILITY_TASKS)


def accuracies(model: SiteModel, test: TestSet) -> dict[str, float]:
    """Return task -> balanced accuracy; people vote where the task has one answer per person."""
    return {task: _accuracy(predict(model, test.x_NL, task), test, task) for task in UTILITY_TASKS}


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
    ready = [(site, site_training_set(cfg, site), available_tasks(cfg, site)) for site in sites]
    weights = average = start
    for number in range(1, cfg.rounds + 1):
        updates = {
            site.data.name: Update(
                site.data.name, local_round(cfg, site, data, number, weights), tasks, None, None
            )
            for site, data, tasks in ready
        }
        weights = aggregate(updates, weights)
        average = averaged(average, weights, cfg.ema_decay, number)
    return average


def local_round(
    cfg: RunConfig, site: Site, data: TrainingSet, number: int, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return one site's weights after one round."""
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, weights)
    set_trainable(model, cfg.trained_part)
    rate, first = cosine(cfg.rate, cfg.rounds * cfg.steps), (number - 1) * cfg.steps
    seed = seed_for(cfg.seed, "benchmark", site.data.name, number)
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


ARMS: dict[str, Options] = {
    "participant": {"privacy": "participant"},
    "window": {"privacy": "window"},
    "best": {"privacy": "none", "tasks": "utility", "start": "synthetic"},
}
"""Each arm starts from its recipe in `transecg_core.recipes`: whatever is not given here is ``auto``."""

CHANGES: dict[str, tuple[Options, ...]] = {
    "participant": (),
    "window": (),
    "best": (),
}
"""What each further line changes."""


def variants(arm: str) -> Iterator[Options]:
    """Yield the arm's recipe, then each change of it."""
    yield {}
    yield from CHANGES[arm]


@dataclass(frozen=True)
class Cohort:
    """One seed's sites and test people, read once."""

    seed: int
    sites: tuple[Site, ...]
    test: TestSet


def read(seed: int, participants: int, patch: int) -> Cohort:
    """Return one seed's people."""
    cfg = parse({"seed": seed, "participants-per-site": participants, "patch": patch, "tasks": "utility"})
    sites = tuple(prepare(cfg, open_site(cfg, site)) for site in cfg.site_names)
    return Cohort(seed, sites, held_out(seed + 500_000))


def scores(cohorts: Sequence[Cohort], options: Options) -> np.ndarray:
    """Return balanced accuracies (seeds, tasks) of one line."""
    rows = []
    for cohort in cohorts:
        cfg = parse({**options, "seed": cohort.seed})
        weights = federate(cfg, cohort.sites, starting_weights(cfg, print))
        rows.append(list(accuracies(loaded(cfg, weights), cohort.test).values()))
    return np.array(rows)


def loaded(cfg: RunConfig, weights: Mapping[str, Tensor]) -> SiteModel:
    """Return a model with these weights."""
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, weights)
    return model


def show(label: str, score_ST: np.ndarray, against_ST: np.ndarray) -> None:
    """Print one line."""
    tasks = "  ".join(
        f"{task} {value:.3f}" for task, value in zip(UTILITY_TASKS, score_ST.mean(axis=0), strict=True)
    )
    difference_S = (score_ST - against_ST).mean(axis=1)
    error = difference_S.std(ddof=1) / np.sqrt(len(difference_S)) if len(difference_S) > 1 else float("nan")
    print(
        f"{label:<58} mean {score_ST.mean():.3f}  {tasks}  diff {difference_S.mean():+.3f} +- {error:.3f}",
        flush=True,
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--participants", type=int, default=28, help="people per site; half of them train")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001, 1002])
    parser.add_argument("--patch", type=int, default=5, choices=(5, 10))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cohorts = [read(seed, args.participants, args.patch) for seed in args.seeds]
    shared = {"participants-per-site": args.participants, "patch": args.patch}
    print(f"SYNTHETIC people, {args.participants} a site, seeds {args.seeds}, patch {args.patch}")
    for arm in args.arms:
        base = {**shared, **ARMS[arm]}
        start = zero_shot(cohorts, base)
        show(f"{arm}: zero-shot", start, start)
        first = None
        for change in variants(arm):
            found = scores(cohorts, {**base, **change})
            first = found if first is None else first
            show(f"{arm}: {describe(change)}", found, first)


def zero_shot(cohorts: Sequence[Cohort], options: Options) -> np.ndarray:
    """Return the scores of the starting weights."""
    cfg = parse(options)
    model = loaded(cfg, starting_weights(cfg, print))
    return np.array([list(accuracies(model, cohort.test).values()) for cohort in cohorts])


def describe(change: Options) -> str:
    """Return a line's label."""
    return ", ".join(f"{key}={value}" for key, value in change.items()) or "the recipe"


if __name__ == "__main__":
    main()
