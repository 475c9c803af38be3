"""Who is compared with whom."""

from __future__ import annotations

import numpy as np
import pytest

from transecg_core.risk.cases import build_case
from transecg_core.risk.problems import problems


@pytest.mark.parametrize("twins", [0, 4])
def test_nobody_is_an_impostor_of_themselves_and_errors_are_counted_within_a_site(fakes, twins):
    case = build_case(fakes.build(fakes.recipe(sites=3, people=9, twins=twins)))
    asked = list(problems(case))
    sites = {(problem.site, problem.protocol) for problem in asked}
    expected = {(site, "other-record") for site in ("s0", "s1", "s2", "pooled")}
    assert sites == expected | ({("pooled", "cross-site")} if twins else set())
    for problem in asked:
        person_K1 = case.person_Q[problem.query_K][:, None]
        assert np.array_equal(case.person_G[problem.genuine_K], person_K1[:, 0])
        assert not (problem.impostor_KG & (case.person_G[None, :] == person_K1)).any()
        assert not (problem.verify_KG & ~problem.impostor_KG).any()
        enrolled_K1 = case.gallery.site_G[problem.genuine_K][:, None]
        assert not (problem.verify_KG & (case.gallery.site_G[None, :] != enrolled_K1)).any()
        assert np.array_equal(problem.person_P[problem.person_K], person_K1[:, 0])
        size = 9 if problem.site != "pooled" or problem.protocol == "cross-site" else 27
        assert problem.gallery_size in (size, size - 2 * (twins > 0))
        if problem.protocol == "cross-site":
            assert (case.probes.site_Q[problem.query_K] != enrolled_K1[:, 0]).all()
            assert len(problem.query_K) == 4 * 3 * 2  # each twin's three ids, against two other sites
