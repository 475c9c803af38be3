"""Ids that hold one recording are one person in the audit, and a copy never probes what it copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transecg_core.privacy.ceilings import CeilingCurve
from transecg_core.risk.audit import audit
from transecg_core.risk.cases import build_case
from transecg_core.risk.context import AuditContext
from transecg_core.risk.duplicates import resolve_duplicates
from transecg_core.risk.problems import problems
from transecg_core.risk.table import CROSS_SITE
from transecg_core.splits.copies import refuse_copies, take_out_copies
from transecg_core.splits.duplicates import near_duplicates


def copied(ctx: AuditContext, *copies: tuple[tuple[int, int], tuple[int, int]]) -> AuditContext:
    """Give record `b` the windows of record `a`; each is (site, record)."""
    x = [site.windows.x_NL.copy() for site in ctx.sites]
    for (site_a, a), (site_b, b) in copies:
        from_N = ctx.sites[site_a].windows.record_N == a
        x[site_b][ctx.sites[site_b].windows.record_N == b] = x[site_a][from_N]
    sites = tuple(
        replace(site, windows=replace(site.windows, x_NL=x_NL))
        for site, x_NL in zip(ctx.sites, x, strict=True)
    )
    return replace(ctx, sites=sites)


def whole(
    a: int, b: int, site: int = 0, other: int = 0
) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Return copies that give person `b` of `other` both records of person `a` of `site`."""
    return tuple(((site, 2 * a + k), (other, 2 * b + k)) for k in range(2))


def parts(ctx: AuditContext) -> list:
    return [(site.name, site.windows, site.split) for site in ctx.sites]


@pytest.fixture
def plain(fakes) -> AuditContext:
    return fakes.build(fakes.recipe(sites=2, people=8))  # two records each: record 2 p + 1 probes


def test_nothing_twice_changes_nothing(plain) -> None:
    resolved = resolve_duplicates(plain)
    assert resolved.duplicates is not None
    assert resolved.duplicates.pairs == ()
    for before, after in zip(plain.sites, resolved.sites, strict=True):
        assert before.person_P == after.person_P
        assert before.split.notes == after.split.notes
    assert resolve_duplicates(resolved) is resolved


def test_two_ids_of_one_recording_are_one_person_and_no_impostors(plain) -> None:
    ctx = resolve_duplicates(copied(plain, *whole(1, 2)))
    found = ctx.duplicates
    assert (found.within_ids, found.across_ids, found.across_sites, found.undeclared) == (0, 2, 0, 1)
    assert (found.merged, found.records_left_out) == (1, 0)
    persons = ctx.sites[0].person_P
    assert persons[1] == persons[2] == "s0/p1"
    assert len(set(persons)) == 7
    case = build_case(ctx)
    assert case.duplicates == 1
    for problem in problems(case):
        same_KG = case.person_G[None, :] == case.person_Q[problem.query_K][:, None]
        assert not (problem.impostor_KG & same_KG).any()


def test_one_person_under_two_coins_is_neither_member_nor_control(fakes) -> None:
    plain = fakes.build(fakes.recipe(sites=2, people=24))
    site = plain.sites[0]
    member, control = (int(np.flatnonzero(site.member_P == side)[0]) for side in (True, False))
    ctx = resolve_duplicates(copied(plain, *whole(member, control)))
    people = build_case(ctx).people
    index = people.names.index(ctx.sites[0].person_P[member])
    assert not people.member_C[index]
    assert not people.control_C[index]
    assert not ctx.judged_on()[0][control]  # its recording trained under the other id
    note = next(r.notes for r in audit(ctx).rows if r.name == "embedding-consistency" and r.metric == "AUC")
    assert "1 people count as another whose recordings they hold" in note


