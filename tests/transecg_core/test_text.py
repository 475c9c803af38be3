"""What is safe to print stays as it is; the rest is escaped, and nothing else is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts.listing import quoted, shown
from transecg_core.cohorts.schema import SkipLog
from transecg_core.text import escaped


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("M\u00fcller.csv", "M\u00fcller.csv"),
        ("\u5fc3\u7535\u56fe", "\u5fc3\u7535\u56fe"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udc81b", "a\\udc81b"),
        ("M\u00fcller\n", "M\u00fcller\\n"),
    ],
)
def test_letters_stay_and_commands_go(text: str, plain: str) -> None:
    assert escaped(text) == plain
    assert quoted(text) == f"'{plain}'"
    log = SkipLog()
    log.add(text, "record: flat")
    assert log.items == [(plain, "record: flat")]


def test_a_name_with_umlauts_is_shown_as_it_is() -> None:
    assert shown("ward1/M\u00fcller.csv") == "'ward1/M\u00fcller.csv'"


@given(st.text(max_size=100))
def test_everything_is_printable_and_what_was_stays(text: str) -> None:
    assert escaped(text).isprintable()
    assert not text.isprintable() or escaped(text) == text
