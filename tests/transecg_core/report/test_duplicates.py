"""What a report says of recordings that appear twice, and what stays local."""

from __future__ import annotations

import copy
import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from transecg_core.report import complete, describe
from transecg_core.report.duplicates import duplicates_section, in_words, limits_of
from transecg_core.report.listing import DUPLICATES, SKIPPED, write_listing
from transecg_core.report.page import report_page
from transecg_core.report.schema import ReportError, validate
from transecg_core.risk.duplicates import Duplicates
from transecg_core.signals.schema import Skip
from transecg_core.splits.duplicates import DuplicatePair

PAIR = DuplicatePair("a", "rec_1", "=cmd()", "b", "rec_9", "p2", 1.5, 24, 0.98765)
FOUND = Duplicates((PAIR,), 0, 2, 1, 3, 40, 1, 4)
NOTHING = Duplicates((), 0, 0, 0, 0, 0, 0, 0)


def with_section(report: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    out = copy.deepcopy(report)
    out["schema_version"] = "1.1"
    out["data"]["duplicates"] = section
    return complete(out)


def test_counts_are_in_the_report_and_in_words_on_its_page(rich_report) -> None:
    report = with_section(rich_report, duplicates_section(FOUND))
    validate(report)
    assert report["data"]["duplicates"]["across_ids"] == 2
    sentence = "Recordings that appear twice (pairs): 2 across ids of a site, 1 across sites. "
    sentence += "People counted as another: 1. Shared records left out: 4. Probe windows left out: 40."
    assert sentence in report_page(report)
    earlier = {k: v for k, v in duplicates_section(FOUND).items() if k not in ("merged", "records_left_out")}
    validate(with_section(rich_report, earlier))
    none = with_section(rich_report, duplicates_section(NOTHING))
    validate(none)
    assert "Recordings that appear twice: none found. Looked for: one waveform in two records" in report_page(
        none
    )


def test_reports_of_before_are_still_read_and_say_nothing(rich_report) -> None:
    report = complete(rich_report | {"schema_version": "1.0"})
    assert "appear twice" not in report_page(report)
    with pytest.raises(ReportError, match="duplicates"):
        validate(with_section(rich_report, {"within_ids": 1}))


def test_a_pilot_says_what_its_sites_found(rich_report) -> None:
    report = with_section(rich_report, duplicates_section(None))
    validate(report)
    assert report["data"]["duplicates"]["within_ids"] is None
    assert "looked for by each site" in in_words(report["data"])
    report["data"]["sites"][0]["duplicates"] = 12
    validate(report)
    assert "12 at synth-a" in in_words(report["data"])


def test_limits_say_whom_the_guarantee_does_not_cover() -> None:
    plain, private = limits_of(FOUND, private=False), limits_of(FOUND, private=True)
    assert "3 pairs of ids hold one recording" in plain[0]
    assert "1 of these people counts as another in the audit; 4 records of unknown" in plain[0]
    assert not any("epsilon" in line for line in plain)
    assert any("protected less than epsilon says" in line for line in private)
    assert any("1 pair of records of different sites is one recording" in line for line in plain)
    assert limits_of(None, private=True) == limits_of(NOTHING, private=True) == []
    known = Duplicates((PAIR,), 1, 0, 0, 0, 8, 0, 0)
    assert limits_of(known, private=True) == []


def test_the_listing_names_every_skip_and_pair_locally_only(tmp_path: Path) -> None:
    windows = SimpleNamespace(
        skips=(Skip("rec_1", "window: flat", 3), Skip("rec_2", "record: too, short", 1))
    )
    ctx: Any = SimpleNamespace(
        sites=(SimpleNamespace(name="a", windows=windows),), duplicates=FOUND, strangers=False
    )
    write_listing(ctx, tmp_path)
    with (tmp_path / SKIPPED).open(newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["site", "record", "reason", "count"],
            ["a", "rec_1", "window: flat", "3"],
            ["a", "rec_2", "record: too, short", "1"],
        ]
    with (tmp_path / DUPLICATES).open(newline="") as handle:
        row = next(csv.DictReader(handle))
    assert row["participant_a"] == "'=cmd()"  # no formula for a spreadsheet
    assert (row["record_b"], row["offset_s"], row["beats"], row["correlation"]) == (
        "rec_9",
        "1.500",
        "24",
        "0.988",
    )
    ctx.strangers = True
    with pytest.raises(ValueError, match="local"):
        write_listing(ctx, tmp_path)


@pytest.mark.parametrize(
    "name", ["=1+1", '+HYPERLINK("x")', "-2+3+cmd|calc!A0", "@SUM(A1)", " =1+1", "\t=1", "\r1", "\t1", "\n=1"]
)
def test_no_name_is_a_formula_and_every_number_stays_one(tmp_path: Path, name: str) -> None:
    """Values that begin with white space before the sign count too: spreadsheets trim it."""
    windows = SimpleNamespace(skips=(Skip(name, "window: flat", 3), Skip("r-1", "+1", 1)))
    found = replace(FOUND, pairs=(replace(PAIR, record_a=name, offset_s=-1.5),))
    ctx: Any = SimpleNamespace(
        sites=(SimpleNamespace(name="a", windows=windows),), duplicates=found, strangers=False
    )
    write_listing(ctx, tmp_path)
    with (tmp_path / SKIPPED).open(newline="") as handle:
        assert list(csv.reader(handle))[1:] == [
            ["a", f"'{name}", "window: flat", "3"],
            ["a", "r-1", "'+1", "1"],
        ]
    with (tmp_path / DUPLICATES).open(newline="") as handle:
        row = next(csv.DictReader(handle))
    assert (row["record_a"], row["offset_s"]) == (f"'{name}", "-1.500")


@pytest.mark.parametrize(("pairs", "shown"), [(0, None), (9, None), (10, 10)])
def test_a_shareable_row_counts_copies_from_ten_on_and_never_under_a_guarantee(
    monkeypatch: pytest.MonkeyPatch, pairs: int, shown: int | None
) -> None:
    monkeypatch.setattr(describe, "near_duplicates", lambda _sites: (PAIR,) * pairs)
    windows = type("Nothing", (list,), {"records": (), "skipped": {"few": 9, "many": 10}})()
    data = SimpleNamespace(name="a", windows=windows, person_P=(), member_P=np.zeros(0, dtype=bool))
    site: Any = SimpleNamespace(data=data, people=30)
    assert describe.describe_site(site, shareable=True)["duplicates"] == shown
    assert describe.describe_site(site, shareable=True)["skipped"] == {"many": 10}
    assert "duplicates" not in describe.describe_site(site, shareable=True, private=True)
    assert "duplicates" not in describe.describe_site(site, shareable=False)  # counted over all sites there
