"""From real files to windows: all five datasets, cold and from the cache, on two processes.

    python benchmarks/windows_real.py DATA_ROOT

Each temperature is one fresh Python process, imports and all. The cold one builds the datasets in two worker
processes, the longest first; the cached one loads them alone. Both read every window. Memory is the sum
of the peaks of a temperature's processes, which is more than was ever used at once.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

LONGEST_FIRST = ("mitdb", "qtdb", "ecgiddb", "ptbxl", "ludb")
WORKERS = 2


def load(root: Path, cache: Path, name: str) -> dict[str, Any]:
    """Return counts, seconds and the process's peak memory for one dataset."""
    start, cpu = time.perf_counter(), time.process_time()
    from transecg_core.cohorts import open_reader
    from transecg_core.signals.cache import cached_windows

    windows = cached_windows(open_reader(name, root / name, name), cache)
    float(windows.x_NL.sum())
    return {
        "name": name,
        "participants": len(windows.participants),
        "records": len(windows.records),
        "windows": len(windows),
        "skipped": dict(windows.skipped),
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return this process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(root: Path, cache: Path, cold: bool) -> None:
    """Load everything, and print what it took as JSON; run in a process of its own."""
    work = partial(load, root, cache)
    if cold:
        with ProcessPoolExecutor(WORKERS) as pool:
            rows = list(pool.map(work, LONGEST_FIRST))
    else:
        rows = [work(name) for name in LONGEST_FIRST]
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 * WORKERS if cold else 0.0
    print(json.dumps({"rows": rows, "peak_mb": peak_mb() + workers}))


def temperature(root: Path, cache: Path, cold: bool) -> float:
    """Measure one temperature in a fresh process, print it, and return its wall seconds."""
    name = "cold" if cold else "cached"
    command = [sys.executable, __file__, str(root), "--cache", str(cache), "--child", name]
    start = time.perf_counter()
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    wall_s = time.perf_counter() - start
    for row in answer["rows"]:
        print(
            f"{name:6} {row['name']:8} {row['participants']:4} participants {row['records']:4} records "
            f"{row['windows']:6} windows  {row['wall_s']:6.2f} s wall  {row['cpu_s']:6.2f} s CPU"
        )
        for reason, count in row["skipped"].items() if cold else ():
            print(f"       {count:6} {reason}")
    records, windows = (sum(row[key] for row in answer["rows"]) for key in ("records", "windows"))
    print(f"{name:6} {records} records, {windows} windows: {wall_s:.2f} s wall, {answer['peak_mb']:.0f} MB\n")
    return wall_s


def main() -> None:
    """Measure both temperatures, or, as a child process, one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=("cold", "cached"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = options.data_root.resolve()
    if options.child:
        child(root, options.cache, options.child == "cold")
        return
    with tempfile.TemporaryDirectory() as folder:
        cold_s, cached_s = (temperature(root, Path(folder), cold) for cold in (True, False))
    print(f"cold / cached: {cold_s / cached_s:.1f}")


if __name__ == "__main__":
    main()
