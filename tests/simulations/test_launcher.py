"""Checks before anything starts; the truth about how a run ended; the log's way home."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from client.ledger import Ledger
from simulations import launcher
from simulations.engines import inline
from simulations.engines.base import RunFailed
from transecg_core.config import option_names, parse_text
from transecg_core.errors import UserError


@pytest.fixture
def log(tmp_path):
    log = launcher.RunLog(tmp_path / "unfinished.log", io.StringIO())
    yield log
    log.close()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["seed"], "'seed' is not key=value"),
        (["=1"], "'=1' is not key=value"),
        (["seed=1", "seed=2"], "'seed' is given twice"),
        (["engine=ray"], "write --engine ray"),
    ],
)
def test_malformed_arguments(arguments, part):
    with pytest.raises(UserError, match=part) as caught:
        launcher.read_pairs(arguments)
    assert "\n" not in str(caught.value)


def test_values_may_hold_an_equals_sign():
    assert launcher.read_pairs(["output-dir=/a=b"]) == {"output-dir": "/a=b"}


@pytest.mark.parametrize(
    ("pairs", "part"),
    [
        ({"lerning-rate": "1"}, "nearest valid: learning-rate"),
        ({"num-server-rounds": "0"}, "num-server-rounds"),
        ({"target-epsilon": "-1"}, "target-epsilon"),
        ({"target-epsilon": "nan"}, "target-epsilon"),
        ({"cohort": "real"}, "data-root"),
        ({"cohort": "real", "data-root": "nowhere"}, "no such folder"),
    ],
)
def test_bad_options_end_before_anything_starts(pairs, part, tmp_path):
    with pytest.raises(UserError, match=part) as caught:
        launcher.check(pairs, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_real_sites_need_records(tmp_path):
    pairs = {"cohort": "real", "data-root": "data", "sites": "ludb,mitdb"}
    (tmp_path / "data" / "ludb" / "data").mkdir(parents=True)
    with pytest.raises(UserError, match="site 'ludb': no record"):
        launcher.check(pairs, tmp_path)
    (tmp_path / "data" / "ludb" / "data" / "1.hea").touch()
    with pytest.raises(UserError, match="site 'mitdb': no folder"):
        launcher.check(pairs, tmp_path)
    (tmp_path / "data" / "mitdb").mkdir()
    (tmp_path / "data" / "mitdb" / "100.hea").touch()
    cfg = launcher.check(pairs, tmp_path)
    assert cfg.data_root == str(tmp_path / "data")


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "participants.csv").touch()


def test_auto_is_every_sub_folder_with_a_table(tmp_path):
    pairs = {"cohort": "folder", "data-root": "data"}
    with pytest.raises(UserError, match="no such folder"):
        launcher.check(pairs, tmp_path)
    folders(tmp_path / "data", "clinic-b")
    (tmp_path / "data" / "Notes").mkdir()
    with pytest.raises(UserError, match="one site only, 'clinic-b'"):
        launcher.check(pairs, tmp_path)
    folders(tmp_path / "data", "clinic-a", "clinic-c")
    cfg = launcher.check(pairs, tmp_path)
    assert cfg.sites == "clinic-a,clinic-b,clinic-c"
    assert launcher.options_of(cfg)["data-root"] == str(tmp_path / "data")
    assert launcher.check({**pairs, "sites": "clinic-c,clinic-a"}, tmp_path).site_names == (
        "clinic-a",
        "clinic-c",
    )
    with pytest.raises(UserError, match=r"no site named 'clinic-d'.*nearest valid: clinic-"):
        launcher.check({**pairs, "sites": "clinic-a,clinic-d"}, tmp_path)
    with pytest.raises(UserError, match="one site itself: give the folder above"):
        launcher.check({**pairs, "data-root": "data/clinic-a"}, tmp_path)
    folders(tmp_path / "data", "Clinic D")
    with pytest.raises(UserError, match="'Clinic D' is no site name; rename the folder"):
        launcher.check(pairs, tmp_path)


def test_a_folder_of_recordings_without_a_table_stops_a_run_that_takes_every_site(tmp_path):
    pairs = {"cohort": "folder", "data-root": "data"}
    folders(tmp_path / "data", "clinic-b")
    third = tmp_path / "data" / "third"
    (third / "ward1").mkdir(parents=True)
    for number in range(3):
        (third / "ward1" / f"r{number}.csv").write_text("0.1\n0.2\n")
    words = r"'third' holds 3 recordings and no participants.csv: transecg init-data .*/data/third writes one; .*sites="
    with pytest.raises(UserError, match=words) as caught:
        launcher.check(pairs, tmp_path)  # not: holds one site only
    assert "\n" not in str(caught.value)
    folders(tmp_path / "data", "clinic-a")
    with pytest.raises(UserError, match=words):
        launcher.check(pairs, tmp_path)
    assert launcher.check({**pairs, "sites": "clinic-a,clinic-b"}, tmp_path).sites == "clinic-a,clinic-b"
    with pytest.raises(UserError, match=words):
        launcher.check({**pairs, "sites": "clinic-a,third"}, tmp_path)
    (third / "participants.csv").touch()
    assert launcher.check(pairs, tmp_path).sites == "clinic-a,clinic-b,third"


def test_empty_and_hidden_folders_and_tables_are_no_sites(tmp_path):
    data = tmp_path / "data"
    folders(data, "a", "b")
    for name in ("empty", ".hidden", "runs"):
        (data / name).mkdir()
    (data / ".hidden" / "r.edf").touch()
    (data / "runs" / "skipped.csv").write_text("reason,count\nflat,3\n")
    assert launcher.check({"cohort": "folder", "data-root": "data"}, tmp_path).sites == "a,b"


def test_a_public_dataset_is_not_taken_unasked(tmp_path):
    data = tmp_path / "data"
    (data / "ludb" / "data").mkdir(parents=True)
    for name in ("1.hea", "1.avf"):
        (data / "ludb" / "data" / name).touch()
    words = (
        r"'ludb' is a public dataset \(ludb's layout\) without participants.csv: declare it in a sites file"
    )
    pairs = {"cohort": "folder", "data-root": "data"}
    with pytest.raises(UserError, match=words):
        launcher.check(pairs, tmp_path)
    folders(data, "a", "b")
    with pytest.raises(UserError, match=words):
        launcher.check(pairs, tmp_path)
    assert launcher.check({**pairs, "sites": "a,b"}, tmp_path).sites == "a,b"
    with pytest.raises(UserError, match=words):
        launcher.check({**pairs, "sites": "a,ludb"}, tmp_path)


def test_a_sites_file_mixes_readers_and_is_checked_before_anything_starts(tmp_path):
    pairs = {"cohort": "folder", "sites-file": "sites.toml"}
    (tmp_path / "sites.toml").write_text(
        "[a]\nreader = 'folder'\npath = 'x/a'\n[b]\nreader = 'ludb'\npath = 'x/b'\n[c]\nreader = 'ludb'\npath = 'c'\n"
    )
    folders(tmp_path / "x", "a", "b")
    with pytest.raises(UserError, match=r"site 'b': no record \(.hea file\)"):
        launcher.check(pairs, tmp_path)
    (tmp_path / "x" / "b" / "1.hea").touch()
    with pytest.raises(UserError, match="site 'c': no folder"):
        launcher.check(pairs, tmp_path)
    cfg = launcher.check({**pairs, "sites": "a,b"}, tmp_path)
    assert (cfg.sites, cfg.sites_file) == ("a,b", str(tmp_path / "sites.toml"))
    (tmp_path / "x" / "a" / "participants.csv").unlink()
    with pytest.raises(UserError, match=r"site 'a': no participants.csv .*write it with: transecg init-data"):
        launcher.check({**pairs, "sites": "a,b"}, tmp_path)


def test_an_output_folder_that_cant_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="output-dir"):
        launcher.check({"output-dir": "file/runs"}, tmp_path)


def test_options_are_complete_flat_and_of_flowers_types(tmp_path):
    options = launcher.options_of(launcher.check({"seed": "3", "local-steps": "7"}, tmp_path))
    assert tuple(options) == option_names()
    assert options["seed"] == 3
    assert options["local-steps"] == 7
    assert {type(value) for value in options.values()} <= {str, int, float}
    assert Path(str(options["output-dir"])).is_absolute()


@pytest.mark.parametrize(
    ("engine", "workers", "part"), [("raay", None, "choose inline or ray"), ("ray", 0, "at least 1")]
)
def test_engine_and_workers_are_checked(engine, workers, part):
    with pytest.raises(UserError, match=part):
        launcher.launch({}, engine, workers)


def test_a_finished_run_gives_its_report_and_keeps_its_log(order, tmp_path, log):
    toy = order()
    toy = type(toy)(toy.app, toy.options, toy.sites, log.say, log.note)
    report = launcher.carry_out(inline.run, toy, 1, log)
    assert report == tmp_path / "out" / "run" / "report.html"
    kept = log.close()
    assert kept == report.parent / "run.log"
    assert "TransECG report" in kept.read_text()
    assert "round 2/2" in log.out.getvalue()
    assert "TransECG report" not in log.out.getvalue()  # the command line prints the path itself, last


def test_a_failed_run_gives_the_servers_reason_and_the_traceback_in_the_log(order, tmp_path, log):
    toy = order(mode="server-raises")
    toy = type(toy)(toy.app, toy.options, toy.sites, log.say, log.note)
    with pytest.raises(RunFailed, match=r"no luck today; log: .*run\.log"):
        launcher.carry_out(inline.run, toy, 1, log)
    assert "RuntimeError: no luck today" in log.close().read_text()


def test_no_report_is_no_success(order, tmp_path, log):
    with pytest.raises(RunFailed, match="without a report"):
        launcher.carry_out(lambda order, workers: None, order(), 1, log)
    log.say(f"TransECG report: {tmp_path / 'missing.html'}")
    with pytest.raises(RunFailed, match="without a report"):
        launcher.carry_out(lambda order, workers: None, order(), 1, log)


def test_flowers_chatter_goes_to_the_file_only(log):
    for line in ("\x1b[92mINFO \x1b[0m:      Starting", "", "round 1/3 here", "Using SuperLink: x"):
        log.say(line)
    assert log.out.getvalue() == "round 1/3 here\n"
    assert "Starting" in log.close().read_text()


CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path):
    options = launcher.read_file(path)
    assert options
    parse_text(options)


@pytest.mark.parametrize("text", ["seed = ", "[table]\nseed = 1", "sites = ['a']"])
def test_a_bad_config_file_is_named(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"bad\.toml"):
        launcher.read_file(path)


def test_a_missing_config_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.toml"):
        launcher.read_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("file", "this is a file"),
        ("text", "synth-b"),
        ("cut", "synth-b"),
        ("other", "belongs to site 'clinic'"),
    ],
)
def test_ledgers_in_trouble_are_refused_before_any_site_is_charged(
    tmp_path: Path, harm: str, words: str
) -> None:
    folder = tmp_path / "ledgers"
    if harm == "file":
        folder.write_text("x")
    else:
        folder.mkdir()
        path = Ledger(folder / "synth-b.sqlite", "clinic" if harm == "other" else "synth-b").path
        if harm != "other":
            path.write_bytes(b"x" * 5000 if harm == "text" else path.read_bytes()[:1500])
    pairs = {
        "privacy": "participant",
        "profile": "quick",
        "ledger": str(folder),
        "output-dir": str(tmp_path / "out"),
    }
    with pytest.raises(UserError, match=words):
        launcher.check(pairs, tmp_path)
    assert not (tmp_path / "out").exists()


def test_sound_and_missing_ledgers_pass(tmp_path: Path) -> None:
    Ledger(tmp_path / "synth-b.sqlite", "synth-b")
    for folder in (tmp_path, tmp_path / "new"):
        pairs = {"privacy": "participant", "ledger": str(folder), "output-dir": str(tmp_path / "out")}
        assert launcher.check(pairs, tmp_path).ledger == str(folder)
