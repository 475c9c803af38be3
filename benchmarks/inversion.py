"""How much of a person the closed form finds in an update: the study's table, and the picture of four beats.

`python benchmarks/inversion.py` prints the table of every declared setting
(`transecg_core.risk.inversion_study.grid`) on synthetic people and writes
``docs/images/inversion.svg``. The weights are those before and after the rounds of a run
without privacy, trained here with the project's own steps. ``--real FOLDER`` adds no picture: it
runs the same table on the public datasets under that folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from transecg_core.config import RunConfig, parse
from transecg_core.evaluation import audit_context, audit_sources
from transecg_core.report.svg import INK, SOFT, VERMILLION, svg
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.risk.findings import Rebuilt
from transecg_core.risk.inversion import rebuilt
from transecg_core.risk.inversion_findings import picture
from transecg_core.risk.inversion_lab import Laboratory, Setting, first_weights
from transecg_core.risk.inversion_study import TARGET_EPSILON, Decay, grid, run_sigma, study
from transecg_core.risk.observed import Observed, RoundSeen
from transecg_core.run_record import RunRecord, SiteAccount
from transecg_core.signals.schema import FS_HZ, R_OFFSET
from transecg_core.sites import prepare
from transecg_core.training.aggregation import mean_of
from transecg_core.training.pretrain import starting_weights
from transecg_core.training.site_round import parted, plain_steps, site_round

OUT = Path(__file__).parents[1] / "docs" / "images" / "inversion.svg"
CLIENTS, BOOTSTRAP, SEED = 16, 2000, 0


@dataclass(frozen=True)
class Vote:
    """One site's weights after a round, and the tasks it trained."""

    weights: Mapping[str, Tensor]
    tasks: tuple[str, ...]


def trained(cfg: RunConfig) -> AuditContext:
    """Return what an audit sees of a run without privacy, its rounds included."""
    sources = audit_sources(cfg)
    sites = {source.name: prepare(cfg, source) for source in sources}
    start = weights = starting_weights(cfg, print)
    local: dict[str, Mapping[str, Tensor]] = {name: {} for name in sites}
    tasks: set[str] = set()
    seen = []
    for number in range(1, cfg.rounds + 1):
        votes = {}
        for name in sorted(sites):
            at = site_round(cfg, sites[name], number, weights, local[name])
            plain_steps(cfg, at)
            shared, local[name] = parted(at.model)
            votes[name] = Vote(shared, at.tasks)
            tasks |= set(at.tasks)
        merged = mean_of(list(votes.values()), weights)
        seen.append(RoundSeen(number, weights, merged, {name: vote.weights for name, vote in votes.items()}))
        weights = merged
    names = tuple(task for task in cfg.task_names if task in tasks)
    accounts = {name: SiteAccount((), cfg.rounds) for name in sites}
    record = RunRecord(cfg, "benchmark", [], accounts, {}, names, observed=Observed(cfg, tuple(seen)))
    return resolve_duplicates(audit_context(record, weights if cfg.rounds else start, sources))


