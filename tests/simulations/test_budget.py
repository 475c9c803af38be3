"""`transecg budget`: what it says of a ledger, and that it never touches one."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

from client.ledger import Contents, Ledger, ReleaseKey, read
from client.spending import Budget
from simulations.cli import main
from simulations.ledger_account import CHARGE_COLUMNS, account, as_data, page
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism, epsilon, epsilon_participant

DELTA = 1e-5
STRONG = Mechanism("participant", 0.5, 4.0, 48)
WEAK = Mechanism("participant", 0.8, 5.0, 48)
WINDOW = Mechanism("window", 0.03, 4.0, 8)


def fill(path: Path, *runs: tuple[str, Mechanism], site: str = "synth-a") -> Path:
    ledger = Ledger(path, site)
    for run, mechanism in runs:
        for number in (1, 2):
            ledger.charge(ReleaseKey(run, number, site, "code", "w"), mechanism, 5, b"a secret update")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "synth-a.sqlite", ("1234567890", STRONG), ("2222222222", WEAK), ("3333333333", STRONG)
    )


def transecg(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple:
    """Return (status, standard output, standard error)."""
    monkeypatch.setattr("sys.argv", ["transecg", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def test_run_and_lifetime_epsilon_are_different_numbers(path: Path) -> None:
    found = account(read(path), DELTA)
    assert [run.epsilon_person for run in found.runs] == [
        epsilon([(mechanism, 10)], DELTA) for mechanism in (STRONG, WEAK, STRONG)
    ]
    assert found.epsilon_person == epsilon([(STRONG, 20), (WEAK, 10)], DELTA)
    assert found.epsilon_person < sum(run.epsilon_person for run in found.runs)
    assert [(run.rounds, run.charges, run.steps) for run in found.runs] == [(2, 2, 10)] * 3


def test_the_rounds_that_fit_do_and_one_more_does_not(path: Path) -> None:
    charges = [(STRONG, 20), (WEAK, 10)]
    budget = Budget(6.0, DELTA)
    found = account(read(path), DELTA, budget)
    assert found.more_rounds is not None
    assert epsilon([(STRONG, 20 + 5 * found.more_rounds), charges[1]], DELTA) <= 6.0
    assert epsilon([(STRONG, 25 + 5 * found.more_rounds), charges[1]], DELTA) > 6.0
    assert found.left == pytest.approx(6.0 - found.epsilon_person)
    assert not found.overspent


@pytest.mark.parametrize(("more", "words"), [(0, "0 more rounds"), (1, "1 more round"), (2, "2 more rounds")])
def test_what_still_fits_is_told_in_the_right_number(path: Path, more: int, words: str) -> None:
    spent = epsilon([(STRONG, 20 + 5 * more), (WEAK, 10)], DELTA)
    line = page(account(read(path), DELTA, Budget(spent * (1 + 1e-9), DELTA))).splitlines()[-1]
    assert f"left; {words} of the last setting fit{'s' if more == 1 else ''} (5 steps" in line


def test_an_unbounded_round_is_said_in_words_and_null(tmp_path: Path) -> None:
    free = Mechanism("participant", 1.0, 0.0, 1)
    found = account(read(fill(tmp_path / "l.sqlite", ("1", free))), DELTA, Budget(1e6, DELTA))
    assert "lifetime: person epsilon infinite" in page(found)
    assert "OVERSPENT" in page(found)
    data = as_data(found)
    assert data["epsilon_participant"] is None
    assert data["bounded"] is False
    assert data["runs"][0]["epsilon_participant"] is None
    json.dumps(data, allow_nan=False)


def test_a_description_that_was_charged_is_no_round(tmp_path: Path) -> None:
    free = Mechanism("participant", 1.0, 0.0, 1)
    path = fill(tmp_path / "l.sqlite", ("1", free))
    Ledger(path, "synth-a").charge(ReleaseKey("1", 0, "synth-a", "code", "description"), free, 1, b"{}")
    (run,) = account(read(path), DELTA).runs
    assert (run.rounds, run.charges) == (2, 3)


def test_a_window_run_shows_both_epsilons(tmp_path: Path) -> None:
    (run,) = account(read(fill(tmp_path / "l.sqlite", ("1", WINDOW))), DELTA).runs
    assert run.epsilon_window == epsilon([(WINDOW, 10)], DELTA)
    assert run.epsilon_person == epsilon_participant([(WINDOW, 10)], DELTA)


def test_an_empty_ledger_has_spent_nothing(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.sqlite", "synth-a")
    found = account(read(tmp_path / "l.sqlite"), DELTA, Budget(3.0, DELTA))
    assert (found.epsilon_person, found.left, found.more_rounds) == (0.0, 3.0, None)
    assert "0 charges in 0 runs" in page(found)


def test_show_prints_every_ledger_of_a_folder_and_leaves_no_trace(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path.with_name("synth-b.sqlite"), ("1234567890", STRONG), site="synth-b")
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    status, out, _ = transecg(capsys, monkeypatch, "budget", "show", path.parent, "--max-epsilon", "6")
    assert status == 0
    for text in ("site synth-a, 6 charges in 3 runs", "site synth-b, 2 charges in 1 run", "12345678 ",
                 "more rounds of the last setting fit (5 steps", f"head {read(path).head}"):  # fmt: skip
        assert text in out
    assert f"person epsilon {epsilon([(STRONG, 20), (WEAK, 10)], DELTA):.3f} at delta 1e-05" in out
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()} == before


def test_show_takes_budget_and_delta_from_a_policy_file(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = path.with_name("policy.toml")
    policy.write_text("max-lifetime-epsilon = 9.0\nlifetime-delta = 1e-6\n")
    status, out, _ = transecg(capsys, monkeypatch, "budget", "show", path, "--policy", policy, "--json")
    (data,) = json.loads(out)
    assert status == 0
    assert (data["budget"], data["delta"]) == (9.0, 1e-6)
    assert data["epsilon_participant"] == epsilon([(STRONG, 20), (WEAK, 10)], 1e-6)


def test_verify_says_intact_or_one_line_and_status_1(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = fill(path.with_name("synth-b.sqlite"), ("1", STRONG), site="synth-b")
    head = read(path).head
    status, out, err = transecg(capsys, monkeypatch, "budget", "verify", path, "--head", head)
    assert (status, err) == (0, "")
    assert "intact; site synth-a, 6 charges" in out
    db = sqlite3.connect(spoilt)
    db.executescript("UPDATE charges SET steps = 1 WHERE number = 1")
    db.close()
    status, out, err = transecg(capsys, monkeypatch, "budget", "verify", path.parent)
    assert status == 1
    assert out.count(": intact;") == 1  # the others are verified all the same
    assert err.count("\n") == 1
    assert "synth-b.sqlite: charge 1 was altered" in err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--head", "0" * 63 + "1"), "the noted head 000000000000 is not in its chain"),
        (("--max-epsilon", "2"), "is over the budget of 2"),
    ],
)
def test_verify_compares_with_what_is_known_elsewhere(
    path: Path, words: tuple, match: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = transecg(capsys, monkeypatch, "budget", "verify", path, *words)
    assert status == 1
    assert match in err


def test_export_holds_every_charge_and_no_update(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = transecg(capsys, monkeypatch, "budget", "export", path)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == list(CHARGE_COLUMNS)
    charges = read(path).charges
    assert [(row["run"], row["chain"]) for row in rows] == [(c.key.run_id, c.chain) for c in charges]
    assert "secret" not in out
    _, out, _ = transecg(capsys, monkeypatch, "budget", "export", path, "--format", "json")
    assert [row["steps"] for row in json.loads(out)] == [5] * 6
    target = path.with_name("charges.csv")
    status, out, _ = transecg(capsys, monkeypatch, "budget", "export", path, "--out", target)
    assert (status, out) == (0, f"6 charges in {target}\n")
    status, _, err = transecg(capsys, monkeypatch, "budget", "export", path, "--out", target)
    assert status == 2
    assert "File exists; name a new file" in err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("show", "missing.sqlite"), "no such file or folder"),
        (("show", "."), "no *.sqlite in this folder; give the ledger itself"),
        (("verify", "run"), "no *.sqlite in this folder; it is a run's, whose ledgers are in run/ledger"),
        (("verify", "lasting"), "it is a run's, whose ledgers lie elsewhere"),
        (("verify", "a.txt"), "no ledger"),
        (("show", "l.sqlite", "--max-epsilon", "0"), "--max-epsilon 0: a positive number"),
        (("show", "l.sqlite", "--delta", "2"), "--delta 2: a number from 1e-10 to 1"),
        (
            ("show", "l.sqlite", "--policy", "p.toml", "--delta", "1e-6"),
            "--policy has its own budget and delta",
        ),
        (("show", "l.sqlite", "--policy", "p.toml"), "policy p.toml: No such file"),
        (("verify", "l.sqlite", "m.sqlite", "--head", "0"), "--head is one ledger's; 2 were given"),
    ],
)
def test_mistakes_get_one_line_and_make_no_file(
    tmp_path: Path,
    words: tuple,
    match: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("x" * 2000)
    Path("run/ledger").mkdir(parents=True)
    Path("lasting").mkdir()
    Path("lasting/report.json").write_text("{}")
    if "l.sqlite" in words:
        fill(Path("l.sqlite"), ("1", STRONG))
        fill(Path("m.sqlite"), ("1", STRONG))
    files = sorted(tmp_path.iterdir())
    status, out, err = transecg(capsys, monkeypatch, "budget", *words)
    assert status in (1, 2)
    assert out == ""
    assert match in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == files


def test_times_beyond_every_calendar_are_shown(tmp_path: Path) -> None:
    contents = read(fill(tmp_path / "l.sqlite", ("1", STRONG)))
    (first, last) = contents.charges
    odd = [Contents(contents.path, "synth-a", (first, last.__class__(**{**vars(last), "unix_time": 1e30})))]
    assert "unix 1e+30" in page(account(odd[0], DELTA))


def test_a_simulation_s_ledger_is_marked_wherever_its_epsilons_are_shown(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = Ledger(tmp_path / "simulated.sqlite", "synth-a", simulated=True)
    mechanism = Mechanism("participant", 0.5, 4.0, 48)
    simulated.charge(ReleaseKey("run", 1, "synth-a", "code", "w"), mechanism, 5, b"update")
    for command in ("show", "verify"):
        assert "protect nobody" in transecg(capsys, monkeypatch, "budget", command, simulated.path)[1]
        assert "protect nobody" not in transecg(capsys, monkeypatch, "budget", command, path)[1]
    assert "seeded: protects nobody" in transecg(capsys, monkeypatch, "budget", "export", simulated.path)[1]
    assert json.loads(transecg(capsys, monkeypatch, "budget", "show", simulated.path, "--json")[1])[0][
        "simulated_noise"
    ]
    with pytest.raises(UserError, match="never one file"):
        Ledger(simulated.path, "synth-a")
    with pytest.raises(UserError, match="never one file"):
        Ledger(path, "synth-a", simulated=True)