def test_every_training_unit_that_holds_somebody_s_recording_is_counted(plain) -> None:
    """Each was clipped and accounted for on its own: no one unit's ceiling holds for them together."""

    def units(*copies) -> dict[str, int]:
        people = build_case(resolve_duplicates(copied(plain, *copies))).people
        return {name: int(n) for name, n in zip(people.names, people.units_C, strict=True) if n > 1}

    assert units() == {}
    assert units(*whole(1, 2)) == {"s0/p1": 2}
    assert units(*whole(1, 2, 0, 1)) == {"s0/p1": 2}
    assert units(*whole(1, 2), *whole(1, 3, 0, 1)) == {"s0/p1": 3, "s0/p2": 3, "s1/p3": 3}  # three stay apart
    assert units(((0, 2), (0, 4))) == {"s0/p1": 2, "s0/p2": 2}  # one recording of two: they stay apart
    assert units(((0, 2), (0, 3))) == {}  # within one id
    one = replace(plain, sites=tuple(
        replace(site, person_P=("a", "a", *site.person_P[2:])) for site in plain.sites
    ))  # fmt: skip
    people = build_case(resolve_duplicates(one)).people
    assert people.units_C[people.names.index("a")] == 2  # declared: one unit a site


def test_a_person_of_two_ids_of_one_site_is_under_no_ceiling(fakes) -> None:
    fpr = np.linspace(0, 1, 201)
    free = CeilingCurve(fpr, fpr)  # nothing can be told of anybody in one unit
    plain = fakes.build(fakes.recipe(sites=1, people=24), ceilings={"s0": free})
    members = np.flatnonzero(plain.sites[0].member_P)
    for copies, share in (((), 0.0), (whole(*map(int, members[:2])), 2 / len(members))):
        ctx = resolve_duplicates(copied(plain, *copies))
        rows = [r for r in audit(ctx).rows if r.ceiling is not None and r.site == "s0" and r.metric == "AUC"]
        assert {row.name for row in rows} >= {"embedding-consistency"}
        for row in rows:
            assert row.ceiling == pytest.approx(1 - 0.5 * (1 - share) ** 2, abs=6e-3)
            assert ("two ids" in row.notes) == (share > 0)


def test_what_trains_is_the_same_whatever_was_found(plain) -> None:
    """Privacy: another person's data may not decide who trains, on what."""
    before = copied(plain, *whole(1, 2), *whole(0, 3, 0, 1))
    for old, new in zip(before.sites, resolve_duplicates(before).sites, strict=True):
        assert old.member_P is new.member_P
        assert old.split.gallery_N is new.split.gallery_N
        assert old.windows is new.windows


def test_probes_that_copy_an_enrolled_recording_are_left_out_and_counted(plain) -> None:
    # p0's probe is p3's enrolled record at the same site, p1's probe another site's enrolled record
    ctx = copied(plain, ((0, 6), (0, 1)), ((1, 2), (0, 3)))
    pairs = near_duplicates([(site.name, site.windows) for site in ctx.sites])
    with pytest.raises(ValueError, match="site 's0' has 16 probe windows that are a copy"):
        refuse_copies(parts(ctx), pairs)
    splits, count = take_out_copies(parts(ctx), pairs)
    assert count == 16
    assert "16 probe windows left out: a copy of a gallery recording" in splits[0].notes
    assert set(ctx.sites[0].windows.participant_N[splits[0].probes["other-record"]]) == {2, 3, 4, 5, 6, 7}
    refuse_copies(parts(resolve_duplicates(ctx)), pairs)
    own = resolve_duplicates(copied(plain, ((0, 0), (0, 1)), *whole(1, 2))).duplicates
    assert own.probes_left_out == 8


def test_a_leaky_protocol_is_leaky_by_name(fakes) -> None:
    ctx = copied(fakes.build(fakes.recipe(sites=1, people=6, protocol="random-window")), ((0, 0), (0, 1)))
    pairs = near_duplicates([(site.name, site.windows) for site in ctx.sites])
    assert len(pairs) == 1
    refuse_copies(parts(ctx), pairs)


