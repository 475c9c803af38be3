"""Planted truths: admitted only if identity is where we put it, and nowhere else, after preprocessing."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from transecg_core.cohorts.schema import COMPONENT_CODE, SkipLog
from transecg_core.cohorts.synthetic import Plant, open_site
from transecg_core.cohorts.synthetic_devices import DEVICES
from transecg_core.cohorts.synthetic_plants import (
    LONG_PR_S,
    MAX_LEAK,
    STRICT_LEAK,
    WAVE_PLANTS,
    component_span,
    shape_space,
)
from transecg_core.cohorts.synthetic_shapes import POPULATION, normal_beat
from transecg_core.signals.schema import FS_HZ, R_OFFSET, WINDOW
from transecg_core.signals.windows import build_windows

PEOPLE = 20
CHANCE = 1 / PEOPLE


@lru_cache(maxsize=8)
def templates(carrier: str | None, site: str = "synth-a") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean windows (P, L) of session 1 and of session 2, and the usual component per sample (L,)."""
    source = open_site(site, PEOPLE, 0, plant=Plant(carrier) if carrier else None)
    kept = [r for r in source.read(SkipLog()) if not r.record.endswith("s1r2")]
    windows = build_windows(replace(source, read=lambda _: iter(kept)))
    truth = {r.record: (r.fs_hz, r.labels.component_T) for r in kept}
    codes = np.zeros((len(COMPONENT_CODE), WINDOW))
    mean = {}
    for i, info in enumerate(windows.records):
        rows = np.flatnonzero(windows.record_N == i)
        mean[info.participant, info.record[-4:]] = windows.x_NL[rows].mean(axis=0)
        fs, code_T = truth[info.record]
        at = (windows.r_sample_N[rows][:, None] + np.arange(-R_OFFSET, WINDOW - R_OFFSET)) * fs / FS_HZ
        for code_L in code_T[np.minimum(np.round(at).astype(int), code_T.size - 1)]:
            codes[code_L, np.arange(WINDOW)] += 1
    people = [p for p in windows.participants if {(p, "s1r1"), (p, "s2r1")} <= mean.keys()]
    gallery, probe = (np.stack([mean[p, record] for p in people]) for record in ("s1r1", "s2r1"))
    return gallery, probe, codes.argmax(axis=0)


def oracle(carrier: str | None, mask_L: np.ndarray, site: str = "synth-a") -> tuple[float, float]:
    """Return rank-1 and the mean share of strangers who score below the right person, on some samples only."""
    gallery, probe, _ = templates(carrier, site)
    centre = gallery[:, mask_L].mean(axis=0)
    a, b = probe[:, mask_L] - centre, gallery[:, mask_L] - centre
    score = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    below = (score < np.diag(score)[:, None]).sum(axis=1) / (len(score) - 1)
    return float((below == 1).mean()), float(below.mean())


@pytest.mark.parametrize("carrier", ["P", "QRS", "T"])
def test_identity_is_in_the_planted_component_and_nowhere_else(carrier: str) -> None:
    inside = templates(carrier)[2] == COMPONENT_CODE[carrier]
    assert 15 < inside.sum() < 60
    rank1, auc = oracle(carrier, inside)
    assert rank1 > 0.6
    assert auc > 0.93
    rank1, auc = oracle(carrier, ~inside)
    assert rank1 <= 4 * CHANCE  # P(more than 4 of 20 by chance) = 0.003
    assert 0.3 < auc < 0.68  # three standard errors around 0.5


def test_without_identity_nothing_links() -> None:
    rank1, auc = oracle("none", np.ones(WINDOW, dtype=bool))
    assert rank1 <= 4 * CHANCE
    assert 0.3 < auc < 0.68


def test_natural_people_are_linked_by_many_components() -> None:
    code_L = templates(None)[2]
    for name in ("QRS", "T"):
        assert oracle(None, code_L == COMPONENT_CODE[name])[1] > 0.8
        assert oracle(None, code_L != COMPONENT_CODE[name])[1] > 0.8


def _tp_spectra(carrier: str) -> tuple[np.ndarray, np.ndarray]:
    """Return log spectra (P, F) of the signal between beats, of session 1 and of session 2."""
    spectra: dict[str, list[np.ndarray]] = {"s1r1": [], "s2r1": []}
    for recording in open_site("synth-a", PEOPLE, 0, plant=Plant(carrier)).read(SkipLog()):
        code_T, name = recording.labels.component_T, recording.record[-4:]
        if name not in spectra:
            continue
        edge = np.flatnonzero(np.diff((code_T == COMPONENT_CODE["TP"]).astype(int)))
        starts = [e + 40 for e in edge if code_T[e + 1] == COMPONENT_CODE["TP"] and e + 140 < code_T.size]
        parts = [recording.signal_mv[s : s + 100] for s in starts if (code_T[s : s + 100] == code_T[s]).all()]
        power = np.abs(
            np.fft.rfft((np.stack(parts) - np.mean(parts, axis=1, keepdims=True)) * np.hanning(100))
        )
        spectra[name].append(np.log((power**2).mean(axis=0))[1:9])
    first, second = np.stack(spectra["s1r1"]), np.stack(spectra["s2r1"])
    return first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)


