"""Fetching from a server on loopback in PhysioNet's layout; the live site is never contacted."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
from physionet_server import FAST, Handler, Site, closes_after, get, published, serving
from typer.testing import CliRunner

from simulations import download, physionet
from simulations.commands.fetch import command
from simulations.fetch import fetch
from transecg_core.cohorts import READERS, open_reader
from transecg_core.cohorts.schema import SkipLog
from transecg_core.errors import UserError

REC = "Person_01/rec_1"


@pytest.mark.parametrize(("name", "files"), [("ecgiddb", 6), ("ptbxl", 6)])
def test_what_is_fetched_is_what_the_reader_reads(
    tmp_path: Path, unpinned: None, capsys: pytest.CaptureFixture[str], name: str, files: int
) -> None:
    with serving(published(tmp_path, name)) as site:
        target = get(site, tmp_path / "data", name)
        got = sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())
        assert len(got) == files
        for path in got:
            assert (target / path).read_bytes() == (site.folder / path).read_bytes()
        source = open_reader(name, target, name)
        assert len(list(source.read(SkipLog()))) == files // 2 - (name == "ptbxl")
        # Complete and right: nothing but the list is asked for again.
        before = len(site.requests)
        get(site, tmp_path / "data", name)
        assert [request.path for request in site.requests[before:]] == ["SHA256SUMS.txt"]
    said = capsys.readouterr()
    origin = READERS[name].origin
    assert origin is not None
    for part in (origin.licence, origin.licence_url, origin.version, f"{origin.megabytes:g} MB", origin.doi):
        assert part in said.out
    assert f"transecg inspect {target}" in said.out
    assert f"transecg run cohort=real data-root={tmp_path / 'data'}" in said.out
    assert said.err == ""  # no terminal, no bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    get(site, tmp_path)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "6/6" in shown
    megabytes = sum(path.stat().st_size for path in (tmp_path / "ecgiddb").rglob("rec_*")) / 1e6
    assert f"files, {megabytes:.1f} MB" in shown


def test_a_stopped_fetch_goes_on_next_time(tmp_path: Path, site: Site) -> None:
    size = (site.folder / f"{REC}.dat").stat().st_size
    site.faults[f"{REC}.dat"] = [closes_after(4000), *[closes_after(0)] * (FAST.attempts - 1)]
    with pytest.raises(UserError, match="run the command again to go on"):
        get(site, tmp_path)
    part = tmp_path / "ecgiddb" / f"{REC}.dat.part"
    assert part.stat().st_size == 4000
    site.requests.clear()
    get(site, tmp_path)
    (resumed,) = site.asked(f"{REC}.dat")
    assert (resumed.range, resumed.sent) == ("bytes=4000-", size - 4000)
    assert not part.exists()


def test_a_killed_fetch_goes_on_next_time(tmp_path: Path, site: Site) -> None:
    """A real process, killed in the middle of a file."""
    hold = threading.Event()

    def half(handler: Handler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:6000])
        handler.wfile.flush()
        hold.wait(20)
        handler.close_connection = True

    site.faults[f"{REC}.dat"] = [half]
    code = (
        "import dataclasses, sys; from pathlib import Path\n"
        "from simulations import physionet, fetch, download\n"
        "one = dataclasses.replace(physionet.SELECTIONS['ecgiddb'], pinned=None)\n"
        "physionet.SELECTIONS = fetch.SELECTIONS = {'ecgiddb': one}\n"
        "download.CHUNK = 1000\n"
        "fetch.fetch('ecgiddb', Path(sys.argv[1]), lambda _q: True, sys.argv[2])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), site.url], stdout=subprocess.DEVNULL
    )
    part = tmp_path / "ecgiddb" / f"{REC}.dat.part"
    try:
        for _ in range(600):
            if part.exists() and part.stat().st_size == 6000:
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        hold.set()
    assert part.stat().st_size == 6000
    assert not (tmp_path / "ecgiddb" / f"{REC}.dat").exists()
    site.requests.clear()
    get(site, tmp_path)
    (resumed,) = site.asked(f"{REC}.dat")
    assert resumed.range == "bytes=6000-"


def test_a_refused_licence_contacts_nobody(tmp_path: Path, site: Site) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(UserError, match="licence was not accepted; nothing was downloaded"):
        fetch("ecgiddb", tmp_path / "data", no, site.url, FAST)
    assert asked == ["Accept Open Data Commons Attribution License 1.0 and download?"]
    assert site.requests == []
    assert not (tmp_path / "data").exists()


def test_offline_is_one_line_that_says_where_from_and_where_to(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch("ecgiddb", tmp_path, lambda _q: True, "http://127.0.0.1:9/files/", FAST)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "can't be reached (",
        "refused",
        "https://physionet.org/content/ecgiddb/1.0.0/",
        f"put the files into {tmp_path / 'ecgiddb'}",
        str(tmp_path / "ecgiddb" / "Person_01" / "rec_1.hea"),
    ):
        assert part in message
    assert "0x" not in message  # no object addresses
    assert "HTTPConnection" not in message


def test_offline_files_put_there_by_hand_are_verified_by_the_pinned_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list must be the pinned one, and every file of it right; else the offline line stands."""
    by_hand = published(tmp_path, "ecgiddb")
    (tmp_path / "ecgiddb").mkdir(exist_ok=True)
    shutil.copytree(by_hand.folder, tmp_path / "ecgiddb", dirs_exist_ok=True)
    listed = by_hand.body("SHA256SUMS.txt")
    assert listed is not None
    (tmp_path / "ecgiddb" / "SHA256SUMS.txt").write_bytes(listed)

    def offline(pin: str | None) -> None:
        one = dataclasses.replace(physionet.SELECTIONS["ecgiddb"], pinned=None)
        pinned = dataclasses.replace(one, pinned=pin)
        monkeypatch.setattr(physionet, "SELECTIONS", {"ecgiddb": one})
        chosen = physionet.select("ecgiddb", listed)
        if pin == "right":
            pinned = dataclasses.replace(one, pinned=physionet.digest(chosen))
        monkeypatch.setattr(physionet, "SELECTIONS", {"ecgiddb": pinned})
        monkeypatch.setattr("simulations.fetch.SELECTIONS", {"ecgiddb": pinned})
        fetch("ecgiddb", tmp_path, lambda _q: True, "http://127.0.0.1:9/files/", FAST)

    offline("right")
    assert "every file here has the published SHA-256" in capsys.readouterr().out
    with pytest.raises(UserError, match="can't be reached"):
        offline(None)
    with pytest.raises(UserError, match=r"can't be reached .*not the one this version knows"):
        offline("0" * 64)
    record = tmp_path / "ecgiddb" / f"{REC}.dat"
    kept = record.rename(tmp_path / "kept")
    with pytest.raises(UserError, match=r"can't be reached .*files are missing there"):
        offline("right")
    kept.rename(record)
    record.write_bytes(record.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match=r"rec_1\.dat is not the published file"):
        offline("right")


