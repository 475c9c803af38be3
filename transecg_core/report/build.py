"""From the report's figures to ``report.json`` and the page made from it alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transecg_core.report.page import report_page
from transecg_core.report.schema import canonical_json, plain, validate
from transecg_core.report.verdict import verdict


def complete(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report in JSON's own types, validated, with its verdict derived from its figures.

    Whatever verdict was handed in is replaced: a report can't say what its numbers don't.

    Raises
    ------
    ReportError
        If the report breaks the schema.
    """
    body: dict[str, Any] = plain({**report, "verdict": []})
    validate(body)
    body["verdict"] = verdict(body)
    return body


def write_report(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.json`` and ``report.html`` into `folder`; nothing is written if the report is refused.

    Returns
    -------
    Path
        The page: one file, no network, no script.

    Raises
    ------
    ReportError
        If the report breaks the schema (a missing key, a number that is not finite, ...).
    """
    body = complete(report)
    text, page = canonical_json(body), report_page(body)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "report.json", text)
    return write_text(folder / "report.html", page)


def write_text(path: Path, text: str) -> Path:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    scratch = path.with_suffix(path.suffix + ".part")
    scratch.write_text(text, encoding="utf-8", newline="\n")
    os.replace(scratch, path)
    return path
