"""One validated config: equal to pyproject's defaults, and errors a person can act on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.config import defaults, option_names, parse, parse_text, resolve_paths
from transecg_core.errors import UserError
from transecg_core.names import TASKS
from transecg_core.recipes import FROM_SCRATCH, PRETRAINED

ROOT = Path(__file__).parents[2]


def test_pyproject_defaults_equal_the_model() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert declared == defaults()
    assert [type(v) for v in declared.values()] == [type(defaults()[k]) for k in declared]


def test_every_option_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [key for key in option_names() if f"`{key}`" not in page] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lerning-rate": 1}, ["lerning-rate", "learning-rate"]),
        ({"num_server_rounds": 3}, ["num_server_rounds", "num-server-rounds"]),
        ({"num-server-rounds": 0}, ["num-server-rounds", "greater than or equal to 1"]),
        ({"target-epsilon": 0.0}, ["target-epsilon", "greater than 0"]),
        ({"target-epsilon": -1.0}, ["target-epsilon", "greater than 0"]),
        ({"target-epsilon": float("nan")}, ["target-epsilon", "finite"]),
        ({"learning-rate": float("inf")}, ["learning-rate"]),
        ({"delta": 1.0}, ["delta", "less than 1"]),
        ({"batch-size": "many"}, ["batch-size", "integer"]),
        ({"seed": 1.5}, ["seed", "integer"]),
        ({"patch": 7}, ["patch", "5 or 10"]),
        ({"participants-per-site": 1}, ["participants-per-site"]),
        ({"cohort": "real"}, ["data-root"]),
        ({"cohort": "reel"}, ["cohort", "real"]),
        ({"cohort": "node"}, ["sites"]),
        ({"sites": "synth-a"}, ["sites", "2"]),
        ({"sites": "synth-a,sinth-b"}, ["sinth-b", "synth-b"]),
        ({"sites": "synth-a,,synth-b"}, ["sites", "commas"]),
        ({"cohort": "node", "sites": "a,../b"}, ["../b"]),
        ({"ledger": "/x"}, ["ledger", "privacy=participant"]),
        (
            {"cohort": "node", "sites": "a,b", "privacy": "window", "ledger": "/x"},
            ["ledger", "--node-config"],
        ),
        ({"privacy": "window", "windows-per-draw": 2}, ["windows-per-draw", "one window"]),
        (
            {"privacy": "participant", "windows-per-draw": 0},
            ["windows-per-draw", "greater than or equal to 1"],
        ),
        (
            {"privacy": "participant", "max-windows-per-participant": 0},
            ["max-windows", "greater than or equal"],
        ),
        ({"privacy": "participant", "participant-slots": 9}, ["participant-slots", "tasks="]),
        ({"privacy": "participant", "delta": -1e-5}, ["delta", "greater than or equal to 0.0000000001"]),
        ({"privacy": "participant", "delta": 1e-300}, ["delta", "greater than or equal to 0.0000000001"]),
        ({"privacy": "participant", "clip-norm": 0}, ["clip-norm", "greater than 0"]),
        ({"ema": 1.0}, ["ema", "less than 1"]),
        ({"tasks": "sexx"}, ["sexx", "sex"]),
        ({"tasks": "sex,sex"}, ["tasks", "distinct"]),
        ({"noise": "off"}, ["noise", "privacy"]),
        ({"target-epsilon": 1.0}, ["target-epsilon", "privacy=participant"]),
        ({"clip-norm": 0.1}, ["clip-norm", "privacy"]),
        ({"privacy": "participant", "delta": 0.1}, ["delta", "1/(10 n)"]),
        ({"data-root": "/x"}, ["data-root", "cohort=real"]),
        ({"sites-file": "/x"}, ["sites-file", "cohort=folder"]),
        ({"cohort": "real", "data-root": "/x", "sites-file": "/x"}, ["sites-file", "cohort=folder"]),
        ({"cohort": "node", "sites": "a,b", "sites-file": "/x"}, ["sites-file"]),
        ({"cohort": "node", "sites": "a,b", "data-root": "/x"}, ["data-root"]),
        ({"cohort": "folder"}, ["data-root", "sites-file"]),
        (
            {"cohort": "folder", "data-root": "/x", "sites-file": "/x"},
            ["data-root", "sites-file", "not both"],
        ),
        ({"cohort": "folder", "data-root": "/x", "sites": "a"}, ["between 2 and"]),
        ({"cohort": "folder", "data-root": "/x", "sites": "a,B"}, ["'B' is no site name", "a-z"]),
        ({"cohort": "folder", "data-root": "/x", "sites": "a,pooled"}, ["'pooled' is no site name"]),
        ({"site-file": "/x"}, ["site-file", "nearest valid: sites-file"]),
        ({"sites": "ecgiddb,mitdb"}, ["ecgiddb", "cohort=real"]),
        ({"zzz": 1}, ["zzz", "learning-rate"]),
        ({"trainable": "head", "tasks": "participant"}, ["head"]),
    ],
)
def test_bad_options_end_in_one_line_with_the_remedy(options: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        parse(options)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_text_is_typed_by_the_schema() -> None:
    cfg = parse_text({"num-server-rounds": "5", "learning-rate": "1e-3", "patch": "10", "sites": "auto"})
    assert (cfg.rounds, cfg.learning_rate, cfg.patch) == (5, 1e-3, 10)
    with pytest.raises(UserError, match="target-epsilon"):
        parse_text({"target-epsilon": "nan"})


def test_privacy_leaves_the_participant_task_out_by_default() -> None:
    assert parse({}).task_names == TASKS
    assert "participant" not in parse({"privacy": "participant"}).task_names
    assert "participant" not in parse({"privacy": "window"}).task_names


def test_auto_follows_from_unit_and_start() -> None:
    plain, quick = parse({}), parse({"privacy": "participant", "profile": "quick"})
    assert (plain.start_from, plain.trained_part, plain.draw_windows) == ("random", "full", 1)
    assert (quick.start_from, quick.recipe) == ("random", FROM_SCRATCH)
    for unit in ("window", "participant"):
        cfg = parse({"privacy": unit})
        assert (cfg.start_from, cfg.recipe) == ("synthetic", PRETRAINED[unit])
        assert cfg.batch == PRETRAINED[unit].batch_size
    chosen = parse({"privacy": "participant", "start": "random", "batch-size": 12, "windows-per-draw": 3})
    assert (chosen.recipe, chosen.batch, chosen.draw_windows) == (FROM_SCRATCH, 12, 3)


def test_paths_are_made_absolute(tmp_path: Path) -> None:
    cfg = resolve_paths(parse({"cohort": "real", "data-root": "d", "output-dir": "o"}), tmp_path)
    assert (cfg.data_root, cfg.output_dir) == (str(tmp_path / "d"), str(tmp_path / "o"))
    assert cfg.sites_file == ""
    cfg = resolve_paths(parse({"cohort": "folder", "sites-file": "s.toml"}), tmp_path)
    assert (cfg.sites_file, cfg.data_root) == (str(tmp_path / "s.toml"), "")


def test_parsing_a_folder_cohort_looks_at_no_disk() -> None:
    cfg = parse({"cohort": "folder", "data-root": "/nowhere"})
    assert not cfg.sites_known
    with pytest.raises(RuntimeError, match="resolved"):
        _ = cfg.site_names
    named = parse({"cohort": "folder", "sites-file": "/nowhere", "sites": "b,a"})
    assert (named.sites_known, named.site_names) == (True, ("a", "b"))


@given(
    st.dictionaries(
        st.text(max_size=20), st.one_of(st.integers(), st.floats(), st.text(max_size=9)), max_size=3
    )
)
def test_any_junk_is_a_user_error_or_a_config(options: dict) -> None:
    message = ""
    try:
        parse(options)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
