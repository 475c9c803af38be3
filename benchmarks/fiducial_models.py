"""What named features tell of participant, sex and age, beside the encoder; and which segment an interval follows.

``python benchmarks/fiducial_models.py`` trains a default synthetic federation;
``python benchmarks/fiducial_models.py --data-root DATA`` one of the real datasets. Seconds are CPU.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from simulations.planted import train
from transecg_core.attribution import attribute, explain
from transecg_core.attribution.fiducial_model import fiducial_models
from transecg_core.config import parse
from transecg_core.evaluation import audit_context, audit_sources
from transecg_core.risk.cases import Case, build_case
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.risk.matching import first_of
from transecg_core.signals.fiducials import FEATURE_NAMES, record_fiducials

SPANS = {
    "PR interval": ("P duration", "PQ segment"),
    "P peak to R": ("P duration", "PQ segment"),
    "QT interval": ("QRS duration", "ST segment", "T duration"),
    "R to T peak": ("R to J", "ST segment", "T duration"),
}


def spans(case: Case) -> None:
    """Print the rank correlation of intervals over several components with the length of each."""
    gallery = case.gallery
    x_RF = record_fiducials(gallery.x_NL, case.delineation.gallery_NL, gallery.record_N)
    site_R = first_of(gallery.site_N, gallery.record_N, len(x_RF))
    for site in np.unique(site_R):
        x_RF[site_R == site] -= np.nanmean(x_RF[site_R == site], axis=0)
    column = {name: x_RF[:, f] for f, name in enumerate(FEATURE_NAMES)}
    print(f"{len(x_RF)} gallery records, less their site's mean; Spearman")
    for name, parts in SPANS.items():
        found = {part: spearmanr(column[name], column[part], nan_policy="omit").statistic for part in parts}
        print(f"  {name}: " + ", ".join(f"{part} {value:.2f}" for part, value in found.items()))


def shown(row: dict[str, Any]) -> str:
    """Return one row in a line."""
    if row["value"] is None:
        return f"{row['task']} {row['site']}: {row['notes']}"
    vit = (
        "-"
        if row["vit"] is None
        else f"{row['vit']:.3f} [{row['vit_ci95'][0]:.2f}, {row['vit_ci95'][1]:.2f}]"
    )
    shares = ", ".join(f"{name} {value:.2f}" for name, value in (row["components"] or {}).items())
    agree = ", ".join(f"{name} {value}" for name, value in (row["agreement"] or {}).items())
    top = ", ".join(f"{f['name']} {f['share']:.2f}" for f in row["features"])
    return (
        f"{row['task']} {row['site']}: {row['metric']} {row['value']:.3f} [{row['ci95'][0]:.2f}, "
        f"{row['ci95'][1]:.2f}], guess {row['majority']:.3f}, encoder {vit}, n {row['n_participants']}\n"
        f"    {shares}\n    agreement {agree}\n    {top}\n    {row['notes']}"
    )


def main() -> None:
    """Train, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-root", default="", help="folder of the real datasets; without: synthetic people"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cohort = {"cohort": "real", "data-root": args.data_root} if args.data_root else {}
    cfg = parse({**cohort, "seed": args.seed})
    sources = audit_sources(cfg)
    trained = train(cfg, sources)
    ctx = resolve_duplicates(audit_context(trained.record, trained.weights, sources))
    case = build_case(ctx)
    spans(case)
    maps = attribute(ctx, explain(ctx))
    for x_NL in (case.gallery.x_NL, case.probes.x_NL):
        ctx.released.embed(x_NL)  # in a run the audit has done so
    start = time.process_time()
    rows = fiducial_models(ctx, maps)
    print(f"seed {args.seed}: {time.process_time() - start:.1f} s")
    for row in rows:
        print(shown(row))


if __name__ == "__main__":
    main()
