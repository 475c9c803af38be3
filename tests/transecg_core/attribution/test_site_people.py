"""Which rows of an answer are told together: no sum or difference of them rests on a few people."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.site_people import settled

Rows = dict[tuple[str], frozenset[int]]


def people(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(person for first, last in spans for person in range(first, last))


@st.composite
def answers(draw: st.DrawFn) -> Rows:
    """Rows over 60 people at most: common patterns of who is labelled and usable, and stray people."""
    total, names = draw(st.integers(0, 60)), "abcdef"[: draw(st.integers(0, 6))]
    patterns = draw(st.lists(st.frozensets(st.sampled_from(names or "-")), min_size=1, max_size=5))
    of = [draw(st.sampled_from(patterns)) for _ in range(total)]
    rows = {(name,): frozenset(p for p, inside in enumerate(of) if name in inside) for name in names}
    return {name: who for name, who in rows.items() if len(who) >= MIN_PEOPLE}


@given(answers())
@settings(max_examples=100, deadline=None)
def test_no_two_rows_differ_by_a_few_and_no_combination_of_rows_does(rows: Rows) -> None:
    kept = settled(rows)
    assert all(len(who) >= MIN_PEOPLE and who <= rows[name] for name, who in kept.items())
    for one, other in combinations(kept.values(), 2):
        for left in (one - other, other - one, one & other):
            assert len(left) not in range(1, MIN_PEOPLE)
    cells = Counter(frozenset(name for name in kept if p in kept[name]) for p in range(60))
    assert all(size >= MIN_PEOPLE for rows_in, size in cells.items() if rows_in)
    assert bool(kept) == bool(rows)  # never nothing where something may be told
    assert settled(dict(reversed(rows.items()))) == kept
    assert settled(kept) == kept


def test_rows_that_differ_by_nine_share_their_people_and_by_ten_are_left_alone() -> None:
    whole = people((0, 30))
    assert set(settled({("a",): whole, ("b",): people((9, 30))}).values()) == {people((9, 30))}
    apart = {("a",): whole, ("b",): people((10, 30))}
    assert settled(apart) == apart
    assert settled({("a",): people((0, 12)), ("b",): people((20, 33))}).keys() == {("a",), ("b",)}


def test_a_row_less_two_others_does_not_leave_one_person() -> None:
    """Pairs alone would not see it: ten and more are in each difference of two."""
    rows = {("all",): people((0, 31)), ("half",): people((0, 15)), ("rest",): people((15, 30))}
    kept = settled(rows)
    assert 30 not in kept["all",]
    assert len(kept) == 3


def test_the_smallest_row_that_would_lose_everybody_is_withheld() -> None:
    rows = {("a",): people((0, 18)), ("b",): people((9, 20))}
    assert settled(rows) == {("a",): people((0, 18))}
    assert settled({("a",): people((0, 9))}) == settled({}) == {}
