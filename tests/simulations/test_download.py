"""What a server may do to a download; each case runs a whole fetch against one that does it."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest
from physionet_server import FAST, Handler, Site, answers, closes_after, get, published, sends, serving

from simulations.download import Client
from transecg_core.errors import UserError

REC = "Person_01/rec_1"


def test_a_broken_connection_goes_on_where_it_was(tmp_path: Path, site: Site) -> None:
    size = (site.folder / f"{REC}.dat").stat().st_size
    site.faults[f"{REC}.dat"] = [closes_after(4000), closes_after(1000)]
    target = get(site, tmp_path)
    first, second, third = site.asked(f"{REC}.dat")
    assert (first.range, second.range, third.range) == (None, "bytes=4000-", "bytes=5000-")
    assert (first.sent, second.sent, third.sent) == (4000, 1000, size - 5000)
    assert not list(target.rglob("*.part"))


def test_without_ranges_a_file_starts_again(tmp_path: Path, site: Site) -> None:
    size = (site.folder / f"{REC}.dat").stat().st_size
    site.ranges = False
    site.faults[f"{REC}.dat"] = [closes_after(4000)]
    target = get(site, tmp_path)
    assert [request.sent for request in site.asked(f"{REC}.dat")] == [4000, size]
    assert (target / f"{REC}.dat").stat().st_size == size


def test_a_part_longer_than_the_file_starts_again(tmp_path: Path, site: Site) -> None:
    part = tmp_path / "ecgiddb" / f"{REC}.dat.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1_000_000)
    get(site, tmp_path)
    assert [request.range for request in site.asked(f"{REC}.dat")] == ["bytes=1000000-", None]


def test_a_finished_part_is_only_moved(tmp_path: Path, site: Site) -> None:
    part = tmp_path / "ecgiddb" / f"{REC}.dat.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((site.folder / f"{REC}.dat").read_bytes())
    get(site, tmp_path)
    assert site.asked(f"{REC}.dat") == []
    assert not part.exists()


def test_a_wrong_sum_is_named_and_the_file_removed(tmp_path: Path, site: Site) -> None:
    size = (site.folder / f"{REC}.dat").stat().st_size
    site.faults[f"{REC}.dat"] = [sends(b"x" * size)]
    with pytest.raises(UserError, match=rf"{REC}\.dat: its SHA-256 is not .* removed: run the command again"):
        get(site, tmp_path)
    assert not list((tmp_path / "ecgiddb" / "Person_01").glob("rec_1.dat*"))
    get(site, tmp_path)  # the remedy works


def test_a_size_that_changes_between_two_tries_is_an_error(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.dat"] = [closes_after(4000), sends(b"y" * 9000)]
    with pytest.raises(UserError, match=rf"{REC}\.dat: changed its size .*9000 and \d+ bytes"):
        get(site, tmp_path)
    assert not (tmp_path / "ecgiddb" / f"{REC}.dat").exists()


def test_another_host_is_refused_and_not_contacted(tmp_path: Path, site: Site) -> None:
    with serving(published(tmp_path / "other", "ecgiddb")) as other:
        there = other.url + site.prefix.removeprefix("/files/")
        site.faults[f"{REC}.dat"] = [answers(302, Location=f"{there}{REC}.dat")]
        with pytest.raises(UserError, match=rf"{REC}\.dat: the server sends us to another host; refused"):
            get(site, tmp_path)
        site.faults["SHA256SUMS.txt"] = [answers(301, Location="https://example.org/SHA256SUMS.txt")]
        with pytest.raises(UserError, match="another host; refused"):
            get(site, tmp_path)
        assert other.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http://evil\x1bc/x",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:abc/",
        "http://[::1",
        "//\x9b/",
        "\x1b[2J",
    ],
)
def test_whatever_a_redirect_says_ends_in_one_plain_line(tmp_path: Path, site: Site, location: str) -> None:
    site.faults["SHA256SUMS.txt"] = [answers(302, Location=location)] * 9
    with pytest.raises(UserError) as caught:
        get(site, tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("url", ["http://x:99999/", "http://[::1", "http://x:abc/", "ftp://x/", "x"])
def test_no_address_no_client(url: str) -> None:
    with pytest.raises(UserError, match="not an http"):
        Client(url, FAST)


def test_redirects_on_the_host_are_followed_but_not_for_ever(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.dat"] = [answers(302, Location=f"{site.prefix}{REC}.dat")]
    get(site, tmp_path / "one")
    site.faults[f"{REC}.dat"] = [answers(302, Location=f"{site.prefix}{REC}.dat")] * 9
    with pytest.raises(UserError, match="more than 5 redirects"):
        get(site, tmp_path / "two")


def test_absurd_sizes_are_refused_before_they_are_taken(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.dat"] = [answers(200, Content_Length=str(10**12))]
    with pytest.raises(
        UserError, match=rf"{REC}\.dat: 1000000000000 bytes, far more than this dataset holds"
    ):
        get(site, tmp_path / "one")
    site.faults["SHA256SUMS.txt"] = [answers(200, Content_Length=str(10**12))]
    with pytest.raises(UserError, match=r"SHA256SUMS\.txt: 1000000000000 bytes, more than"):
        get(site, tmp_path / "two")
    with pytest.raises(UserError, match="than this dataset holds"):
        get(site, tmp_path / "three", limits=dataclasses.replace(FAST, total_bytes=15_000))


def test_an_endless_body_is_cut(tmp_path: Path, site: Site) -> None:
    def endless(handler: Handler, _body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for _ in range(2000):
                handler.wfile.write(b"10000\r\n" + b"z" * 65536 + b"\r\n")
        except OSError:
            handler.close_connection = True

    site.faults[f"{REC}.dat"] = [endless]
    with pytest.raises(UserError, match="more bytes than this dataset holds"):
        get(site, tmp_path / "one", limits=dataclasses.replace(FAST, file_bytes=1_000_000))
    assert (tmp_path / "one" / "ecgiddb" / f"{REC}.dat.part").stat().st_size <= 1_000_000


def test_busy_servers_are_asked_again_but_not_for_ever(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.hea"] = [answers(503), answers(429)]
    get(site, tmp_path / "one")
    site.faults[f"{REC}.hea"] = [answers(503)] * 9
    with pytest.raises(UserError, match=r"can't be reached \(the server answers 503\)"):
        get(site, tmp_path / "two")
    assert len(site.faults[f"{REC}.hea"]) == 9 - FAST.attempts
    site.faults[f"{REC}.hea"] = [answers(403)] * 9
    with pytest.raises(UserError, match="the server answers 403; get the dataset by hand"):
        get(site, tmp_path / "three")
    assert len(site.faults[f"{REC}.hea"]) == 8


@pytest.mark.parametrize("limits", [{"read_s": 0.3}, {"attempt_s": 0.3}])
def test_a_server_that_trickles_or_hangs_is_left(
    tmp_path: Path, site: Site, limits: dict[str, float]
) -> None:
    done = threading.Event()

    def hang(handler: Handler, _body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"z" * (0 if "read_s" in limits else 70_000))
                handler.wfile.flush()
                if done.wait(0.4):
                    break
        except OSError:
            pass
        handler.close_connection = True

    site.faults[f"{REC}.dat"] = [hang] * FAST.attempts
    start = time.monotonic()
    with pytest.raises(UserError, match="can't be reached"):
        get(site, tmp_path, limits=dataclasses.replace(FAST, **limits))
    done.set()
    assert time.monotonic() - start < 6


def test_a_range_that_was_not_asked_for_is_refused(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.dat"] = [
        closes_after(4000),
        lambda handler, body: handler.answer(
            206, body[9:], {"Content-Range": f"bytes 9-{len(body) - 1}/{len(body)}"}
        ),
    ]
    with pytest.raises(UserError, match="sends another part of the file than was asked for"):
        get(site, tmp_path)


def test_a_compressed_answer_is_refused(tmp_path: Path, site: Site) -> None:
    site.faults[f"{REC}.dat"] = [answers(200, Content_Encoding="gzip")]
    with pytest.raises(UserError, match="sends it compressed"):
        get(site, tmp_path)
