"""Wall time and memory of whole runs, from the installed command to the report.

    python benchmarks/engines.py [--data-root DIR]

Prints one row per run: wall seconds, peak memory of the whole process tree (sum of PSS, so that
shared pages count once), and the ratio to the inline quick run of the same call.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

TRANSECG = Path(sys.executable).with_name("transecg")


def tree_pss(root: psutil.Process) -> int:
    """Return the summed proportional memory (bytes) of a process and everything it started."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def measure(arguments: list[str], cold: bool) -> tuple[float, float]:
    """Return (wall seconds, peak GiB) of one run that must succeed."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TRANSECG_CACHE": folder} if cold else dict(os.environ)
        start, peak = time.monotonic(), 0
        child = psutil.Popen(
            [TRANSECG, "run", *arguments, f"output-dir={folder}/runs"], env=env,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while child.poll() is None:
            peak = max(peak, tree_pss(child))
            time.sleep(0.5)
        wall = time.monotonic() - start
        if child.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {child.stderr.read()}")
    return wall, peak / 2**30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", help="folder of the real datasets; adds the real quick run")
    options = parser.parse_args()
    plan = {
        "quick, inline, cold cache": ["profile=quick"],
        "quick, Ray, cold cache": ["profile=quick", "--engine", "ray"],
        "default, inline, cold cache": [],
        "default, participant DP, cold cache": ["privacy=participant"],
    }
    if options.data_root:
        root = Path(options.data_root).resolve()
        plan["real quick, inline, cold cache"] = ["cohort=real", f"data-root={root}", "profile=quick"]
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    first = None
    for name, arguments in plan.items():
        wall, peak = measure(arguments, cold=True)
        first = first or wall
        print(f"{name:<38} {wall:7.1f} s  {peak:5.2f} GiB  x{wall / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
