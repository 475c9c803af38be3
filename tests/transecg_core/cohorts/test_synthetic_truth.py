"""Truth in the synthetic cohort: components, R peaks, ectopy, documented effects."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.cohorts.schema import BEATS, COMPONENT_CODE, Recording, SkipLog
from transecg_core.cohorts.synthetic import SITES, open_site
from transecg_core.cohorts.synthetic_beats import CleanLead, Rhythm, make_rhythm, render
from transecg_core.cohorts.synthetic_devices import muscle_noise
from transecg_core.cohorts.synthetic_people import draw_person, expected_traits
from transecg_core.cohorts.synthetic_shapes import POPULATION, normal_beat, ventricular_beat
from transecg_core.signals import preprocess, rpeaks

CODE = COMPONENT_CODE
ALL = sorted(SITES)


@lru_cache(maxsize=16)
def recordings(site: str, participants: int = 8, seed: int = 0) -> tuple[Recording, ...]:
    skips = SkipLog()
    out = tuple(open_site(site, participants, seed).read(skips))
    assert skips.counts() == {}
    return out


# Truth of components and R peaks


def _one_rhythm(rr_s: float = 1.0, beats: int = 5) -> Rhythm:
    time_B = 0.6 + rr_s * np.arange(beats)
    return Rhythm(time_B, np.zeros(beats, dtype=np.uint8), np.full(beats, rr_s))


def _render(shapes: tuple, rhythm: Rhythm, fs_hz: float, duration_s: float = 6.0) -> CleanLead:
    return render(
        shapes,
        rhythm,
        lead_vector=np.array([0.5, 0.87, 0.0]),
        fs_hz=fs_hz,
        duration_s=duration_s,
        gain_BK=np.ones((rhythm.time_B.size, 10)),
        qt_rr_exponent=1 / 3,
    )


@settings(deadline=None, max_examples=25)
@given(
    pr_s=st.floats(0.12, 0.20),
    qrs_s=st.floats(0.075, 0.115),
    qtc_s=st.floats(0.37, 0.45),
)
def test_painted_intervals_are_the_traits(pr_s: float, qrs_s: float, qtc_s: float) -> None:
    beat = normal_beat(replace(POPULATION, pr_s=pr_s, qrs_s=qrs_s, qtc_s=qtc_s))
    fs = 1000.0
    clean = _render((beat, beat, beat), _one_rhythm(), fs)
    r = round(1.6 * fs)
    code_T = clean.component_T[r - 450 : r + 550]
    at = {name: np.flatnonzero(code_T == CODE[name]) for name in ("P", "QRS", "T")}
    assert (at["QRS"][0] - at["P"][0]) / fs == pytest.approx(pr_s, abs=0.0021)
    assert at["QRS"].size / fs == pytest.approx(qrs_s, abs=0.0021)
    assert (at["T"][-1] - at["QRS"][0]) / fs == pytest.approx(qtc_s, abs=0.0021)


def test_qt_follows_rr_by_fridericia() -> None:
    beat, fs = normal_beat(POPULATION), 1000.0
    qt = []
    for rr_s in (1.0, 0.7):
        clean = _render((beat, beat, beat), _one_rhythm(rr_s), fs)
        r = round((0.6 + rr_s) * fs)
        end = r + np.flatnonzero(clean.component_T[r : r + 500] == CODE["T"])[-1]
        qt.append((end - r) / fs)
    # From the R anchor on, T scales; the fixed QRS onset is not part of it.
    assert qt[1] / qt[0] == pytest.approx(0.7 ** (1 / 3), abs=0.005)


def test_truth_and_signal_do_not_depend_on_the_rate() -> None:
    rng = np.random.default_rng(0)
    beat = normal_beat(POPULATION)
    shapes = (beat, ventricular_beat(rng, beat, POPULATION), beat)
    rhythm = make_rhythm(rng, 6.0, heart_rate_bpm=75, hrv=0.05, v_rate=0.2, s_rate=0.1)
    fine, coarse = _render(shapes, rhythm, 500.0), _render(shapes, rhythm, 250.0)
    np.testing.assert_array_equal(fine.component_T[::2], coarse.component_T)
    np.testing.assert_allclose(fine.signal_T[::2], coarse.signal_T, atol=2e-4)


@pytest.mark.parametrize("site", ALL)
def test_every_sample_has_a_component_in_physiological_shares(site: str) -> None:
    codes = np.concatenate([r.labels.component_T for r in recordings(site)])
    share = np.bincount(codes, minlength=7) / codes.size
    low = {"P": 0.09, "PQ": 0.03, "QRS": 0.08, "ST": 0.05, "T": 0.17, "TP": 0.20, "undefined": 0.0}
    high = {"P": 0.16, "PQ": 0.10, "QRS": 0.15, "ST": 0.17, "T": 0.30, "TP": 0.45, "undefined": 0.0}
    for name, code in CODE.items():
        assert low[name] <= share[code] <= high[name], name


@pytest.mark.parametrize("site", ["synth-b", "synth-d"])
def test_reference_beats_lie_on_the_largest_deflection_of_a_qrs(site: str) -> None:
    offsets = []
    for recording in recordings(site):
        sample_B, component_T = recording.labels.beat_sample_B, recording.labels.component_T
        assert sample_B is not None
        assert component_T is not None
        assert (component_T[sample_B] == CODE["QRS"]).all()
        assert (np.diff(sample_B) > 0.2 * recording.fs_hz).all()
        # An independent detector on the noisy signal finds most of them, at the same place.
        r_B = rpeaks.detect(preprocess.clean(recording.signal_mv, recording.fs_hz))
        reference_B = sample_B * 250.0 / recording.fs_hz
        offsets.append(np.abs(reference_B[:, None] - r_B[None]).min(axis=1) / 250.0)
    offset_s = np.concatenate(offsets)
    assert (offset_s < 0.05).mean() > 0.85
    assert np.median(offset_s) < 0.008


def test_ventricular_beats_have_no_p_and_a_wide_qrs() -> None:
    widths: dict[int, list[int]] = {0: [], 1: [], 2: []}
    with_p: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    for recording in recordings("synth-b", 13):
        labels = recording.labels
        assert labels.beat_sample_B is not None
        assert labels.beat_class_B is not None
        assert labels.component_T is not None
        for sample, beat in zip(labels.beat_sample_B, labels.beat_class_B, strict=True):
            other = np.flatnonzero(labels.component_T != CODE["QRS"])
            left, right = other[other < sample], other[other > sample]
            if left.size == 0 or right.size == 0:
                continue
            widths[int(beat)].append(int(right[0] - left[-1]))
            with_p[int(beat)].append(labels.component_T[left[-1]] in (CODE["PQ"], CODE["P"], CODE["T"]))
    assert all(len(w) > 10 for w in widths.values())
    assert np.median(widths[1]) > 1.6 * np.median(widths[0])
    assert np.median(widths[2]) == pytest.approx(np.median(widths[0]), rel=0.2)
    assert np.mean(with_p[0]) > 0.99
    assert np.mean(with_p[1]) < 0.3  # only where it falls on the previous T


# Rhythm and ectopy


@settings(deadline=None, max_examples=30)
@given(
    v_rate=st.floats(0, 0.25),
    s_rate=st.floats(0, 0.15),
    seed=st.integers(0, 10_000),
)
def test_ectopic_beats_come_at_their_rates_and_never_in_a_row(
    v_rate: float, s_rate: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rhythm = make_rhythm(rng, 1800.0, heart_rate_bpm=70, hrv=0.04, v_rate=v_rate, s_rate=s_rate)
    ectopic = rhythm.type_B > 0
    assert not (ectopic[1:] & ectopic[:-1]).any()
    for code, rate in ((1, v_rate), (2, s_rate)):
        assert (rhythm.type_B == code).mean() == pytest.approx(rate, abs=0.04)
    assert (np.diff(rhythm.time_B) > 0.3).all()
    assert rhythm.time_B[0] < 0
    assert rhythm.time_B[-1] > 1800.0
    np.testing.assert_allclose(np.diff(rhythm.time_B), rhythm.rr_B[1:])


def test_pauses_are_compensatory_after_ventricular_beats_only() -> None:
    rng = np.random.default_rng(1)
    rhythm = make_rhythm(rng, 600.0, heart_rate_bpm=60, hrv=0.0, v_rate=0.12, s_rate=0.08)
    at = np.arange(1, rhythm.time_B.size - 1)
    around = rhythm.time_B[at + 1] - rhythm.time_B[at - 1]
    np.testing.assert_allclose(around[rhythm.type_B[at] == 1], 2.0)
    assert (around[rhythm.type_B[at] == 2] < 1.8).all()


def test_ectopy_and_diagnosis_are_as_common_as_documented() -> None:
    for home, ectopic, abnormal in (("a", 0.0, 0.0), ("b", 0.66, 0.0), ("d", 0.66, 0.38)):
        spec = SITES[f"synth-{home}"]
        people = [
            draw_person(
                0,
                f"{home}/{i}",
                abnormal_prevalence=spec.abnormal_prevalence,
                ectopy_prevalence=spec.ectopy_prevalence,
            )
            for i in range(600)
        ]
        assert np.mean([p.v_rate > 0 for p in people]) == pytest.approx(ectopic, abs=0.06)
        assert np.mean([p.abnormal for p in people]) == pytest.approx(abnormal, abs=0.06)
        if ectopic:
            assert np.mean([p.v_rate for p in people if p.v_rate > 0]) == pytest.approx(0.125, abs=0.015)
            assert np.mean([p.s_rate for p in people if p.v_rate > 0]) == pytest.approx(0.07, abs=0.01)


@pytest.mark.parametrize("site", ["synth-b", "synth-d"])
def test_beat_classes_suffice_to_learn_from(site: str) -> None:
    records = recordings(site, 24)
    count = Counter(BEATS[c] for r in records for c in r.labels.beat_class_B)
    total = sum(count.values())
    assert 0.05 < count["V"] / total < 0.12
    assert 0.025 < count["S"] / total < 0.07
    people = {r.participant for r in records if (r.labels.beat_class_B == 1).any()}
    assert 10 <= len(people) <= 20


# Documented effects: exact in the mean traits, and still there in drawn people


def test_effects_have_the_documented_size_and_direction() -> None:
    man, woman = expected_traits("M", 50, False), expected_traits("F", 50, False)
    assert man == POPULATION
    assert woman.heart_rate_bpm - man.heart_rate_bpm == pytest.approx(4.0)
    assert woman.qtc_s - man.qtc_s == pytest.approx(0.014)
    assert woman.qrs_s - man.qrs_s == pytest.approx(-0.008)
    assert woman.t_gain / man.t_gain == pytest.approx(0.80)
    assert woman.st_mv - man.st_mv == pytest.approx(-0.030)
    older = expected_traits("M", 60, False)
    assert older.pr_s - man.pr_s == pytest.approx(0.0045)
    assert older.axis_deg - man.axis_deg == pytest.approx(-6.0)
    assert older.hrv / man.hrv == pytest.approx(0.87)
    assert older.t_gain < man.t_gain
    ill = expected_traits("M", 50, True)
    assert ill.st_mv < 0 < man.st_mv
    assert ill.t_gain / man.t_gain == pytest.approx(0.40)


def test_effects_survive_the_spread_between_people_and_labels_are_independent() -> None:
    people = [
        draw_person(4, f"home/{i}", abnormal_prevalence=0.38, ectopy_prevalence=0.66) for i in range(1500)
    ]
    female = np.array([p.sex == "F" for p in people])
    age = np.array([p.age for p in people])
    trait = {
        k: np.array([getattr(p.traits, k) for p in people]) for k in ("qrs_s", "qtc_s", "pr_s", "axis_deg")
    }
    assert trait["qrs_s"][female].mean() < trait["qrs_s"][~female].mean() - 0.006
    assert trait["qtc_s"][female].mean() > trait["qtc_s"][~female].mean() + 0.010
    assert np.polyfit(age, trait["pr_s"], 1)[0] == pytest.approx(0.00045, abs=0.0001)
    assert np.polyfit(age, trait["axis_deg"], 1)[0] == pytest.approx(-0.6, abs=0.2)
    labels = np.stack([female, age, [p.abnormal for p in people], [p.v_rate > 0 for p in people]]).astype(
        float
    )
    assert np.abs(np.corrcoef(labels) - np.eye(4)).max() < 0.09


def test_st_and_t_of_abnormal_people_are_lower_in_the_lead() -> None:
    level: dict[str, list[float]] = {"normal": [], "abnormal": []}
    for recording in recordings("synth-d", 24):
        x_T = preprocess.clean(recording.signal_mv, recording.fs_hz)
        code_T = recording.labels.component_T
        at = np.minimum((np.arange(x_T.size) * recording.fs_hz / 250.0).astype(int), code_T.size - 1)
        height = [np.median(x_T[code_T[at] == CODE[name]]) for name in ("ST", "T", "TP")]
        level[recording.labels.diagnosis].append(height[0] + height[1] - 2 * height[2])
    assert np.median(level["abnormal"]) < np.median(level["normal"]) - 0.05
    # Learnable, not trivial: the groups overlap.
    assert max(level["abnormal"]) > np.percentile(level["normal"], 10)


def test_muscle_noise_has_one_density_at_all_rates() -> None:
    rng = np.random.default_rng(0)
    power = []
    for fs in (128.0, 250.0, 500.0):
        noise_T = muscle_noise(rng, round(200 * fs), fs)
        spectrum = np.abs(np.fft.rfft(noise_T)) ** 2 / (noise_T.size * fs)
        hz = np.fft.rfftfreq(noise_T.size, 1 / fs)
        power.append(spectrum[(hz > 5) & (hz < 25)].mean())
    np.testing.assert_allclose(power, power[1], rtol=0.12)
