import numpy as np

from transecg_core.signals.quality import correlation, flat, typical

BEAT = np.exp(-0.5 * ((np.arange(200) - 75) / 6.0) ** 2)
OTHER = np.exp(-0.5 * ((np.arange(200) - 150) / 20.0) ** 2)


def test_keeps_typical_and_exempts_labelled_ectopic_beats() -> None:
    x_BL = np.stack([BEAT] * 8 + [OTHER, OTHER, np.zeros(200)])
    ectopic = np.zeros(11, dtype=bool)
    ectopic[9] = True
    kept = typical(x_BL, ectopic, flat(x_BL))
    assert kept.tolist() == [True] * 8 + [False, True, False]


def test_ectopic_beats_do_not_move_the_median() -> None:
    x_BL = np.stack([BEAT] * 3 + [OTHER] * 7)
    kept = typical(x_BL, np.array([False] * 3 + [True] * 7), flat(x_BL))
    assert kept.all()


def test_a_record_of_ectopic_or_flat_beats_only() -> None:
    x_BL = np.stack([OTHER, np.zeros(200)])
    assert typical(x_BL, np.array([True, True]), flat(x_BL)).tolist() == [True, False]
    assert typical(x_BL, np.array([False, True]), flat(x_BL)).tolist() == [True, False]


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(0)
    x_BL, y_L = rng.standard_normal((5, 30)), rng.standard_normal(30)
    np.testing.assert_allclose(correlation(x_BL, y_L), [np.corrcoef(row, y_L)[0, 1] for row in x_BL])
    assert correlation(np.ones((1, 30)), y_L).tolist() == [0.0]