def test_other_files_in_the_way_are_not_overwritten(tmp_path: Path, site: Site) -> None:
    mine = tmp_path / "ecgiddb" / f"{REC}.hea"
    mine.parent.mkdir(parents=True)
    mine.write_text("my own")
    with pytest.raises(UserError, match=r"rec_1\.hea is not the published file .*move it away"):
        get(site, tmp_path)
    assert mine.read_text() == "my own"


def test_links_out_of_the_folder_are_refused(tmp_path: Path, site: Site) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "ecgiddb").mkdir()
    (tmp_path / "ecgiddb" / "Person_01").symlink_to(outside)
    with pytest.raises(UserError, match="leads out of"):
        get(site, tmp_path)
    (tmp_path / "ecgiddb" / "Person_01").unlink()
    (tmp_path / "ecgiddb" / "Person_01").mkdir()
    (tmp_path / "ecgiddb" / f"{REC}.dat.part").symlink_to(outside / "caught")
    with pytest.raises(UserError, match=r"rec_1\.dat: can't be written"):
        get(site, tmp_path)
    assert list(outside.iterdir()) == []


def test_targets_that_cant_be_written_are_named(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't be written.*another --data-root"):
        get(site, tmp_path / "file")
    real = os.fdopen

    def full(descriptor: int, mode: str) -> object:
        handle = real(descriptor, mode)
        if mode != "wb":
            return handle

        class Full:
            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                handle.close()

            def write(self, _chunk: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    with monkeypatch.context() as patch:
        patch.setattr(download.os, "fdopen", full)
        with pytest.raises(UserError, match=r"Person_\d+/.*: can't be written \(No space left on device\)"):
            get(site, tmp_path / "full")
    get(site, tmp_path / "full")  # once there is room, it goes on
    monkeypatch.setattr(
        "simulations.fetch.shutil.disk_usage", lambda _p: type("Usage", (), {"free": 5_000_000})()
    )
    with pytest.raises(UserError, match=r"about 12.5 MB are needed, .* has 5 MB free"):
        get(site, tmp_path / "small")


def test_two_fetches_do_not_meet(tmp_path: Path, site: Site) -> None:
    met: list[str] = []

    def meanwhile(handler: Handler, body: bytes) -> None:
        try:
            get(site, tmp_path)
        except UserError as error:
            met.append(str(error))
        handler.serve(body)

    site.faults[f"{REC}.hea"] = [meanwhile]
    get(site, tmp_path)
    (message,) = met
    assert "another fetch is at work there" in message


def test_the_command(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(command)
    where = ["ecgiddb", "--data-root", str(tmp_path), "--base-url", site.url]
    refused = CliRunner().invoke(app, where)
    assert isinstance(refused.exception, UserError)
    assert "give --accept-licence" in str(refused.exception)
    assert site.requests == []
    done = CliRunner().invoke(app, [*where, "--accept-licence"])
    assert done.exit_code == 0
    assert "is complete in" in done.output
    unknown = CliRunner().invoke(app, ["mimic", "--accept-licence"])
    assert "no public dataset named 'mimic'; there are ecgiddb, ludb, mitdb, ptbxl, qtdb" in str(
        unknown.exception
    )
