"""Who is compared with whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.risk.audit import audit
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


def test_whoever_tells_the_site_by_its_device_is_no_better_than_chance(fakes):
    """One gallery of all sites, windows that carry their site and no person: rank-1 is what chance says it is."""
    context = fakes.build(fakes.recipe(sites=3, people=12, noise=0.0, identity=0.0))
    sites = []
    for index, site in enumerate(context.sites):
        x_NL = site.windows.x_NL.copy()
        x_NL[:, index] = 1.0
        sites.append(replace(site, windows=replace(site.windows, x_NL=x_NL)))
    rows = audit(replace(context, sites=tuple(sites))).rows
    (row,) = [r for r in rows if (r.name, r.metric, r.site) == ("raw-correlation", "rank-1", "pooled")]
    assert row.main == pytest.approx(1 / 12)
    assert row.baseline == pytest.approx(1 / 12)
    assert "chance 0.083 knowing the probe's site (gallery of 36)" in row.notes
