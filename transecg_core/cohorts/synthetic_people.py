"""Synthetic people: who they are, and how sex, age and the abnormal trait act on their ECG.

SYNTHETIC: no parameter belongs to a person. Directions of effects are textbook ones, sizes
are our reading of them (`Effects`), and none was fitted to a person's recording.

A person depends only on the seed and the canonical person id, never on how many others exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transecg_core.cohorts.schema import Sex
from transecg_core.cohorts.synthetic_beats import BeatShape
from transecg_core.cohorts.synthetic_shapes import (
    CALIBRATED,
    POPULATION,
    Traits,
    Variation,
    normal_beat,
    perturb,
    supraventricular_beat,
    ventricular_beat,
)
from transecg_core.seeds import seed_for


@dataclass(frozen=True)
class Effects:
    """Population means and the documented effects; per decade means per ten years above 50.

    Women against men: faster heart rate, longer QTc, shorter QRS, lower T wave, lower ST level
    (J point). Rautaharju et al., JACC 53 (2009) 982-991; Surawicz & Parikh, JACC 40 (2002) 1870-1876.
    With age: longer PR, frontal axis further left, less heart-rate variability, lower T wave,
    slightly longer QTc. Rijnbeek et al., J Electrocardiol 47 (2014) 914-921.
    Abnormal people: ST depression and a flattened T wave, the pattern of subendocardial ischaemia.
    """

    female_heart_rate_bpm: float = 4.0
    female_qtc_s: float = 0.014
    female_qrs_s: float = -0.008
    female_t_gain: float = 0.80
    female_st_mv: float = -0.030
    decade_pr_s: float = 0.0045
    decade_axis_deg: float = -6.0
    decade_hrv_gain: float = 0.87
    decade_t_gain: float = 0.96
    decade_qtc_s: float = 0.002
    abnormal_st_mv: float = -0.10
    abnormal_t_gain: float = 0.40


EFFECTS = Effects()


@dataclass(frozen=True)
class Person:
    """A synthetic person: the same at every site, session and record.

    ``beats`` are the normal, ventricular and supraventricular shapes; ``v_rate`` and ``s_rate``
    the fractions of ectopic beats.
    """

    canonical: str
    sex: Sex
    age: float
    abnormal: bool
    traits: Traits
    beats: tuple[BeatShape, BeatShape, BeatShape]
    v_rate: float
    s_rate: float


def expected_traits(sex: Sex, age: float, abnormal: bool, effects: Effects = EFFECTS) -> Traits:
    """Return the mean traits of people of this sex and age: all documented effects and nothing else."""
    female, decades = float(sex == "F"), (age - 50.0) / 10.0
    t_gain = effects.female_t_gain**female * effects.decade_t_gain**decades
    return Traits(
        heart_rate_bpm=POPULATION.heart_rate_bpm + effects.female_heart_rate_bpm * female,
        hrv=POPULATION.hrv * effects.decade_hrv_gain**decades,
        pr_s=POPULATION.pr_s + effects.decade_pr_s * decades,
        qrs_s=POPULATION.qrs_s + effects.female_qrs_s * female,
        qtc_s=POPULATION.qtc_s + effects.female_qtc_s * female + effects.decade_qtc_s * decades,
        axis_deg=POPULATION.axis_deg + effects.decade_axis_deg * decades,
        t_gain=t_gain * (effects.abnormal_t_gain if abnormal else 1.0),
        st_mv=POPULATION.st_mv
        + effects.female_st_mv * female
        + (effects.abnormal_st_mv if abnormal else 0.0),
    )


def draw_traits(rng: np.random.Generator, mean: Traits) -> Traits:
    """Return one person's traits around `mean`."""
    z = rng.standard_normal(8)
    return Traits(
        heart_rate_bpm=float(np.clip(mean.heart_rate_bpm + 8.0 * z[0], 48, 100)),
        hrv=float(mean.hrv * np.exp(0.3 * z[1])),
        pr_s=float(np.clip(mean.pr_s + 0.015 * z[2], 0.115, 0.21)),
        qrs_s=float(np.clip(mean.qrs_s + 0.007 * z[3], 0.070, 0.118)),
        qtc_s=float(np.clip(mean.qtc_s + 0.014 * z[4], 0.360, 0.455)),
        axis_deg=mean.axis_deg + 24.0 * z[5],
        t_gain=float(mean.t_gain * np.exp(0.28 * z[6])),
        st_mv=float(mean.st_mv + 0.030 * z[7]),
    )


def draw_person(
    seed: int,
    canonical: str,
    *,
    abnormal_prevalence: float,
    ectopy_prevalence: float,
    variation: Variation = CALIBRATED,
) -> Person:
    """Draw the person `canonical`; nothing else decides who they are.

    Sex is a fair coin, age uniform in 20-80 years, and both are independent of the abnormal
    trait and of ectopy, so that one label can't stand in for another.
    """
    rng = np.random.default_rng(seed_for(seed, "synthetic person", canonical))
    sex: Sex = "F" if rng.random() < 0.5 else "M"
    age = round(float(rng.uniform(20, 80)), 1)
    abnormal = bool(rng.random() < abnormal_prevalence)
    ectopic = bool(rng.random() < ectopy_prevalence)
    v_rate, s_rate = 0.125 * rng.gamma(6.0) / 6.0, 0.07 * rng.gamma(6.0) / 6.0
    traits = draw_traits(rng, expected_traits(sex, age, abnormal))
    normal = perturb(rng, normal_beat(traits), variation.person, 1.0)
    beats = (normal, ventricular_beat(rng, normal, traits), supraventricular_beat(rng, normal))
    rates = (min(v_rate, 0.25), min(s_rate, 0.16)) if ectopic else (0.0, 0.0)
    return Person(canonical, sex, age, abnormal, traits, beats, *rates)
