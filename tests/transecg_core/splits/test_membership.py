"""The coin: fair, independent, and one per person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.splits.membership import coin, members


@given(st.integers(0, 2**31 - 1), st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True))
def test_two_ids_of_one_person_share_a_coin_and_others_do_not_matter(seed, names):
    person = {"alias": f"x/{names[0]}"}
    everyone = members(lambda p: person.get(p, f"x/{p}"), [*names, "alias"], "halves", seed)
    assert everyone[0] == everyone[-1]
    assert everyone[-2] == members(lambda p: f"x/{p}", [names[-1]], "halves", seed)[0]


def test_coins_are_fair_and_independent_over_people_and_seeds():
    flips = np.array([[coin(seed, f"site/{person}") for person in range(200)] for seed in range(100)])
    # Standard errors: .0035 of the mean; .05 of a mean over 100; .1 of a correlation over 100 seeds.
    assert abs(flips.mean() - 0.5) < 0.0145
    assert np.abs(flips.mean(axis=0) - 0.5).max() < 0.22
    correlation = np.corrcoef(flips.T) - np.eye(200)
    assert abs(correlation.mean()) < 0.01
    assert np.abs(correlation).max() < 0.55


def test_none_trains_everybody_and_other_splits_are_refused():
    assert members(str, ["a", "b"], "none", 0).all()
    with pytest.raises(ValueError, match="audit-split"):
        members(str, ["a"], "thirds", 0)
