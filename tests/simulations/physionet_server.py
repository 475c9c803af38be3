"""A server in PhysioNet's layout, on loopback, that can misbehave in every way we know; tiny datasets for it."""

from __future__ import annotations

import csv
import hashlib
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import wfdb

from simulations.download import Limits
from simulations.fetch import fetch
from transecg_core.cohorts import READERS

FAST = Limits(connect_s=2, read_s=2, attempts=3, backoff_s=0.01, total_bytes=10_000_000)


@dataclass
class Request:
    """What was asked, and how many bytes of a body were sent."""

    path: str
    range: str | None
    sent: int = 0


@dataclass
class Site:
    """A folder served below ``/files/<slug>/<version>/``, and what is to go wrong.

    ``faults`` holds, per path, what happens to the next requests of it, one by one; then all is well.
    """

    folder: Path
    prefix: str
    ranges: bool = True
    listed: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    faults: dict[str, list[Callable[[Handler, bytes], None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def body(self, path: str) -> bytes | None:
        """Return a file's content; the list of checksums is made of the folder unless it is given."""
        if path == "SHA256SUMS.txt":
            if self.text is not None:
                return self.text.encode()
            return "".join(f"{self.sums()[name]} {name}\n" for name in sorted(self.sums())).encode()
        place = self.folder / path
        return place.read_bytes() if place.is_file() else None

    def sums(self) -> dict[str, str]:
        files = [place for place in self.folder.rglob("*") if place.is_file()]
        real = {
            place.relative_to(self.folder).as_posix(): hashlib.sha256(place.read_bytes()).hexdigest()
            for place in files
        }
        return {**real, **self.listed}

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site
    request_made: Request

    def log_message(self, *_args: object) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        path = self.path.removeprefix(self.site.prefix)
        self.request_made = Request(path, self.headers["Range"])
        self.site.requests.append(self.request_made)
        body = self.site.body(path)
        if body is None or not self.path.startswith(self.site.prefix):
            self.answer(404, b"")
        elif self.site.faults[path]:
            self.site.faults[path].pop(0)(self, body)
        else:
            self.serve(body)

    def serve(self, body: bytes, stop_after: int | None = None) -> None:
        """Send the file, or the range asked for; close the connection after `stop_after` bytes."""
        start, asked = 0, self.headers["Range"]
        if asked and self.site.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            extent = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            self.answer(206, body[start:], extent, stop_after)
        else:
            self.answer(200, body, {}, stop_after)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, stop_after: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        sent = body if stop_after is None else body[:stop_after]
        self.request_made.sent = len(sent)
        self.wfile.write(sent)
        self.wfile.flush()
        if stop_after is not None:
            self.close_connection = True


def closes_after(count: int) -> Callable[[Handler, bytes], None]:
    return lambda handler, body: handler.serve(body, stop_after=count)


def answers(status: int, **headers: str) -> Callable[[Handler, bytes], None]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler, _body: handler.answer(status, b"", named)


def sends(other: bytes) -> Callable[[Handler, bytes], None]:
    return lambda handler, _body: handler.serve(other)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve until the block ends; `site.url` is its ``/files/``."""
    server = Quiet(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}/files/"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_record(folder: Path, name: str, leads: tuple[str, ...], fs: int, *comments: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    t_T = np.arange(10 * fs) / fs
    x_T = sum(np.exp(-0.5 * ((t_T - at) / 0.012) ** 2) for at in np.arange(0.5, 10, 0.8))
    x_T = x_T + 0.01 * np.random.default_rng(zlib.crc32((folder.name + name).encode())).standard_normal(
        t_T.size
    )
    wfdb.wrsamp(
        name, fs=fs, units=["mV"] * len(leads), sig_name=list(leads), p_signal=np.stack([x_T] * len(leads), 1),
        fmt=["16"] * len(leads), comments=list(comments), write_dir=str(folder),
    )  # fmt: skip


def ecgiddb(root: Path) -> None:
    for person, record, day in ((1, 1, "07.12.2004"), (1, 2, "03.02.2005"), (2, 1, "01.01.2005")):
        about = ("Age: 25", "Sex: male", f"ECG date: {day}")
        write_record(root / f"Person_{person:02d}", f"rec_{record}", ("ECG I",), 500, *about)
    (root / "biometric.shtml").write_text("an old page that nobody reads")


def ptbxl(root: Path) -> None:
    columns = ["ecg_id", "patient_id", "age", "sex", "recording_date", "scp_codes", "filename_lr"]
    with (root / "ptbxl_database.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(columns)
        for k in (1, 2):
            write_record(root / "records100" / "00000", f"{k:05d}_lr", ("I", "II"), 100)
            write_record(root / "records500" / "00000", f"{k:05d}_hr", ("I", "II"), 500)
            row = (k, 15709.0 + k, 56.0, 1, f"1984-11-0{k} 09:17:34", "{'NORM': 100.0}")
            table.writerow([*row, f"records100/00000/{k:05d}_lr"])
    (root / "scp_statements.csv").write_text(",diagnostic,diagnostic_class\nNORM,1.0,NORM\n")


MAKE: dict[str, Callable[[Path], None]] = {"ecgiddb": ecgiddb, "ptbxl": ptbxl}


def published(tmp_path: Path, name: str) -> Site:
    origin = READERS[name].origin
    assert origin is not None
    folder = tmp_path / "published" / name
    folder.mkdir(parents=True)
    MAKE[name](folder)
    return Site(folder, f"/files/{origin.slug}/{origin.version}/")


def get(site: Site, root: Path, name: str = "ecgiddb", limits: Limits = FAST) -> Path:
    return fetch(name, root, lambda _question: True, site.url, limits)
