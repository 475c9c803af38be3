"""Gallery-probe matching: templates, cosine, rank-k, EER, TAR@FAR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transecg_core.risk.artefacts import Gallery, Probes
from transecg_core.risk.estimate import Estimate, percentile, resamples, wilson
from transecg_core.risk.rows import NotMeasurable

_TINY = 1e-6


def group_means(z_ND: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return the mean row of each group (groups, D); every group must have a row."""
    total = np.zeros((groups, z_ND.shape[1]))
    np.add.at(total, group_N, z_ND.astype(np.float64))
    return total / np.bincount(group_N, minlength=groups)[:, None]


def group_medians(z_ND: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return the median row of each group (groups, D)."""
    return np.stack([np.median(z_ND[group_N == group], axis=0) for group in range(groups)])


def unit_rows(z_ND: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return rows of length one; rows that are nothing but rounding against `scale` become zero."""
    length = np.linalg.norm(z_ND, axis=1, keepdims=True)
    safe = np.where(length > _TINY * scale, length, np.inf)
    return z_ND / safe


def first_of(value_N: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Return each group's value, where all rows of a group share one."""
    out = np.zeros(groups, dtype=value_N.dtype)
    out[group_N] = value_N
    return out


def match(
    gallery_z_ND: np.ndarray,
    probe_z_MD: np.ndarray,
    gallery: Gallery,
    probes: Probes,
    centre: bool = True,
    template: Callable[[np.ndarray, np.ndarray, int], np.ndarray] = group_means,
) -> np.ndarray:
    """Return the cosine similarity of every query with every enrolled person, (Q, G).

    A person's template is the mean of their unit-length record templates, so that many
    records don't give more chances than few. With `centre`, the mean template of the
    site's gallery is taken off everything from that site: an untrained encoder's
    embeddings are otherwise nearly parallel, and a device's offset would pass for identity.

    Raises
    ------
    NotMeasurable
        If an embedding is not finite.
    """
    if not (np.isfinite(gallery_z_ND).all() and np.isfinite(probe_z_MD).all()):
        raise NotMeasurable("the embeddings are not finite")
    records = int(gallery.record_N.max()) + 1
    record_z_RD = template(gallery_z_ND, gallery.record_N, records)
    query_z_QD = template(probe_z_MD, probes.query_N, len(probes.site_Q))
    entry_R = first_of(gallery.entry_N, gallery.record_N, records)
    people = len(gallery.site_G)
    scale = float(np.abs(record_z_RD).max())
    if centre:
        person_z_GD = group_means(record_z_RD, entry_R, people)
        sites = int(max(gallery.site_G.max(), probes.site_Q.max(initial=0))) + 1
        centre_SD = np.zeros((sites, person_z_GD.shape[1]))
        for site in np.unique(gallery.site_G):
            centre_SD[site] = person_z_GD[gallery.site_G == site].mean(axis=0)
        record_z_RD = record_z_RD - centre_SD[gallery.site_G[entry_R]]
        query_z_QD = query_z_QD - centre_SD[probes.site_Q]
    person_GD = unit_rows(group_means(unit_rows(record_z_RD, scale), entry_R, people))
    scores: np.ndarray = unit_rows(query_z_QD, scale) @ person_GD.T
    return scores


def rank_credit(score_KG: np.ndarray, genuine_K: np.ndarray, impostor_KG: np.ndarray, k: int) -> np.ndarray:
    """Return each query's chance (K,) that the right person is among the `k` best, ties broken at random.

    With ties broken at random an encoder that maps everything to one point scores chance, not 1.
    """
    own_K1 = score_KG[np.arange(len(genuine_K)), genuine_K][:, None]
    # Scores that differ by rounding only are ties.
    above = (impostor_KG & (score_KG > own_K1 + 1e-9)).sum(axis=1)
    ties = (impostor_KG & (np.abs(score_KG - own_K1) <= 1e-9)).sum(axis=1)
    return np.clip((k - above) / (1 + ties), 0.0, 1.0)


@dataclass(frozen=True)
class Verification:
    """Error rates of accepting at a threshold, per person (P) and threshold (T, ascending).

    Attributes
    ----------
    frr_PT
        Share of the person's genuine queries that are refused.
    far_PT
        Share of the person's impostor comparisons that are accepted.
    pairs_P
        Number of impostor comparisons.
    """

    frr_PT: np.ndarray
    far_PT: np.ndarray
    pairs_P: np.ndarray

    def of(self, people: np.ndarray) -> Verification:
        """Return the rates of some people (bool or indices)."""
        return Verification(self.frr_PT[people], self.far_PT[people], self.pairs_P[people])

    def curves(self, weight_BP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return FRR and FAR (B, T) for weights over people."""
        total_B1 = weight_BP.sum(axis=1, keepdims=True)
        return weight_BP @ self.frr_PT / total_B1, weight_BP @ self.far_PT / total_B1


def verification(
    score_KG: np.ndarray, genuine_K: np.ndarray, impostor_KG: np.ndarray, person_K: np.ndarray, people: int
) -> Verification:
    """Return per-person error rates at, and just above, every genuine score.

    FRR moves nowhere else, so EER and TAR@FAR come out exactly. Every query needs an impostor.
    """
    genuine_score_K = score_KG[np.arange(len(genuine_K)), genuine_K]
    steps = np.unique(np.concatenate([genuine_score_K, np.nextafter(genuine_score_K, np.inf)]))
    threshold_T = np.concatenate([[-np.inf], steps, [np.inf]])
    frr_KT = (genuine_score_K[:, None] < threshold_T[None, :]).astype(np.float64)
    far_KT = np.empty_like(frr_KT)
    pairs_K = impostor_KG.sum(axis=1)
    for query, (scores, mask) in enumerate(zip(score_KG, impostor_KG, strict=True)):
        accepted = pairs_K[query] - np.searchsorted(np.sort(scores[mask]), threshold_T, side="left")
        far_KT[query] = accepted / pairs_K[query]
    pairs_P = np.bincount(person_K, weights=pairs_K, minlength=people)
    return Verification(group_means(frr_KT, person_K, people), group_means(far_KT, person_K, people), pairs_P)


def eer(frr_BT: np.ndarray, far_BT: np.ndarray) -> np.ndarray:
    """Return the equal error rate (B,): where falling FAR and rising FRR cross, interpolated."""
    rows = np.arange(len(frr_BT))
    right = (frr_BT >= far_BT).argmax(axis=1)  # FRR 1, FAR 0 at the last threshold: always found
    left = np.maximum(right - 1, 0)
    gap_left = far_BT[rows, left] - frr_BT[rows, left]
    gap_right = far_BT[rows, right] - frr_BT[rows, right]
    span = gap_left - gap_right
    weight = np.where(span > 0, gap_left / np.where(span > 0, span, 1.0), 0.0)
    crossed: np.ndarray = frr_BT[rows, left] + weight * (frr_BT[rows, right] - frr_BT[rows, left])
    return crossed


def tar_at(frr_BT: np.ndarray, far_BT: np.ndarray, far: float) -> np.ndarray:
    """Return the best true accept rate (B,) at a false accept rate of at most `far`."""
    best: np.ndarray = np.where(far_BT <= far + 1e-12, 1.0 - frr_BT, 0.0).max(axis=1)
    return best


def enough_pairs(rates: Verification, far: float) -> bool:
    """Return whether there are at least 10 / `far` impostor pairs."""
    return bool(rates.pairs_P.sum() >= 10 / far)


def rate_estimate(
    rates: Verification,
    figure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    bootstrap: int,
    rng: np.random.Generator,
) -> Estimate:
    """Estimate a figure of the FRR and FAR curves by resampling people on the fixed gallery.

    Where every resample agrees (perfect separation), the interval is Wilson's on the people.
    """
    n = len(rates.frr_PT)
    value = float(figure(*rates.curves(np.ones((1, n))))[0])
    low, high = percentile(figure(*rates.curves(resamples(n, bootstrap, rng))))
    if high - low < 1e-12:
        low, high = wilson(value * n, n)
    return Estimate(value, (low, high), n)
