"""How many people does participant-level privacy need? Utility against people per site, at person epsilon 8.

Everything here is SYNTHETIC, and so is the pretraining: in-distribution pretraining, not evidence for real data.

    python benchmarks/people_needed.py [--people 14,28,...] [--seeds 2] [--picture FILE.svg]

Four synthetic sites; n people of each train (nobody is held out; audit-split=halves takes twice as many on the roster).
Training is a run's own code: caps, Poisson sampling, sigma calibrated for the whole run, private steps, uniform aggregation,
averaging; no messages. Every option that is not named below is ``auto``: the recipe of the unit. Each seed draws n of one
pool of people, and its own batches and noise.

`familiar` people come from the generator that, with shifted parameters, also made the pretraining people: the start already
knows nearly all there is to learn. Windows of `unfamiliar` ones are stretched in time, in training and test.

Arms: `bitfit`, `head` and `full` at participant epsilon 8, delta min(1e-5, 1/(10 n)), from the pretrained start; `scratch`
the same from random weights; `longer` is bitfit with 8 local steps a round, `eps 2` and `eps 0.5` bitfit at that epsilon;
`matched` is bitfit's sampler, clip and steps without noise; `best` trains from the pretrained start without privacy, by its
own recipe. Bitfit has several seeds up to n = 112, the rest one; some arms are trained at some n only (`ARMS`). Scores are
balanced accuracies on other people, from another seed, means over seeds, with 95 % intervals over those people (all seeds of
one resampled together). `gain` is the paired difference from zero-shot. noise/signal is the plan's, over the run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tune_private import TestSet, local_round, unfamiliar

from server.strategy import Update, aggregate
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse
from transecg_core.config_checks import max_delta
from transecg_core.model.heads import SiteModel, load_shared, new_site_model
from transecg_core.privacy.plan import plan
from transecg_core.report.svg import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, SOFT, VERMILLION, svg
from transecg_core.risk.estimate import percentile, resamples
from transecg_core.seeds import seed_for
from transecg_core.signals.windows import build_windows
from transecg_core.sites import Site, available_tasks, site_training_set, split_site, trained_rows
from transecg_core.training.aggregation import averaged
from transecg_core.training.local import MISSING, TrainingSet, task_codes
from transecg_core.training.pretrain import starting_weights
from transecg_core.utility import PERSON_TASKS, predict

TASKS, POOL_SEED, TEST_SEED = ("beat", "sex"), 2000, 902_000
TEST_PEOPLE, TEST_WINDOWS, BOOTSTRAP = 100, 16, 1000  # per site, per person, resamples of people
PRIVATE: Mapping[str, Any] = {"privacy": "participant", "target-epsilon": 8, "start": "synthetic"}


@dataclass(frozen=True)
class Arm:
    """Options of an arm, its colour, and which of the n (and familiar people's n) it is trained at."""

    options: Mapping[str, Any]
    colour: str
    at: slice
    familiar: slice
    noised: bool = True


ALL, THIRDS, ENDS = slice(None), slice(None, None, 3), slice(None, None, 6)
FEW, LAST, NONE = slice(2), slice(-1, None), slice(0)
ARMS: Mapping[str, Arm] = {
    "bitfit": Arm({**PRIVATE, "trainable": "bitfit"}, BLUE, ALL, ENDS),
    "head": Arm({**PRIVATE, "trainable": "head"}, GREEN, ALL, NONE),
    "full": Arm({**PRIVATE, "trainable": "full"}, PURPLE, ENDS, NONE),
    "scratch": Arm({**PRIVATE, "start": "random"}, VERMILLION, LAST, NONE),
    "matched": Arm({**PRIVATE, "trainable": "bitfit", "noise": "off"}, ORANGE, THIRDS, NONE, noised=False),
    "best": Arm({"privacy": "none", "tasks": "utility", "start": "synthetic"}, INK, ENDS, LAST, noised=False),
    "longer": Arm({**PRIVATE, "trainable": "bitfit", "local-steps": 8}, SKY, LAST, NONE),
    "eps 2": Arm({**PRIVATE, "trainable": "bitfit", "target-epsilon": 2}, FAINT, FEW, NONE),
    "eps 0.5": Arm({**PRIVATE, "trainable": "bitfit", "target-epsilon": 0.5}, SOFT, FEW, NONE),
}


@dataclass(frozen=True)
class Pool:
    """One site's training set of as many people as the largest arm needs, with who is who in it."""

    site: Site
    data: TrainingSet
    persons: tuple[str, ...]

    def some(self, n: int, seed: int) -> TrainingSet:
        """Return the training set of `n` people; a smaller n takes some of a larger one's.

        The person decides, so that whoever is at two sites is mostly taken at both or at neither.
        """
        order = sorted(range(len(self.persons)), key=lambda i: seed_for(seed, "chosen", self.persons[i]))
        chosen_N = torch.isin(self.data.participant_N, torch.tensor(sorted(order[:n])))
        _, dense_N = torch.unique(self.data.participant_N[chosen_N], return_inverse=True)
        targets = {task: target_N[chosen_N] for task, target_N in self.data.targets.items()}
        return TrainingSet(self.data.x_NL[chosen_N], dense_N, targets)

    def stretched(self) -> Pool:
        """Return the same people with unfamiliar windows."""
        x_NL = torch.from_numpy(unfamiliar(self.data.x_NL.numpy()))
        return replace(self, data=replace(self.data, x_NL=x_NL))


def options(arm: str, n: int, seed: int, patch: int) -> RunConfig:
    """Return an arm's config; all that is not given is its recipe's."""
    own = ARMS[arm].options
    delta = {"delta": min(1e-5, max_delta(n))} if own["privacy"] != "none" else {}
    return parse(
        {"participants-per-site": n, "audit-split": "none", "seed": seed, "patch": patch, **delta, **own}
    )


def pools(people: int, patch: int) -> list[Pool]:
    """Return the sites, read once for all arms; whoever turned out unusable is not replaced."""
    cfg, found = options("bitfit", people, POOL_SEED, patch), []
    for name in cfg.site_names:
        source = open_site(cfg, name)
        site = split_site(cfg, source, build_windows(source))
        own = {site.data.person_P[p] for p in site.data.windows.participant_N[trained_rows(site.data)]}
        found.append(Pool(site, site_training_set(cfg, site), tuple(sorted(own))))
    return found


def test_set() -> TestSet:
    """Return the people whom every arm is judged on."""
    cfg, rng = parse({"seed": TEST_SEED, "participants-per-site": TEST_PEOPLE}), np.random.default_rng(0)
    x, person, codes, names = [], [], [], dict[str, int]()
    for name in cfg.site_names:
        source = open_site(cfg, name)
        windows = build_windows(source)
        own = [np.flatnonzero(windows.participant_N == p) for p in range(len(windows.participants))]
        rows = np.sort(np.concatenate([rng.permutation(some)[:TEST_WINDOWS] for some in own]))
        index_P = np.array([names.setdefault(source.person(p), len(names)) for p in windows.participants])
        x.append(np.array(windows.x_NL[rows]))
        person.append(index_P[windows.participant_N[rows]])
        codes.append(task_codes(windows, rows, TASKS))
    joined = {task: np.concatenate([code[task] for code in codes]) for task in TASKS}
    return TestSet(np.concatenate(x), np.concatenate(person), joined)


def federate(cfg: RunConfig, n: int, found: Sequence[Pool], start: Mapping[str, Tensor]) -> SiteModel:
    """Train as a run with `n` people a site does; return the model that it would release (n = 0: the start)."""
    ready = [(replace(pool.site, people=n), pool.some(n, cfg.seed)) for pool in found]
    weights = average = start
    for number in range(1, cfg.rounds + 1 if n else 1):
        updates = {}
        for site, data in ready:
            name, seed = site.data.name, seed_for(cfg.seed, "people needed", site.data.name, number)
            own = local_round(cfg, site, data, number, weights, seed)
            updates[name] = Update(name, own, available_tasks(cfg, site), None, None)
        weights = aggregate(updates, weights)
        average = averaged(average, weights, cfg.ema_decay, number)
    model = new_site_model(cfg.patch, cfg.task_names, 0)
    load_shared(model, average)
    return model


Tally = tuple[np.ndarray, np.ndarray]
"""Hits and totals per test person and class, (P, C) each."""


def tally(model: SiteModel, test: TestSet, task: str) -> Tally:
    """Count what the model gets right; people vote where the task has one answer per person."""
    known_N = test.codes[task] != MISSING
    truth_U, person_U = test.codes[task][known_N], test.person_N[known_N]
    logp_UC = predict(model, test.x_NL[known_N], task)
    guess_U = logp_UC.argmax(axis=1)
    if task in PERSON_TASKS:
        people = np.unique(person_U)
        guess_U = np.array([logp_UC[person_U == p].mean(axis=0).argmax() for p in people])
        truth_U = np.array([truth_U[person_U == p][0] for p in people])
        person_U = people
    _, row_U = np.unique(person_U, return_inverse=True)
    hits_PC, totals_PC = np.zeros((2, row_U.max() + 1, logp_UC.shape[1]))
    np.add.at(totals_PC, (row_U, truth_U), 1.0)
    np.add.at(hits_PC, (row_U, truth_U), (truth_U == guess_U).astype(np.float64))
    return hits_PC, totals_PC


class Score(NamedTuple):
    """Balanced accuracy and its gain over the start, with intervals over people."""

    value: float
    ci95: tuple[float, float]
    gain: float
    gain_ci95: tuple[float, float]


def score(seeds: Sequence[Tally], start: Tally) -> Score:
    """Estimate the mean over seeds against the start on the same people; the resamples are paired."""
    found = np.mean([hits for hits, _ in seeds], axis=0), start[1]
    weight_BP = resamples(len(start[0]), BOOTSTRAP, np.random.default_rng(0))
    everybody = np.ones((1, len(start[0])))
    draws, before = balanced(found, weight_BP), balanced(start, weight_BP)
    value, was = float(balanced(found, everybody)[0]), float(balanced(start, everybody)[0])
    return Score(value, percentile(draws), value - was, percentile(draws - before))


def balanced(counts: Tally, weight_BP: np.ndarray) -> np.ndarray:
    """Return the mean recall (B,) under each weighting of the people."""
    hits_PC, totals_PC = counts
    return np.asarray(((weight_BP @ hits_PC) / (weight_BP @ totals_PC)).mean(axis=1))


Scores = dict[tuple[str, str, int, str], Score]  # (kind, arm, people, task); people 0 is zero-shot


def measure(args: argparse.Namespace, people: Sequence[int]) -> Scores:
    """Train and judge everything; print each row as it comes."""
    known, test, out = pools(max(people), args.patch), test_set(), Scores()
    for kind in ("unfamiliar", "familiar"):
        found, judged = known, test
        if kind == "unfamiliar":
            found, judged = [p.stretched() for p in known], replace(test, x_NL=unfamiliar(test.x_NL))
        cfg = options("bitfit", people[0], 0, args.patch)
        model = federate(cfg, 0, (), starting_weights(cfg, print))
        before = {task: tally(model, judged, task) for task in TASKS}
        out |= {(kind, "zero-shot", 0, task): score([before[task]], before[task]) for task in TASKS}
        print(row(out, kind, "zero-shot", 0, 0, ""), flush=True)
        for n in people:
            for name, arm in ARMS.items():
                if n not in people[arm.familiar if kind == "familiar" else arm.at]:
                    continue
                count = args.seeds if (kind, name) == ("unfamiliar", "bitfit") and n <= 112 else 1
                configs = [options(name, n, seed, args.patch) for seed in range(count)]
                models = [federate(each, n, found, starting_weights(each, print)) for each in configs]
                for task in TASKS:
                    tallies = [tally(model, judged, task) for model in models]
                    out[kind, name, n, task] = score(tallies, before[task])
                noise = f"{plan(configs[0], n).noise_over_run:.2g}" if arm.noised else ""
                print(row(out, kind, name, n, count, noise), flush=True)
    return out


def row(scores: Scores, kind: str, arm: str, n: int, seeds: int, noise: str) -> str:
    """Return one line of the table."""
    parts = [f"{kind:<10} {n or '':>4} {arm:<9} {seeds or '':>1} {noise:>6}"]
    for task in TASKS:
        value, ci, gain, gain_ci = scores[kind, arm, n, task]
        more = f" gain {gain:+.3f} [{gain_ci[0]:+.3f}, {gain_ci[1]:+.3f}]" if n else " " * 30
        parts.append(f"{task} {value:.3f} [{ci[0]:.3f}, {ci[1]:.3f}]{more}")
    return "  ".join(parts).rstrip()


def picture(scores: Scores, people: Sequence[int], path: Path) -> None:
    """Draw both tasks on unfamiliar recordings beside each other."""

    def draw(fig: Any) -> None:
        for ax, task in zip(fig.subplots(1, len(TASKS)), TASKS, strict=True):
            zero = scores["unfamiliar", "zero-shot", 0, task].value
            ax.axhline(zero, color=FAINT, lw=0.9, ls="--", label="zero-shot")
            for name, arm in ARMS.items():
                own = {n: scores[key] for n in people if (key := ("unfamiliar", name, n, task)) in scores}
                values = [found.value for found in own.values()]
                ax.plot(list(own), values, color=arm.colour, lw=1.2, marker="o", ms=3, label=name)
                if name == "bitfit":
                    low, high = zip(*(found.ci95 for found in own.values()), strict=True)
                    ax.fill_between(list(own), low, high, color=arm.colour, alpha=0.15, lw=0)
            ax.set_xscale("log", base=2)
            ax.set_xticks(list(people), [str(n) for n in people])
            ax.set_xlabel("people per site who train")
            ax.set_title(f"{task}: balanced accuracy on other people", fontsize=8.25, loc="left")
        fig.tight_layout(rect=(0, 0, 0.88, 1))
        fig.legend(*ax.get_legend_handles_labels(), loc="center right", frameon=False, fontsize=7.5)

    text = svg("people", "Balanced accuracy against people per site, synthetic people", 780, 300, draw)
    text = text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    # Inside a page the browser knows the prefix; a file of its own must bind it.
    text = text.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", default="14,28,56,112,224,448,896", help="people per site who train")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of bitfit up to n = 112")
    parser.add_argument("--patch", type=int, default=10, choices=(5, 10))
    parser.add_argument("--picture", type=Path, help="SVG file to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    people = sorted({int(part) for part in args.people.split(",")})
    cfg = options("bitfit", people[0], 0, args.patch)
    print("SYNTHETIC people; in-distribution pretraining, not evidence for real data")
    print(f"{cfg.rounds} rounds of {cfg.steps} steps, {cfg.batch} windows a step, {cfg.draw_windows} of each drawn person, "
          f"rate {cfg.rate:g}, ema {cfg.ema_decay:g}, patch {cfg.patch}, {TEST_PEOPLE} test people a site")  # fmt: skip
    print(
        "recordings, people, arm, seeds, noise/signal, then by task: balanced accuracy and gain over zero-shot"
    )
    scores = measure(args, people)
    if args.picture:
        picture(scores, people, args.picture)
    print(f"{time.process_time():.0f} CPU s")


if __name__ == "__main__":
    main()
