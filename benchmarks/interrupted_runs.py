"""Three runs on one set of ledgers, a fourth that is killed (SIGKILL) in mid-round, and what the ledgers say then.

``python benchmarks/interrupted_runs.py FOLDER`` prints the figures of docs/budget.md. FOLDER must not exist.
Everything else follows from the options below and the seeds 0 to 3; which sites had committed when the
kill came, and so the last run's rows, does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from client.ledger import read

OPTIONS = ("profile=quick", "patch=10", "privacy=participant", "target-epsilon=4")
TRANSECG = (sys.executable, "-m", "simulations.cli")


def command(folder: Path, seed: int, options: Sequence[str]) -> list[str]:
    """Return the command of one run."""
    where = (f"output-dir={folder / 'runs'}", f"ledger={folder / 'ledgers'}", f"seed={seed}")
    return [*TRANSECG, "run", *options, *where]


def finish(folder: Path, seed: int, options: Sequence[str]) -> Path:
    """Run to the end; return the run's folder."""
    done = subprocess.run(command(folder, seed, options), capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1]).parent


def charges(folder: Path) -> dict[str, int]:
    """Return site -> number of charges in its ledger."""
    return {path.stem: len(read(path).charges) for path in sorted((folder / "ledgers").glob("*.sqlite"))}


def kill(folder: Path, seed: int, options: Sequence[str], patience_s: float = 300.0) -> None:
    """Start a run and kill all its processes as soon as one site, and not yet every one, has been charged.

    Raises
    ------
    RuntimeError
        If the run ended first.
    """
    before = charges(folder)
    run = subprocess.Popen(
        command(folder, seed, options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + patience_s
    while charges(folder) == before:
        if run.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no site was charged before the run ended (status {run.poll()})")
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def main(folder: Path) -> None:
    """Run, kill, and print what the ledgers say."""
    folder.mkdir(parents=True)
    for seed in (0, 1, 2):
        finish(folder, seed, OPTIONS)
    whole = charges(folder)
    kill(folder, 3, OPTIONS)
    print(
        f"charges after three runs:    {whole}\ncharges after the killed one: {charges(folder)}\n", flush=True
    )
    charged = max(whole, key=lambda site: charges(folder)[site] - whole[site])
    budget = [*TRANSECG, "budget"]
    subprocess.run(
        [*budget, "show", f"ledgers/{charged}.sqlite", "--max-epsilon", "10"], cwd=folder, check=True
    )
    print(flush=True)
    subprocess.run([*budget, "verify", "ledgers"], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
