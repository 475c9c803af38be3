"""Throughput of the way from real files to windows: cold, then from the cache.

    python benchmarks/windows_real.py DATA_ROOT

One process per dataset and temperature, so that peak memory and import time are each one's own.
Prints one line per dataset, then the totals.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transecg_core.cohorts import READERS


def measure(name: str, root: Path, cache: Path) -> dict[str, float]:
    """Return counts, wall seconds (open, build or load, read every window) and peak RSS."""
    start, cpu = time.perf_counter(), time.process_time()
    from transecg_core.cohorts import open_reader
    from transecg_core.signals.cache import cached_windows

    windows = cached_windows(open_reader(name, root / name, name), cache)
    float(windows.x_NL.sum())
    return {
        "participants": len(windows.participants),
        "records": len(windows.records),
        "windows": len(windows),
        "skipped": dict(windows.skipped),
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure all datasets, or, as a child process, one."""
    if len(sys.argv) == 4:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    root = Path(sys.argv[1]).resolve()
    totals = {"cold": 0.0, "cached": 0.0}
    with tempfile.TemporaryDirectory() as cache:
        for temperature in totals:
            for name in sorted(READERS):
                command = [sys.executable, __file__, name, str(root), cache]
                got = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                totals[temperature] += got["wall_s"]
                print(
                    f"{temperature:6} {name:8} {got['participants']:4} participants {got['records']:4} records "
                    f"{got['windows']:6} windows  {got['wall_s']:6.2f} s wall  {got['cpu_s']:6.2f} s cpu  "
                    f"{got['peak_rss_mb']:4.0f} MB",
                    flush=True,
                )
                if temperature == "cold":
                    for reason, count in got["skipped"].items():
                        print(f"       {count:6} {reason}")
    print("  ".join(f"all {temperature}: {seconds:.1f} s" for temperature, seconds in totals.items()))


if __name__ == "__main__":
    main()
