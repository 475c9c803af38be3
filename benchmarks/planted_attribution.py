"""Do the maps find the component that identity was planted in? Oracles, maps and knock-out, per plant.

`python benchmarks/planted_attribution.py [CARRIER...] [--seeds N] [--rows FILE]` makes federations of synthetic
people whose identity lives in one component (`simulations.planted_waves`), trains each as a run does, and
prints two tables. One federation takes about a minute of one core. ``--rows`` keeps finished
federations as lines of JSON, and an interrupted command goes on after the last one. ``--rounds`` trains longer or shorter.
Status 1: with the methods that may carry a claim, more than one admitted plant was not recovered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulations.engines.workers import single_thread
from simulations.planted_rows import admissions, line, oracle_table, read, recovered, recovery_table
from simulations.planted_waves import Found, config, play, wave
from transecg_core.cohorts.synthetic_plants import WAVE_PLANTS
from transecg_core.config import RunConfig

CARRIERS = (*WAVE_PLANTS, "none")
FORGIVEN = 1
"""Admitted plants that may be missed."""


def main() -> int:
    """Play what is not in the rows yet, and print the tables."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rows:
        parser.error("--rows doesn't tell rounds apart: leave out --rows, or --rounds")
    options = {} if arguments.rounds is None else {"num-server-rounds": arguments.rounds}
    single_thread()
    done: dict[tuple[str, int], Found] = {}
    if arguments.rows and arguments.rows.exists():
        done = {
            (one.plant.carrier, one.seed): one for one in map(read, arguments.rows.read_text().splitlines())
        }
    for seed in range(arguments.seeds):
        for carrier in arguments.carriers or CARRIERS:
            if (carrier, seed) not in done:
                print(f"{carrier}: seed {seed}", file=sys.stderr, flush=True)
                done[carrier, seed] = play(wave(carrier), config(seed, **options))
                if arguments.rows:
                    with arguments.rows.open("a") as file:
                        file.write(line(done[carrier, seed]) + "\n")
    chosen = {
        carrier: [done[carrier, seed] for seed in range(arguments.seeds)]
        for carrier in arguments.carriers or CARRIERS
    }
    return _print(chosen, arguments.seeds, config(0, **options))


def _print(chosen: Mapping[str, Sequence[Found]], seeds: int, cfg: RunConfig) -> int:
    print(
        f"{len(cfg.site_names)} sites of {cfg.people} people, {cfg.rounds} rounds of {cfg.steps} steps, "
        f"seeds 0 to {seeds - 1}, {cfg.settings.attribution_windows} windows explained\n"
    )
    admitted = admissions(chosen)
    print(oracle_table(chosen, admitted), end="\n\n")
    print(recovery_table(chosen), end="\n\n")
    judged = [carrier for carrier, one in admitted.items() if not one.refused]
    missed = [carrier for carrier in judged if not recovered(chosen[carrier])]
    print(f"admitted: {', '.join(judged) or 'none'}; not recovered: {', '.join(missed) or 'none'}")
    return int(len(missed) > FORGIVEN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("carriers", nargs="*", metavar="CARRIER", help="plants [all of them and none]")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... of each")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of training [the full profile's]")
    parser.add_argument("--rows", type=Path, default=None, help="file that keeps finished federations")
    return parser


if __name__ == "__main__":
    sys.exit(main())
