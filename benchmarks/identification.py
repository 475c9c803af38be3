"""Identification at scale: everybody of a large gallery against everybody's probe, beside the bare product.

`python benchmarks/identification.py` makes embeddings of 10,000 people (64 numbers each, one probe
each, correlated with their gallery template), and measures `risk.problems.outcome`: ranks of all
pairs, average precision, EER, TAR at 5 and 1 % FAR, d'. That is the code of every audit. The bare
product is the same scores computed in blocks of 128 queries into one buffer and forgotten; `Q @ G.T`
as written, which makes 800 MB of them, is timed too. Each round takes all three in turn; a ratio is
between two of one round, in CPU time with one thread and in wall time with all. Memory is the peak of
a process that does nothing else, imports included. Then what the shortcuts of scale cost in
precision: the same figures with every pair counted, and with four times the thresholds.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from transecg_core.risk import standing, verification
from transecg_core.risk.curves import separation
from transecg_core.risk.estimate import resamples
from transecg_core.risk.matching import Cosines, unit_rows
from transecg_core.risk.problems import Outcome, everybody, outcome

DIMENSIONS, BLOCK = 64, 128


def embeddings(people: int, noise: float, seed: int = 0) -> Cosines:
    """Return unit templates and probes; with `noise` 2.2 about every third probe is ranked first of 10,000."""
    rng = np.random.default_rng(seed)
    gallery = unit_rows(rng.normal(size=(people, DIMENSIONS)))
    probes = unit_rows(gallery + noise * rng.normal(size=gallery.shape) / np.sqrt(DIMENSIONS))
    return Cosines(probes, gallery)


def bare(scores: Cosines) -> Callable[[], None]:
    """Return the product alone, in blocks."""
    room = np.empty((BLOCK, len(scores.person_GD)))

    def product() -> None:
        for start in range(0, len(scores.query_QD), BLOCK):
            block = scores.query_QD[start : start + BLOCK]
            np.matmul(block, scores.person_GD.T, out=room[: len(block)])

    return product


def figures(found: Outcome) -> dict[str, float]:
    """Return what a report prints of everybody."""
    curves = found.rates.curves(np.ones((1, len(found.problem.person_P))))
    return {
        "rank-1": float(found.rank1_P.mean()),
        "mAP": float(found.precision_P.mean()),
        "EER": float(verification.eer(*curves)[0]),
        "TAR@5%FAR": float(verification.tar_at(*curves, 0.05)[0]),
        "TAR@1%FAR": float(verification.tar_at(*curves, 0.01)[0]),
        "d'": float(separation(found.moments_P4.mean(axis=0, keepdims=True))[0]),
    }


def timed(
    kinds: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Return the seconds of every kind in every round, in a rotating order, after one round to warm up."""
    names = list(kinds)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for round_ in range(-1, rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = clock()
            kinds[name]()
            if round_ >= 0:
                seconds[name].append(clock() - start)
    return {name: np.array(each) for name, each in seconds.items()}


def speed(people: int, noise: float, threads: int, rounds: int) -> None:
    """Print the times with a number of threads."""
    torch.set_num_threads(threads)
    scores, problem = embeddings(people, noise), everybody(people)
    kinds: dict[str, Callable[[], object]] = {
        "bare product": bare(scores),
        "Q @ G.T": lambda: scores.query_QD @ scores.person_GD.T,
        "identification": lambda: figures(outcome(problem, scores)),
    }
    with threadpool_limits(threads, "blas"):
        found = timed(kinds, rounds, time.process_time if threads == 1 else time.perf_counter)
    for name, seconds in found.items():
        low, middle, high = np.quantile(found["bare product"] / seconds, (0.25, 0.5, 0.75))
        print(
            f"  {threads} thread{'s' * (threads > 1)}  {name:15} {np.median(seconds):6.2f} s   "
            f"speed of the bare product {middle:.2f} [{low:.2f}, {high:.2f}]",
            flush=True,
        )


def precision(people: int, noise: float) -> None:
    """Print the figures, the same with nothing left out, and how wide their intervals are anyway."""
    scores, problem = embeddings(people, noise), everybody(people)
    quick = outcome(problem, scores)
    pairs, steps = standing.MOST_PAIRS, verification.STEPS
    standing.MOST_PAIRS, verification.STEPS = people**2, 4 * steps
    thorough = figures(outcome(problem, scores))
    standing.MOST_PAIRS, verification.STEPS = pairs, steps
    for name, value in figures(quick).items():
        print(f"  {name:10} {value:.5f}   every pair, {4 * steps} steps {thorough[name]:.5f}")
    counted, all_pairs = int(quick.rates.counted_P.sum()), int(quick.rates.pairs_P.sum())
    print(f"  {counted} of {all_pairs} impostor pairs behind EER, TAR, d'; EER off by {quick.rates.uncertainty():.5f} at "
          f"most for its even thresholds")  # fmt: skip
    start = time.process_time()
    draws = verification.eer(*quick.rates.curves(resamples(people, 200, np.random.default_rng(0))))
    low, high = np.quantile(draws, (0.025, 0.975))
    print(
        f"  interval of the EER over people {low:.5f} to {high:.5f} (200 resamples, {time.process_time() - start:.1f} s)"
    )


def peak(people: int, noise: float, threads: int) -> float:
    """Return the peak memory (GiB) of a process of its own that identifies once."""
    command = [
        sys.executable,
        __file__,
        "--people",
        str(people),
        "--noise",
        str(noise),
        "--once",
        str(threads),
    ]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(told.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=2.2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once is not None:
        torch.set_num_threads(asked.once)
        figures(outcome(everybody(asked.people), embeddings(asked.people, asked.noise)))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{asked.people} x {asked.people}, {DIMENSIONS} numbers, noise {asked.noise}, {asked.rounds} rounds; "
          f"{cores} cores, load {load:.1f}; numpy {np.__version__}")  # fmt: skip
    for threads in sorted({1, cores}):
        speed(asked.people, asked.noise, threads, asked.rounds)
        print(
            f"  {threads} thread{'s' * (threads > 1)}  peak memory {peak(asked.people, asked.noise, threads):.2f} GiB"
        )
    precision(asked.people, asked.noise)


if __name__ == "__main__":
    main()
