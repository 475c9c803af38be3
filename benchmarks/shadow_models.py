"""K audit models trained together against one after the other, and whether they come out the same.

    python benchmarks/shadow_models.py [--models 4] [--pairs 3] [--key value ...]

*One after the other* is the run's own training, on one thread. *Together* is what an audit does: sites side by
side, models on all cores. The two take turns, so that whatever else the machine does falls on both. Time is wall
clock; CPU time stands beside it, because on a busy machine only that is the program's own. Prints the ratio
of every pair of turns and the median, the largest difference in weights and in the attacks' scores, and what the
attacks' scores differ by between models: the scale on which a difference would matter.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

from transecg_core.audit_models import together
from transecg_core.audit_models.recipe import one_by_one
from transecg_core.audit_models.together import AuditModel, train_audit_models
from transecg_core.cohorts import open_site
from transecg_core.config import RunConfig, parse_text
from transecg_core.evaluation import audited_model
from transecg_core.model.encoder import EMBED_DIM
from transecg_core.risk.artefacts import ModelAccess, Targets
from transecg_core.risk.attacks.embedding_consistency import EMBEDDING_CONSISTENCY
from transecg_core.risk.attacks.shadow_statistics import score_of
from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS
from transecg_core.risk.cases import LABEL_TASKS
from transecg_core.sites import Site, prepare
from transecg_core.training.local import task_codes
from transecg_core.training.pretrain import starting_weights

T = TypeVar("T")
Models = tuple[AuditModel, ...]


@dataclass(frozen=True)
class Taken:
    """Seconds on the wall, and of all threads' CPU."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], T]) -> tuple[T, Taken]:
    """Return what `work` returns, and what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return done, Taken(time.perf_counter() - wall, time.process_time() - cpu)


def sequential(cfg: RunConfig, sites: list[Site], count: int) -> Models:
    """Train the models one after the other, as a run's sites do, on one thread."""
    kept, together.steps_of = together.steps_of, lambda cfg: partial(one_by_one, bound=False)
    cores, together._cores = together._cores, lambda: 1
    try:
        return train_audit_models(cfg, sites, count, lambda line: None)
    finally:
        together.steps_of, together._cores = kept, cores


def weight_gap(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> tuple[float, float]:
    """Return the largest difference of weights, and that of the keys' biases, which change no output."""
    rest, keys = 0.0, 0.0
    for name, value in one.items():
        gap = (value - other[name]).abs()
        if name.endswith("qkv.bias"):
            keys = max(keys, float(gap[EMBED_DIM : 2 * EMBED_DIM].max()))
            gap = torch.cat([gap[:EMBED_DIM], gap[2 * EMBED_DIM :]])
        rest = max(rest, float(gap.max()))
    return rest, keys


def targets_of(sites: list[Site]) -> Targets:
    """Return every person's gallery windows."""
    x, who, where, labels, count = [], [], [], {task: [] for task in LABEL_TASKS}, 0  # type: ignore[var-annotated]
    for index, site in enumerate(sites):
        windows, rows = site.data.windows, np.flatnonzero(site.data.split.gallery_N)
        people, local = np.unique(windows.participant_N[rows], return_inverse=True)
        x.append(np.asarray(windows.x_NL[rows]))
        who.append(local + count)
        where.append(np.full(len(people), index))
        for task, codes in task_codes(windows, rows, LABEL_TASKS).items():
            labels[task].append(codes)
        count += len(people)
    joined = {task: np.concatenate(parts) for task, parts in labels.items()}
    return Targets(np.concatenate(x), np.concatenate(who), np.concatenate(where), joined)


def scores(cfg: RunConfig, targets: Targets, models: Models, base: object) -> np.ndarray:
    """Return an attack's scores (K, T) on every model."""
    access = [ModelAccess(audited_model(cfg, m.trained.weights, m.trained.tasks)) for m in models]
    return np.stack([score_of(base, targets, model) for model in access])  # type: ignore[arg-type]


def show_gaps(cfg: RunConfig, sites: list[Site], one: Models, other: Models) -> None:
    """Print how far the two ways of training are apart."""
    gaps = [weight_gap(a.trained.weights, b.trained.weights) for a, b in zip(one, other, strict=True)]
    moved = max(float((w - m.start[n]).abs().max()) for m in one for n, w in m.trained.weights.items())
    print(f"weights: largest difference {max(g[0] for g in gaps):.2e} (training moved a weight by up to {moved:.2e}); "
          f"keys' biases, which change no output: {max(g[1] for g in gaps):.2e}")  # fmt: skip
    targets = targets_of(sites)
    for base in (SHARED_HEAD_LOSS, EMBEDDING_CONSISTENCY):
        a_KT, b_KT = (scores(cfg, targets, models, base) for models in (one, other))
        gap, spread = np.nanmax(np.abs(a_KT - b_KT)), np.nanmedian(a_KT.std(axis=0))
        rms = np.sqrt(np.nanmean((a_KT - b_KT) ** 2))
        print(f"{base.name}: largest difference {gap:.2e}, root mean square {rms:.2e}; a person's scores spread by "
              f"{spread:.2e} (sd) over models")  # fmt: skip


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=3, help="turns of each way")
    parser.add_argument("options", nargs="*", help="key=value options of a run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cfg = parse_text(dict(option.split("=", 1) for option in given.options))
    sites = [prepare(cfg, open_site(cfg, name)) for name in cfg.site_names]
    print(f"{given.models} models of {cfg.rounds} x {cfg.steps} steps at {len(sites)} sites, privacy={cfg.privacy}, "
          f"{together._cores()} cores")  # fmt: skip
    if cfg.start_from == "synthetic":  # kept on disk once made: whoever came first would pay for both
        starting_weights(cfg, print)
    ratios, cpu = [], []
    for turn in range(given.pairs):
        one, slow = timed(lambda: sequential(cfg, sites, given.models))
        other, fast = timed(lambda: train_audit_models(cfg, sites, given.models, lambda line: None))
        ratios.append(fast.wall_s / slow.wall_s)
        cpu.append(fast.cpu_s / slow.cpu_s)
        print(f"turn {turn + 1}: one after the other {slow.wall_s:.1f} s ({slow.cpu_s:.1f} CPU), together "
              f"{fast.wall_s:.1f} s ({fast.cpu_s:.1f} CPU): ratio {ratios[-1]:.3f}, of CPU time {cpu[-1]:.3f}")  # fmt: skip
    print(f"median ratio {np.median(ratios):.3f}, of CPU time {np.median(cpu):.3f}")
    show_gaps(cfg, sites, one, other)


if __name__ == "__main__":
    main()