def _auc(first: np.ndarray, second: np.ndarray) -> float:
    distance = np.linalg.norm(second[:, None] - first[None], axis=2)
    return float(((distance > np.diag(distance)[:, None]).sum(axis=1) / (len(first) - 1)).mean())


def test_device_shortcut_links_beats_and_noise_alone() -> None:
    rank1, auc = oracle("device", np.ones(WINDOW, dtype=bool))
    assert rank1 > 0.35
    assert auc > 0.8
    # Between beats there is no heart to recognise: noise that links is a recorder.
    assert _auc(*_tp_spectra("device")) > 0.7
    assert 0.3 < _auc(*_tp_spectra("none")) < 0.68


@pytest.mark.parametrize("site", sorted(DEVICES))
@pytest.mark.parametrize("carrier", ["P", "QRS", "T"])
def test_shapes_keep_their_laws(carrier: str, site: str) -> None:
    beat, lead = normal_beat(POPULATION), np.array(DEVICES[site].lead_vector)
    offset_F, shapes_JF = shape_space(carrier, beat, lead)
    assert len(shapes_JF) >= 3
    peak = np.abs(shapes_JF).max()
    np.testing.assert_allclose(shapes_JF.mean(axis=1), 0, atol=1e-6 * peak)
    assert np.abs(shapes_JF[:, [0, -1]]).max() < 1e-3 * peak
    # As seen after the project's own filter, at the device's own rate.
    rng = np.random.default_rng(0)
    energy, leaks = [], []
    for _ in range(6):
        weight = rng.standard_normal(len(shapes_JF))
        pattern_F = weight / np.linalg.norm(weight) @ shapes_JF
        seen_F, outside = _filtered(offset_F, pattern_F)
        energy.append(seen_F + outside)
        leaks.append(outside / (seen_F + outside))
    np.testing.assert_allclose(energy, np.mean(energy), rtol=0.05)
    assert max(leaks) < 2 * MAX_LEAK


@pytest.mark.parametrize("site", ["synth-a", "synth-c"])
@pytest.mark.parametrize("carrier", WAVE_PLANTS)
def test_strict_shapes_stay_in_their_component(carrier: str, site: str) -> None:
    plant = Plant(carrier, strict=True)
    beat, lead = normal_beat(plant.heart), np.array(DEVICES[site].lead_vector)
    offset_F, shapes_JF = shape_space(carrier, beat, lead, strict=True)
    assert len(shapes_JF) >= 3
    span = component_span(carrier, beat)
    assert span == plant.span_s
    assert span[0] < offset_F[0]
    assert offset_F[-1] < span[1]
    peak = np.abs(shapes_JF).max()
    np.testing.assert_allclose(shapes_JF.mean(axis=1), 0, atol=1e-6 * peak)
    weight = np.random.default_rng(0).standard_normal(len(shapes_JF))
    inside, outside = _filtered(offset_F, weight / np.linalg.norm(weight) @ shapes_JF, span)
    assert outside / (inside + outside) < 10 * STRICT_LEAK


def test_the_usual_pq_segment_holds_one_shape_and_a_long_one_more() -> None:
    lead = np.array(DEVICES["synth-a"].lead_vector)
    assert len(shape_space("PQ", normal_beat(POPULATION), lead)[1]) == 1
    assert len(shape_space("PQ", normal_beat(replace(POPULATION, pr_s=LONG_PR_S)), lead)[1]) == 5


def _filtered(
    offset_F: np.ndarray, pattern_F: np.ndarray, span: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Return the pattern's energy inside and outside its span after `preprocess.clean`."""
    from transecg_core.signals import preprocess

    fs = 1000.0
    time = np.arange(-4, 4, 1 / fs)
    x_T = np.interp(time, offset_F, pattern_F, left=0, right=0)
    y_T = preprocess.clean(x_T.astype(np.float32), fs)
    at = np.arange(y_T.size) / FS_HZ - 4
    first, last = span or (offset_F[0], offset_F[-1])
    inside = (at >= first - 1 / FS_HZ) & (at <= last + 1 / FS_HZ)
    return float((y_T[inside] ** 2).sum()), float((y_T[~inside] ** 2).sum())


def test_plants_carry_no_labels_and_no_effects() -> None:
    for site in ("synth-b", "synth-d"):
        for recording in open_site(site, 4, 0, plant=Plant("T")).read(SkipLog()):
            assert recording.labels.diagnosis is None
            assert recording.labels.beat_class_B is not None
            assert not recording.labels.beat_class_B.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"carrier": "U"}, "no plant named 'U'.*QRS"),
        ({"carrier": "T", "strength_mv": 0.0}, "must be positive"),
        ({"carrier": "device", "resonance_gain": -1.0}, "must be positive"),
    ],
)
def test_impossible_plants_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plant(**options)
