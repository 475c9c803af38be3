"""What a report is allowed to look like, and its one canonical text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

SCHEMA_VERSION = "1.4"
"""Of ``report.json``; 1.4 added checks of maps, by site, fiducial models, what-if; 1.3 curves, people. Older are read."""


class ReportError(ValueError):
    """A report that must not be written or read: it names the places and what is wrong there."""


@cache
def schema(name: str = "schema.json") -> dict[str, Any]:
    """Return one of the package's JSON Schemas (2020-12)."""
    text = resources.files("transecg_core.report").joinpath(name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def plain(value: Any) -> Any:
    """Return `value` in JSON's own types: mappings to dict, tuples and arrays to list, numpy scalars to Python's.

    Numbers are left as they are, also the non-finite ones: `validate` refuses those.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def validate(report: Mapping[str, Any], name: str = "schema.json") -> None:
    """Refuse a report that breaks the schema, holds a number that is not finite, or an inverted interval.

    A shareable report that lists people is refused too.

    Raises
    ------
    ReportError
        Naming up to five places.
    """
    faults = [f"{place}: {value} is not a finite number" for place, value in _non_finite(report, "$")]
    validator = jsonschema.Draft202012Validator(schema(name))
    errors = sorted(validator.iter_errors(report), key=lambda error: (error.json_path, error.message))
    faults += [f"{error.json_path}: {error.message[:200]}" for error in errors]
    if report.get("edition") == "shareable" and report.get("people_at_risk"):
        faults.append("$.people_at_risk: a shareable report lists nobody")
    if not faults:
        faults = [f"{place}: interval {pair} is inverted" for place, pair in _inverted(report, "$")]
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ReportError(f"report refused: {'; '.join(faults[:5])}{more}")


def _non_finite(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _non_finite(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _non_finite(item, f"{place}[{index}]")


def _inverted(value: Any, place: str) -> Iterator[tuple[str, list[float]]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("ci95", "joint95", "behind") and item is not None and item[0] > item[1]:
                yield f"{place}.{key}", item
            yield from _inverted(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _inverted(item, f"{place}[{index}]")


def canonical_json(document: Mapping[str, Any]) -> str:
    """Return the one text of a document: sorted keys, two-space indent, UTF-8, no NaN, final newline."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_report(path: Path) -> dict[str, Any]:
    """Read and validate a ``report.json``.

    Raises
    ------
    ReportError
        If it is no JSON, or breaks the schema; the message names the file.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        validate(report)
    except (json.JSONDecodeError, UnicodeDecodeError, ReportError) as error:
        raise ReportError(f"{path}: {error}") from None
    return dict(report)
