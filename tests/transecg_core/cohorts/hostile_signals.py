"""Hostile signals: files in order, whose samples are made against the code that looks for heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from hostile import Case, Expect
from hostile_folder import CSV_ROW, FS_HZ, SECONDS, case, write_csv

HUMS = ((23.8, 2098, 1.0), (24.3, 2098, 0.0), (24.4, 2198, 0.0), (24.2, 2498, 2.0), (24.5, 4098, 0.0))
"""Frequency (Hz), samples, phase: every fifth maximum is just past the refractory period of sleepecg's C code, which
then has more peaks than room."""


def hum(hz: float, samples: int, phase: float = 0.0) -> np.ndarray:
    """Return a sine of 1 mV, shape (samples,)."""
    return np.asarray(np.sin(2 * np.pi * hz * np.arange(samples) / FS_HZ + phase))


def late(seconds: float) -> np.ndarray:
    """Return a flat line that ends with a hum."""
    x_T = np.zeros(FS_HZ * SECONDS)
    x_T[-round(seconds * FS_HZ) :] = hum(9.0, round(seconds * FS_HZ))
    return x_T


def spike(at: int) -> np.ndarray:
    x_T = np.zeros(FS_HZ * SECONDS)
    x_T[at] = 5.0
    return x_T


def signals() -> Iterator[tuple[str, np.ndarray, Expect, str]]:
    """Yield name, samples in mV, what must come of them, and why."""
    # Which way the peaks of a hum point is nobody's truth.
    for hz, samples, phase in HUMS:
        yield f"hum of {hz:g} Hz, {samples} samples", hum(hz, samples, phase), "kept", "^$|points down"
    yield "shorter than 4 s", hum(24.4, 1999), "skipped", "shorter than 4 s"
    yield "flat but for the last second", late(1.0), "kept", ""
    yield "flat but for the last 0.1 s", late(0.1), "skipped", "no usable heartbeat"
    yield "one spike at the start", spike(0), "skipped", "railed"
    yield "one spike at the end", spike(-1), "skipped", "railed"
    yield "constant", np.full(FS_HZ * SECONDS, 1.5), "skipped", "flat"
    yield "huge samples", 1e30 * hum(1.3, 4000), "skipped", "corrupt"
    yield "alternating", np.tile([-1.0, 1.0], FS_HZ * SECONDS // 2), "skipped", "no usable heartbeat"
    yield "noise", np.random.default_rng(0).standard_normal(FS_HZ * SECONDS), "skipped", "no usable"


def cases() -> list[Case]:
    """Return all cases, each in a folder of its own."""

    def write(x_T: np.ndarray, root: Path) -> None:
        write_csv(root / "101.csv", x_T)

    return [
        case(f"signal, {name}", CSV_ROW, partial(write, x_T), expect, reason)
        for name, x_T, expect, reason in signals()
    ]