def test_a_recording_of_two_sites_is_no_linkage_across_sites(fakes) -> None:
    ctx = fakes.build(fakes.recipe(sites=2, people=8, twins=6))
    asked = build_case(resolve_duplicates(ctx)).protocol_Q == CROSS_SITE
    # p7 of both sites: nobody said that they are one person; the only evidence is the copy
    same = resolve_duplicates(copied(ctx, *whole(7, 7, 0, 1)))
    assert same.duplicates.across_sites == 2
    assert same.sites[0].person_P[7] == same.sites[1].person_P[7]
    case = build_case(same)
    assert (case.protocol_Q == CROSS_SITE).sum() == asked.sum()
    twins = {case.people.names[p] for p in case.person_Q[case.protocol_Q == CROSS_SITE]}
    assert twins == {f"twin/p{p}" for p in range(6)}
    for problem in problems(case):
        same_KG = case.person_G[None, :] == case.person_Q[problem.query_K][:, None]
        assert not (problem.impostor_KG & same_KG).any()
        assert not (problem.verify_KG & same_KG).any()


def test_a_chain_of_people_with_nothing_but_copies_is_one_person(plain) -> None:
    """p5 has p3's first record, p6 p3's second; each of them has nothing else."""
    site = plain.sites[0]
    only_N = ~np.isin(site.windows.record_N, (11, 13))
    rows = (
        "x_NL",
        "participant_N",
        "session_N",
        "record_N",
        "beat_N",
        "component_NL",
        "r_sample_N",
        "scale_N",
    )
    split = replace(
        site.split, gallery_N=site.split.gallery_N[only_N],
        probes={name: mask[only_N] for name, mask in site.split.probes.items()},
    )  # fmt: skip
    windows = replace(site.windows, **{name: getattr(site.windows, name)[only_N] for name in rows})
    ctx = copied(
        replace(plain, sites=(replace(site, windows=windows, split=split), plain.sites[1])),
        ((0, 6), (0, 10)), ((0, 7), (0, 12)),
    )  # fmt: skip
    found = resolve_duplicates(ctx)
    assert {found.sites[0].person_P[p] for p in (3, 5, 6)} == {"s0/p3"}
    assert (found.duplicates.merged, found.duplicates.records_left_out) == (2, 0)
    declared = replace(plain, sites=tuple(replace(s, person_P=("one",) * 8) for s in plain.sites))
    within = resolve_duplicates(copied(declared, ((0, 2), (0, 4)))).duplicates
    assert (within.within_ids, within.across_ids, within.undeclared) == (1, 0, 0)
    assert (within.merged, within.records_left_out) == (0, 0)


def test_people_who_share_one_of_their_recordings_stay_apart_and_it_is_left_out(plain) -> None:
    before = copied(plain, ((0, 2), (0, 4)))  # the enrolled record of p1 is that of p2
    ctx = resolve_duplicates(before)
    site, found = ctx.sites[0], ctx.duplicates
    assert (found.undeclared, found.merged, found.records_left_out) == (1, 0, 2)
    assert site.person_P == before.sites[0].person_P
    assert not np.isin(site.windows.record_N, (2, 4)).any()
    assert len(site.windows) == len(before.sites[0].windows) - 16 == len(site.split.gallery_N)
    assert "2 records left out: people who stay apart share them" in site.split.notes
    case = build_case(ctx)
    assert {p for p in case.person_G[case.gallery.site_G == 0]} == {0, 3, 4, 5, 6, 7}
    assert any(row.main is not None for row in audit(ctx).rows)


@pytest.mark.parametrize("people", [3, 5])
def test_a_waveform_of_three_ids_makes_nobody_one_person(fakes, people: int) -> None:
    """A test signal in everybody's folder: also of those who have nothing else."""
    for records in (1, 2):
        plain = fakes.build(fakes.recipe(sites=1, people=8, records=records))
        copies = [((0, 0), (0, records * p)) for p in range(1, people)]
        ctx = resolve_duplicates(copied(plain, *copies))
        assert ctx.sites[0].person_P == plain.sites[0].person_P
        assert (ctx.duplicates.merged, ctx.duplicates.records_left_out) == (0, people)
        assert not np.isin(ctx.sites[0].windows.record_N, [records * p for p in range(people)]).any()
