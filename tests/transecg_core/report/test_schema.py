"""What a report may and may not look like."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from transecg_core.report import ReportError, complete, read_report, validate, write_report
from transecg_core.report.schema import canonical_json, plain, schema


@pytest.mark.parametrize("name", ["schema.json", "compare.schema.json"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_every_object_of_fixed_shape_refuses_unknown_keys() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("type") in ("object", ["object", "null"]) and "properties" in node:
                assert node["additionalProperties"] is False, sorted(node["properties"])
            for item in node.values():
                walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(schema())
    walk(schema("compare.schema.json")["$defs"])


def test_the_fixtures_are_valid(rich_report, sparse_report, private_report) -> None:
    for report in (rich_report, sparse_report, private_report(), private_report(unit="window")):
        validate(complete(report))


def test_each_top_level_key_is_required(rich_report) -> None:
    whole = complete(rich_report)
    for key in schema()["required"]:
        with pytest.raises(ReportError, match=key):
            validate({k: v for k, v in whole.items() if k != key})


def test_what_came_later_may_be_missing_but_not_malformed(rich_report) -> None:
    later = ("attribution_by_site", "attribution_at_sites", "fiducial_models", "what_if")
    whole = complete(rich_report) | {"example_beat": None}
    for key in later:
        with pytest.raises(ReportError, match=key):
            validate(whole | {key: None})
    validate({key: value for key, value in whole.items() if key not in later})


def _set(report: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    out = copy.deepcopy(report)
    node: Any = out
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return out


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("surprise",), 1, "surprise"),
        (("schema_version",), "0.9", "schema_version"),
        (("data", "kind"), "imaginary", "data.kind"),
        (("data", "sites", 0, "participants"), 2.5, "participants"),
        (("data", "sites", 0, "skipped"), {"why": -1}, "skipped"),
        (("risks", 0, "kind"), "D", "kind"),
        (("risks", 0, "main"), "0.7", "main"),
        (("risks", 0, "ci95"), [0.1], "ci95"),
        (("risks", 0, "ci95"), [0.9, 0.1], "inverted"),
        (("risks", 0, "surprise"), 1, "surprise"),
        (("manifest", "code_hash"), "unknown", "code_hash"),
        (("privacy", "unit"), "session", "unit"),
        (("releases", 0, "status"), "probably fine", "status"),
        (("attribution", "participant", "occlusion", "components", "R"), {}, "R"),
        (("example_beat", "component"), [0, 99], "component"),
        (("attribution", "sex", "occlusion", "stability", "jitter_first"), 1.5, "jitter_first"),
        (("attribution_by_site", "sex", "occlusion", "synth-a", "people"), [], "people"),
        (("attribution_at_sites", 0, "head"), "released", "head"),
        (("fiducial_models", 0, "features", 0, "surprise"), 1, "surprise"),
        (("what_if", 0, "change"), "delete", "change"),
        (("data", "sites", 0, "name"), "a\x00b", "name"),
    ],
)  # fmt: skip
def test_refused(rich_report, path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(ReportError, match=said):
        validate(_set(complete(rich_report), path, value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), np.array(float("nan"))])
def test_a_number_that_is_not_finite_stops_everything(rich_report, tmp_path, value) -> None:
    for path in (
        ("risks", 3, "main"),
        ("privacy", "target_epsilon"),
        ("example_beat", "x", 7),
        ("risks", 2, "ci95", 0),
    ):
        with pytest.raises(ReportError, match="not a finite number"):
            write_report(_set(rich_report, path, value), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_plain_turns_numpy_into_json_types() -> None:
    value = {"a": (np.float32(0.5), np.int64(3)), "b": np.arange(2), "c": np.bool_(True), "d": None}
    assert plain(value) == {"a": [0.5, 3], "b": [0, 1], "c": True, "d": None}
    assert json.loads(json.dumps(plain(value))) == plain(value)


def test_reading_back_gives_the_same_report(rich_report, tmp_path) -> None:
    write_report(rich_report, tmp_path)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert canonical_json(read_report(tmp_path / "report.json")) == text


def test_a_damaged_file_is_refused_by_name(tmp_path) -> None:
    for text in ("{", "{}", '{"schema_version": NaN}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(ReportError, match=r"report\.json"):
            read_report(tmp_path / "report.json")


def test_a_shareable_report_that_lists_people_is_refused(rich_report) -> None:
    person = {
        "site": "synth-a",
        "participant": "0123abcd",
        "group": "member",
        "protocol": None,
        "figures": {},
    }
    rich_report["people_at_risk"] = [person]
    validate(rich_report | {"verdict": []})
    rich_report["edition"] = "shareable"
    with pytest.raises(ReportError, match="a shareable report lists nobody"):
        validate(rich_report | {"verdict": []})
