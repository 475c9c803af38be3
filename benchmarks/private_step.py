"""What differential privacy costs a training step: time and memory, against the plain step.

`python benchmarks/private_step.py` prints one table. A step is whole: draw, augmentation, gradients,
clipping, noise, optimizer. The plain step is `train_local`'s, on the same windows, in the same run,
on the same thread. Every round takes each kind of step once, in an order that rotates; a ratio is
between two steps of one round, in CPU time of the thread. The learning rate is 0, which costs the
same and keeps the weights equal.

Memory: the peak of what torch's allocator holds of the tensors made in three steps, the first included
(gradients, activations, optimizer state, buffers); model and data come on top of either. It is counted
by torch's profiler, allocation by allocation, so it is the same at every run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from transecg_core.cohorts.schema import AGE_BANDS
from transecg_core.model.heads import SiteModel, new_site_model, set_trainable
from transecg_core.training.local import TrainingSet, augment, optimizer_for, window_losses
from transecg_core.training.private import PrivateTrainer
from transecg_core.training.sampling import PrivateSpec

BATCHES = (32, 64, 256)
ROUNDS = {32: 60, 64: 40, 256: 15}
TRAINABLE = ("full", "bitfit", "head")
PER_PERSON = 4
CLASSES = {"sex": 2, "age": len(AGE_BANDS), "beat": 3, "diagnosis": 2}
Step = Callable[[], Any]


def windows(batch: int) -> TrainingSet:
    """Return `batch` windows of people with `PER_PERSON` windows each: noise, for the time is the same."""
    g = torch.Generator().manual_seed(0)
    targets = {task: torch.randint(n, (batch,), generator=g) for task, n in CLASSES.items()}
    people = torch.arange(batch) // PER_PERSON
    return TrainingSet(torch.randn(batch, 200, generator=g), people, targets)


def model(trainable: str) -> SiteModel:
    """Return the default model with `trainable` parameters."""
    out = new_site_model(5, CLASSES, seed=0)
    set_trainable(out, trainable)
    return out


def plain_step(data: TrainingSet, trainable: str) -> Step:
    """Return the step of `train_local`, on all windows in random order."""
    m = model(trainable)
    optimizer, g = optimizer_for(m, 0.0), torch.Generator().manual_seed(0)
    m.train()

    def step() -> float:
        rows_B = torch.randperm(len(data), generator=g)
        targets_B = {task: target[rows_B] for task, target in data.targets.items()}
        loss = window_losses(m, augment(data.x_NL[rows_B], g), targets_B).mean()
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(m.parameters(), 5.0)
        optimizer.step()
        return float(loss.detach())

    return step


def private_step(data: TrainingSet, trainable: str, unit: Any, seed: int | None) -> Step:
    """Return the private step that draws every unit with probability 1: the same windows."""
    group = PER_PERSON if unit == "participant" else 1
    spec = PrivateSpec(unit, 1.0, 1.0, 1.0, len(data) / group, group, PER_PERSON)
    trainer = PrivateTrainer(
        model(trainable), spec, seed=seed, make_optimizer=lambda m: optimizer_for(m, 0.0)
    )
    return partial(trainer.step, data)


def steps(data: TrainingSet, trainable: str) -> dict[str, Step]:
    """Return every kind of step by name; "plain full" and "plain" come first."""
    out = {"plain full": plain_step(data, "full")}
    out["plain"] = plain_step(data, trainable) if trainable != "full" else out["plain full"]
    for unit in ("window", "participant"):
        for noise, seed in (("seeded", 0), ("secure", None)):
            out[f"{unit}, {noise}"] = private_step(data, trainable, unit, seed)
    return out


def times(kinds: dict[str, Step], rounds: int) -> dict[str, np.ndarray]:
    """Return the thread's CPU seconds of every kind in every round, in a rotating order."""
    names = list(
        dict.fromkeys(name for name in kinds if name != "plain" or kinds[name] is not kinds["plain full"])
    )
    out: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(-2, rounds):  # two rounds warm up
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = time.thread_time()
            kinds[name]()
            if round_ >= 0:
                out[name].append(time.thread_time() - start)
    found = {name: np.array(seconds) for name, seconds in out.items()}
    return {**found, "plain": found.get("plain", found["plain full"])}