HEAD = """\
| update | n | likeness to the true beat | guess | rank-1 | other's update | chance | true beat | ceiling |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def line_of(setting: Setting, one: Decay | str) -> str:
    """Return one row of the table."""
    if isinstance(one, str):
        return f"| {setting.label} | - | {one} | | | | | | |"
    like, rank = one.likeness, one.rank1
    ceiling = "-" if one.ceiling is None else f"{one.ceiling:.3f}"
    return (
        f"| {setting.label} | {rank.n} | {like.value:.2f} ({like.ci95[0]:.2f} to {like.ci95[1]:.2f}) | {one.prior:.2f} | "
        f"{rank.value:.2f} ({rank.ci95[0]:.2f} to {rank.ci95[1]:.2f}) | {one.control:.2f} | {one.chance:.3f} | "
        f"{one.true_rank1:.2f} | {ceiling} |"
    )


def beats(
    found: list[tuple[Setting, Decay | str]], ctx: AuditContext, case: Case, sigma: float
) -> list[Rebuilt]:
    """Return the four pairs of the picture: always the first client, and the first site's first update."""
    shown = (
        ("One beat's gradient", Setting(steps=0)),
        ("One person, 1 step of SGD on 4 beats", Setting("SGD", 1)),
        ("One person, 1 step of SGD, clipped, with noise", Setting("SGD", 1, sigma=sigma)),
    )
    decays: dict[Setting, Any] = dict(found)
    pairs = [picture(title, decays[s].trials[0].true_L, decays[s].trials[0].rebuilt_L) for title, s in shown]
    observed = ctx.observed
    if observed is None:
        raise ValueError("no round was kept")
    first, name = observed.rounds[0], ctx.sites[0].name
    member_G = (case.gallery.site_G == 0) & case.people.member_C[case.person_G]
    true_L = case.gallery.x_NL[member_G[case.gallery.entry_N]].mean(axis=0)
    said = f"A run's own update: {int(member_G.sum())} people, {observed.cfg.steps} steps of AdamW"
    return [*pairs[:2], picture(said, true_L, rebuilt(first.before, first.updates[name])), pairs[2]]


def draw(pairs: list[Rebuilt], epsilon: float) -> str:
    """Return the picture: true and rebuilt beat, one panel per update."""

    def panels(fig: Any) -> None:
        for i, pair in enumerate(pairs):
            ax = fig.add_axes((0.03 + 0.495 * (i % 2), 0.56 - 0.46 * (i // 2), 0.46, 0.30))
            time_L = (np.arange(len(pair.true_L)) - R_OFFSET) * 1000 / FS_HZ
            ax.plot(time_L, pair.true_L, color=SOFT, linewidth=3.2, alpha=0.45)
            ax.plot(time_L, pair.rebuilt_L, color=VERMILLION, linewidth=1.1)
            ax.set_title(f"{pair.setting}: r = {pair.correlation:.2f}", fontsize=8, loc="left", color=INK)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            ax.set_xticks([-200, 0, 200, 400], ["-200", "R", "200", "400 ms"], fontsize=8)
        head = (
            "SYNTHETIC people. Grey: true beat (mean beat where there are several); red: rebuilt. "
            f"Noise: that of a whole run at epsilon {epsilon:g}."
        )
        fig.text(0.03, 0.955, head, fontsize=8, color=SOFT)

    label = "Beats rebuilt from updates: exact from one beat's gradient, fainter after a step, gone with AdamW or noise"
    image = svg("inversion", label, 760, 420, panels)
    return image.replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )


def main() -> None:
    """Train, run the study, print the table and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", metavar="FOLDER", help="data-root of the public datasets")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--people", type=int, default=40, help="synthetic people per site")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    options: dict[str, Any] = {"num-server-rounds": args.rounds, "seed": SEED}
    cohort = (
        {"cohort": "real", "data-root": args.real} if args.real else {"participants-per-site": args.people}
    )
    ctx = trained(parse({**options, **cohort}))
    case = build_case(ctx)
    if ctx.observed is None:
        raise SystemExit("no round was kept")
    lab = Laboratory(ctx.observed, case, SEED)
    sigma = run_sigma(ctx.observed.cfg, max(len(site.person_P) for site in ctx.sites))
    print(f"{lab.people} people with another recording; noise {sigma:.3g} is that of {ctx.observed.cfg.rounds} rounds of "
          f"{ctx.observed.cfg.steps} steps at participant epsilon {TARGET_EPSILON:g}; seed {SEED}\n")  # fmt: skip
    print(HEAD)
    found: list[tuple[Setting, Decay | str]] = []
    for setting in grid(sigma, first_weights(ctx.observed.cfg)):
        found += [(setting, one) for one in study(lab, [setting], args.clients, BOOTSTRAP, SEED)]
        print(line_of(*found[-1]), flush=True)
    if not args.real:
        OUT.write_text(draw(beats(found, ctx, case, sigma), TARGET_EPSILON) + "\n", encoding="utf-8")
        print(f"\nwrote {os.path.relpath(OUT)}")


if __name__ == "__main__":
    main()
