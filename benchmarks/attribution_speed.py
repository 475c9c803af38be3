"""What a relevance map costs, against plain passes of the same encoder over as many windows.

`python benchmarks/attribution_speed.py` prints one table: 1,000 windows, 20 ms patches, the default model.
Baselines are `Encoder.forward` as training runs it (fused attention, all tokens in all blocks), in batches
of the same size: a forward without a graph, a forward and backward to the weights (a training step's), and
a forward and backward to the input alone, which is cheaper. A method that makes many passes is compared
with the same number of baseline passes, which are run, not extrapolated. The last column compares with the
encoder's short way to the class token, which the methods use: what is left there is their own overhead.

All of it takes turns in one run on one thread, in an order that rotates; a ratio is between two of one
round, in CPU time of the thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from transecg_core.attribution.embedding import CHUNK, class_token
from transecg_core.attribution.integrated_gradients import STEPS
from transecg_core.attribution.relevance import relevances
from transecg_core.attribution.targets import ClassTarget, SimilarityTarget, Target
from transecg_core.cohorts.schema import COMPONENT_CODE
from transecg_core.model.heads import new_site_model

PATCH = 5
LENGTH = 200
BOUNDS = (
    ("TP", 25), ("P", 25), ("PQ", 15), ("QRS", 25), ("ST", 20), ("T", 55), ("TP", 35),
)  # fmt: skip
COMPONENTS_OF_A_BEAT = 6
Pass = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One method, and how many passes per window its baseline makes."""

    method: str
    target: str
    kind: str
    passes: int


CASES = (
    Case("cls-attention", "sex", "forward", 1),
    Case("rollout", "sex", "forward", 1),
    Case("gradient-attention", "sex", "to weights", 1),
    Case("gradient-attention", "sex", "to input", 1),
    Case("gradient-attention", "participant", "to input", 1),
    Case("gradient-attention", "3 tasks", "to input", 1),
    Case("integrated-gradients", "sex", "to input", STEPS),
    Case("integrated-gradients", "participant", "to input", STEPS),
    Case("occlusion", "sex", "forward", LENGTH // PATCH + 1),
    Case("occlusion", "3 tasks", "forward", LENGTH // PATCH + 1),
    Case("component-occlusion", "sex", "forward", COMPONENTS_OF_A_BEAT + 1),
)


class Bench:
    """Noise windows and an untrained model: time depends on neither."""

    def __init__(self, windows: int) -> None:
        rng = np.random.default_rng(0)
        self.model = new_site_model(PATCH, ("sex", "age"), seed=0).eval()
        self.x_BL = rng.normal(size=(windows, LENGTH)).astype(np.float32)
        self.fill_KBL = rng.normal(size=(1, windows, LENGTH)).astype(np.float32)
        code_L = np.concatenate([np.full(n, COMPONENT_CODE[name], dtype=np.uint8) for name, n in BOUNDS])
        self.component_BL = np.tile(code_L, (windows, 1))
        sex = ClassTarget(self.model.heads["sex"], rng.integers(0, 2, windows))
        age = ClassTarget(self.model.heads["age"], rng.integers(0, 3, windows))
        person = SimilarityTarget(rng.normal(size=(windows, 64)), rng.normal(size=(windows, 64)))
        self.targets: dict[str, dict[str, Target]] = {
            "sex": {"sex": sex},
            "participant": {"participant": person},
            "3 tasks": {"participant": person, "sex": sex, "age": age},
        }

    def method(self, case: Case) -> None:
        """Compute the maps of one case."""
        relevances(
            self.model, self.x_BL, self.targets[case.target], case.method,
            fill_KBL=self.fill_KBL, component_BL=self.component_BL,
        )  # fmt: skip

    def baseline(self, case: Case, one: Pass) -> None:
        """Make the case's number of plain passes over the windows."""
        x_NL = torch.from_numpy(self.x_BL).repeat(case.passes, 1)
        for x in x_NL.split(CHUNK):
            if case.kind == "forward":
                with torch.no_grad():
                    one(x)
            else:
                source = x.requires_grad_(case.kind == "to input")
                leaves = [source] if case.kind == "to input" else list(self.model.encoder.parameters())
                head: nn.Module = self.model.heads["sex"]
                torch.autograd.grad(head(one(source))[:, 0].sum(), leaves)

    def plain(self, case: Case) -> None:
        """Pass by `Encoder.forward`."""
        self.baseline(case, self.model.encoder)

    def short(self, case: Case) -> None:
        """Pass by the short way to the class token."""
        self.baseline(case, lambda x: class_token(self.model.encoder, x))


def seconds(turns: list[Callable[[Case], None]], case: Case, rounds: int) -> np.ndarray:
    """Return the thread's CPU seconds of every turn in every round, (turns, rounds)."""
    out = np.zeros((len(turns), rounds))
    for round_ in range(-1, rounds):  # one round warms up
        for place in np.roll(np.arange(len(turns)), round_):
            start = time.thread_time()
            turns[place](case)
            if round_ >= 0:
                out[place, round_] = time.thread_time() - start
    return out


def ratio(of: np.ndarray, to: np.ndarray) -> str:
    """Return median [quartiles] of the paired ratios, and the ratio of the minima."""
    low, middle, high = np.quantile(of / to, (0.25, 0.5, 0.75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}] / {of.min() / to.min():.2f}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--windows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    bench = Bench(options.windows)
    print("median [quartiles] / ratio of the minima\n")
    print(
        "| method | target | seconds | baseline | ratio | ratio to the short way |\n|---|---|---|---|---|---|"
    )
    for case in CASES:
        method, plain, short = seconds([bench.method, bench.plain, bench.short], case, options.rounds)
        cells = [case.method, case.target, f"{np.median(method):.2f}", f"{case.passes} x {case.kind}"]
        print(f"| {' | '.join([*cells, ratio(method, plain), ratio(method, short)])} |", flush=True)
    print(f"\n{options.windows} windows, {options.rounds} rounds; {os.cpu_count()} cores, one used; "
          f"load {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end; torch {torch.__version__}")  # fmt: skip


if __name__ == "__main__":
    main()