def peak(step: Step) -> int:
    """Return the most bytes that torch held at a time of what three first steps allocated."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        for _ in range(3):
            step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max())


def memory(batch: int, trainable: str) -> dict[str, int]:
    """Return the peak of the plain steps and of either unit's private step."""
    data = windows(batch)
    out = {"plain full": peak(plain_step(data, "full")), "plain": peak(plain_step(data, trainable))}
    return out | {unit: peak(private_step(data, trainable, unit, None)) for unit in ("window", "participant")}


def parts(batch: int, rounds: int) -> str:
    """Return where a full-model, window-unit step with secure noise spends its time, beside the plain step."""
    data = windows(batch)
    plain, private = plain_step(data, "full"), private_step(data, "full", "window", None)
    trainer: Any = private.func.__self__  # type: ignore[attr-defined]
    optimizer, found = trainer._optimizer, dict[str, list[float]]()

    def watch(owner: Any, method: str, name: str) -> None:
        honest = getattr(owner, method)

        def timed(*args: Any, **options: Any) -> Any:
            start = time.thread_time()
            out = honest(*args, **options)
            found.setdefault(name, []).append(time.thread_time() - start)
            return out

        setattr(owner, method, timed)

    watch(trainer, "draw", "draw")
    watch(trainer, "_backward", "gradients of every unit")
    watch(optimizer, "clip_and_accumulate", "clip and sum")
    watch(optimizer, "add_noise", "noise")
    watch(optimizer.original_optimizer, "step", "AdamW")
    whole = times({"plain full": plain, "plain": plain, "private": private}, rounds)
    found |= {"whole step": list(whole["private"]), "plain step": list(whole["plain"])}
    return "; ".join(f"{name} {np.median(seconds) * 1e3:.2f}" for name, seconds in found.items())


def ratio(of: np.ndarray, to: np.ndarray) -> str:
    """Return median [quartiles] of the paired ratios, and the ratio of the minima."""
    low, middle, high = np.quantile(of / to, (0.25, 0.5, 0.75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}] / {of.min() / to.min():.2f}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=float, default=1.0, help="times the usual number of rounds")
    share = parser.parse_args().rounds
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    peaks = {(b, t): memory(b, t) for b in BATCHES for t in TRAINABLE}
    print(
        "| windows | trainable | unit, noise | time / plain full | time / plain | memory / plain full | memory / plain |"
    )
    print("|---|---|---|---|---|---|---|")
    plain_ms = []
    for (batch, trainable), peak_of in peaks.items():
        found = times(steps(windows(batch), trainable), max(1, int(ROUNDS[batch] * share)))
        plain_ms.append(f"{batch} {trainable} {np.median(found['plain']) * 1e3:.1f}")
        for name in (n for n in found if not n.startswith("plain")):
            bytes_ = peak_of[name.split(",")[0]]
            versus = (bytes_ / peak_of[kind] for kind in ("plain full", "plain"))
            cells = [
                str(batch),
                trainable,
                name,
                *(ratio(found[name], found[k]) for k in ("plain full", "plain")),
            ]
            print(f"| {' | '.join([*cells, *(f'{v:.2f}' for v in versus)])} |", flush=True)
    for batch in BATCHES:
        print(
            f"\n{batch} windows, full, window, secure, ms (median): {parts(batch, max(1, int(ROUNDS[batch] * share)))}"
        )
    print(f"\nplain step, ms (median): {', '.join(plain_ms)}")
    print(f"rounds {({b: max(1, int(r * share)) for b, r in ROUNDS.items()})}; {os.cpu_count()} cores, one used; "
          f"load {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end; torch {torch.__version__}")  # fmt: skip


if __name__ == "__main__":
    main()
