"""Files that can't be a ledger, or can't be one now: one line each, and every byte as it was."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from client import ledger_file
from client.ledger import Ledger, ReleaseKey, read, verify
from transecg_core.errors import UserError
from transecg_core.privacy.accounting import Mechanism

ROOT = Path(__file__).resolve().parents[2]
PERSON = Mechanism("participant", 0.5, 4.0, 48)
KEY = ReleaseKey("run", 1, "synth-a", "code", "w0")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.sqlite", "synth-a")
    made.charge(KEY, PERSON, 40, b"u" * 20_000)
    return made


def refused(path: Path, match: str) -> None:
    """Writing and reading say in one line what is wrong."""
    for ask in (lambda: Ledger(path, "synth-a"), lambda: read(path), lambda: verify(path)):
        with pytest.raises(UserError, match=match) as error:
            ask()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        if "restore a backup" in str(error.value):  # an older one would forget charges
            assert "`transecg budget verify --head HASH` accepts" in str(error.value)
            assert "if charges are missing from it, stop using this ledger" in str(error.value)


@pytest.mark.parametrize("content", [b"not a database" * 100, b""], ids=["text", "empty"])
def test_a_file_that_is_no_ledger_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    refused(tmp_path / "other", "no ledger|empty")
    assert (tmp_path / "other").read_bytes() == content


def test_somebody_else_s_database_stays_as_it_is(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "theirs.sqlite")
    db.executescript("CREATE TABLE patients (name TEXT); INSERT INTO patients VALUES ('x')")
    db.close()
    before = (tmp_path / "theirs.sqlite").read_bytes()
    refused(tmp_path / "theirs.sqlite", "this database is no ledger")
    assert (tmp_path / "theirs.sqlite").read_bytes() == before


def test_a_ledger_of_other_software_is_left_to_it(ledger: Ledger) -> None:
    db = sqlite3.connect(ledger.path)
    db.executescript("UPDATE about SET value = '2' WHERE key = 'version'")
    db.close()
    refused(ledger.path, "its version is '2'")


def test_a_folder_that_is_missing_or_in_the_way(tmp_path: Path) -> None:
    refused(tmp_path, "ledger")
    refused(tmp_path / "missing" / "ledger.sqlite", "existing folder|no such file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "dangling", "ledger")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling"]


@pytest.mark.parametrize("left", [0, 100, 4096, 12_288, -4096, -1])
def test_a_truncated_ledger_is_refused_and_not_begun_anew(ledger: Ledger, left: int) -> None:
    data = ledger.path.read_bytes()[:left]
    ledger.path.write_bytes(data)
    refused(ledger.path, "damaged|empty|no ledger")
    assert ledger.path.read_bytes() == data


def test_a_locked_ledger_is_refused_after_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "WAIT_S", 0.1)
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        refused(ledger.path, "locked; another process holds it")
        with pytest.raises(UserError, match="another process holds it"):
            ledger.charge(KEY._replace(round=2), PERSON, 40, b"u")
    finally:
        holder.close()
    assert len(verify(ledger.path)[0].charges) == 1


AS_NOBODY = """
import os, sys
from pathlib import Path
from client.ledger import Ledger, read
from transecg_core.errors import UserError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    Ledger(Path(sys.argv[1]), "synth-a")
except UserError as error:
    print(error)
print(len(read(Path(sys.argv[1])).charges))
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_ledger_is_refused_before_training_and_can_be_read(what: str) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are closed to other users
    try:
        path = folder / "ledger.sqlite"
        Ledger(path, "synth-a").charge(KEY, PERSON, 40, b"u")
        before = path.read_bytes()
        path.chmod(0o444 if what == "file" else 0o666)
        folder.chmod(0o777 if what == "file" else 0o555)
        said = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(said) == 2
        assert "writable" in said[0] or "may write" in said[0]
        assert said[1] == "1"
        assert path.read_bytes() == before
        assert [p.name for p in folder.iterdir()] == ["ledger.sqlite"]
    finally:
        folder.chmod(0o777)
        shutil.rmtree(folder)


def test_reading_makes_and_changes_nothing(ledger: Ledger) -> None:
    before, found = ledger.path.read_bytes(), ledger.path.stat()
    read(ledger.path)
    verify(ledger.path)
    assert ledger.path.read_bytes() == before
    assert ledger.path.stat().st_mtime_ns == found.st_mtime_ns
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.sqlite"]
    with pytest.raises(UserError, match="no such file"):
        read(ledger.path.with_name("typo.sqlite"))
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.sqlite"]


