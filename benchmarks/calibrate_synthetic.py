"""Print how linkable the synthetic cohort is, next to ECG-ID: the calibration of its drift and noise.

The floors are those of signals nobody trained on: first record against last record (ECG-ID),
or first 20 s of session 1 against session 2 (synthetic), one template each, one site.

    python benchmarks/calibrate_synthetic.py                      # the synthetic cohort, seeds 0 to 4
    python benchmarks/calibrate_synthetic.py --data-root FOLDER   # ECG-ID too, same code

Intervals are 95 % over participants on a fixed gallery. PCA and LDA are fitted on gallery records.

Printed by the second command, rank-1 / EER: 90 synthetic people, mean of five seeds; ECG-ID, n = 89:

                            synth-a         ECG-ID
    raw                     .791 / .143     .798 / .112
    PCA+LDA                 .838 / .091     .854 / .090
    random-init p=10 #0     .416 / .161     .472 / .180
    random-init p=10 #1     .438 / .169     .382 / .236
    random-init p=5 #0      .312 / .191     .382 / .226
    random-init p=5 #1      .317 / .208     .404 / .235

Each cohort's intervals are printed too, and cohorts differ by as much: read these as "of the same
difficulty", not as equal.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from transecg_core.cohorts import open_reader
from transecg_core.cohorts.schema import SiteSource
from transecg_core.cohorts.synthetic import SITES, open_site
from transecg_core.model.encoder import new_encoder
from transecg_core.risk.estimate import Estimate, proportion
from transecg_core.risk.problems import everybody, outcome
from transecg_core.risk.verification import eer, rate_estimate
from transecg_core.signals.schema import FS_HZ
from transecg_core.signals.windows import build_windows

GALLERY_S = 20.0
MIN_WINDOWS = 3
Beats = Sequence[np.ndarray]


def first_and_last(source: SiteSource) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return windows (N, L) of each participant's first record (20 s of it) and last record."""
    windows = build_windows(source)
    gallery, probes = [], []
    for p in range(len(windows.participants)):
        records = np.unique(windows.record_N[windows.participant_N == p])
        if records.size < 2:
            continue
        early_N = windows.r_sample_N < GALLERY_S * FS_HZ
        first = windows.x_NL[(windows.record_N == records[0]) & early_N]
        last = windows.x_NL[windows.record_N == records[-1]]
        if min(len(first), len(last)) >= MIN_WINDOWS:
            gallery.append(np.asarray(first))
            probes.append(np.asarray(last))
    return gallery, probes


def _cosine(probe_PD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
    probe_PD, gallery_GD = probe_PD - gallery_GD.mean(axis=0), gallery_GD - gallery_GD.mean(axis=0)
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (probe_PD, gallery_GD)]
    return np.asarray(unit[0] @ unit[1].T)


def raw(gallery: Beats, probes: Beats) -> np.ndarray:
    """Correlation of median beats."""
    medians = [np.stack([np.median(x_NL, axis=0) for x_NL in beats]) for beats in (probes, gallery)]
    return np.asarray(np.corrcoef(medians[0], medians[1])[: len(probes), len(probes) :])


def pca_lda(gallery: Beats, probes: Beats) -> np.ndarray:
    """Cosine of mean beats after PCA-30 and LDA."""
    x_NL = np.concatenate(gallery)
    person_N = np.repeat(np.arange(len(gallery)), [len(part) for part in gallery])
    pca = PCA(30, random_state=0).fit(x_NL)
    lda = LinearDiscriminantAnalysis().fit(pca.transform(x_NL), person_N)
    means = [
        np.stack([lda.transform(pca.transform(part)).mean(axis=0) for part in beats])
        for beats in (probes, gallery)
    ]
    return _cosine(*means)


def untrained(gallery: Beats, probes: Beats, patch: int, seed: int) -> np.ndarray:
    """Cosine of mean embeddings of a freshly initialised encoder."""
    encoder = new_encoder(patch, seed).eval()
    with torch.no_grad():
        means = [
            np.stack([encoder(torch.from_numpy(part)).mean(dim=0).numpy() for part in beats])
            for beats in (probes, gallery)
        ]
    return _cosine(*means)


def estimates(score_PP: np.ndarray, bootstrap: int) -> tuple[Estimate, Estimate]:
    """Return rank-1 and EER with intervals over participants."""
    found, rng = outcome(everybody(len(score_PP)), score_PP), np.random.default_rng(0)
    return proportion(found.rank1_P, bootstrap, rng), rate_estimate(found.rates, eer, bootstrap, rng)


def report(label: str, source: SiteSource, bootstrap: int) -> dict[str, tuple[float, float]]:
    """Print one cohort's floors and return them."""
    gallery, probes = first_and_last(source)
    scores = {"raw": raw(gallery, probes), "PCA+LDA": pca_lda(gallery, probes)}
    for patch in (10, 5):
        for init in (0, 1):
            scores[f"random-init p={patch} #{init}"] = untrained(gallery, probes, patch, init)
    values = {}
    for name, score_PP in scores.items():
        rank1, error = estimates(score_PP, bootstrap)
        values[name] = (rank1.value, error.value)
        print(
            f"{label:<16} n={len(gallery):<4} {name:<22} rank-1 {_show(rank1)}   EER {_show(error)}",
            flush=True,
        )
    return values


def _show(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.ci95[0]:.3f}, {estimate.ci95[1]:.3f}]"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--participants", type=int, default=90)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sites", nargs="+", default=["synth-a"], choices=sorted(SITES))
    parser.add_argument("--bootstrap", type=int, default=500)
    parser.add_argument("--data-root", type=Path, help="folder that holds ecgiddb/")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.data_root:
        report("ECG-ID", open_reader("ecgiddb", args.data_root / "ecgiddb", "ecgiddb"), args.bootstrap)
    for site in args.sites:
        runs = [
            report(f"{site} seed {seed}", open_site(site, args.participants, seed), args.bootstrap)
            for seed in args.seeds
        ]
        for name in runs[0]:
            rank1, error = np.mean([run[name] for run in runs], axis=0)
            print(
                f"SYNTHETIC {site}, mean of {len(runs)} seeds: {name:<22} rank-1 {rank1:.3f}   EER {error:.3f}"
            )


if __name__ == "__main__":
    main()