def test_opening_alone_changes_no_byte(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    Ledger(ledger.path, "synth-a")
    assert ledger.path.read_bytes() == before
    assert ledger.path.stat().st_mode & 0o077 == 0  # stored updates may hold a head that names people


KILLED = """
import os, signal, sys
from pathlib import Path
from client import ledger_file
with ledger_file.writing(Path(sys.argv[1])) as db:
    db.execute("PRAGMA cache_size = 1")  # pages must reach the file before the commit
    db.execute("DELETE FROM updates")
    db.execute("UPDATE charges SET steps = 1")
    for number in range(2, 60):
        db.execute("INSERT INTO about VALUES (?, ?)", (f"filler {number}", "x" * 4000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_killed_mid_transaction_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    """The journal of the interrupted commit is hot: a reader that may not write undoes it in a copy."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(ledger.path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    journal = ledger.path.with_name(ledger.path.name + "-journal")
    spoilt = ledger.path.read_bytes()
    assert journal.stat().st_size > 0
    assert [charge.steps for charge in verify(ledger.path)[0].charges] == [40]
    assert ledger.path.read_bytes() == spoilt
    assert journal.exists()
    again = Ledger(ledger.path, "synth-a")  # a writer undoes it for good
    assert not journal.exists()
    assert again.lookup(KEY) == b"u" * 20_000
    again.charge(KEY._replace(round=2), PERSON, 40, b"u")
    assert len(verify(ledger.path)[0].charges) == 2


def test_a_reader_that_copies_while_a_writer_mends_and_charges_sees_the_charge(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old journal applied to a newer file would undo a commit that stands."""
    subprocess.run([sys.executable, "-c", KILLED, str(ledger.path)], cwd=ROOT)
    copyfile, copies = shutil.copyfile, []

    def overtaken(source: Path, target: Path) -> None:
        if source == ledger.path and not copies:
            copies.append(target)
            Ledger(ledger.path, "synth-a").charge(KEY._replace(round=2), PERSON, 40, b"u")
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    assert [charge.key.round for charge in verify(ledger.path)[0].charges] == [1, 2]
    assert len(copies) == 1


TWO = """
import sys
from pathlib import Path
from client.ledger import Budget, Ledger, Overspend, ReleaseKey
from transecg_core.privacy.accounting import Mechanism, epsilon
person, run = Mechanism("participant", 0.5, 4.0, 48), sys.argv[2]
budget = Budget(epsilon([(person, 50)], 1e-5), 1e-5)
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 5):
    key = ReleaseKey(run, number, "synth-a", "code", "w")
    try:
        Ledger(Path(sys.argv[1]), "synth-a").charge(key, person, 10, b"u", [budget])
    except Overspend:
        print("refused", flush=True)
"""


def test_two_runs_on_one_ledger_at_once_lose_no_charge_and_never_overspend(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"  # both make it, too
    runs = [
        subprocess.Popen([sys.executable, "-c", TWO, str(path), run], cwd=ROOT, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for run in ("one", "two")
    ]  # fmt: skip
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("\n")
        run.stdin.flush()
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    charges = verify(path)[0].charges
    assert len(charges) == 5
    assert sum(text.count("refused") for text in said) == 3
    assert len({charge.key for charge in charges}) == 5


def test_of_two_that_make_a_ledger_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    assert ledger_file.create(path, "synth-a", "unseeded")
    assert not ledger_file.create(path, "synth-b", "unseeded")
    assert read(path).site == "synth-a"
    assert os.listdir(tmp_path) == ["ledger.sqlite"]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Record, of every `os.fsync`: which inode, and whether a folder."""
    seen: list[tuple[int, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        found = os.fstat(descriptor)
        seen.append((found.st_ino, stat.S_ISDIR(found.st_mode)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return seen


def test_a_new_ledger_s_name_is_on_disk_before_anything_is_charged(
    tmp_path: Path, synced: list[tuple[int, bool]]
) -> None:
    ledger_file.create(tmp_path / "ledger.sqlite", "synth-a", "unseeded")
    assert synced == [(tmp_path.stat().st_ino, True)]


def test_a_commit_syncs_the_folder_from_which_the_journal_went(ledger: Ledger) -> None:
    """FULL (2) leaves the journal's removal in memory: a power cut would undo a commit that was acted on."""
    with ledger_file.writing(ledger.path) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (3,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
