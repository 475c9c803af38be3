"""Files over HTTP: resumed where they stopped, kept only when their checksum is right.

Why not ``wfdb.dl_files`` or ``wfdb.dl_database``: they follow redirects to any host, check no
checksum, take a file of the right size for a good one, wait without a limit and write in place. They
can't be told otherwise, so the requests package that they use themselves is used here directly.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from transecg_core.errors import UserError

T = TypeVar("T")
CHUNK = 65_536
MAX_REDIRECTS = 5
RETRIED = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Limits:
    """How long to wait, how often to try, and how much to take.

    Attributes
    ----------
    connect_s, read_s
        Longest wait for a connection, and for the next bytes.
    attempt_s
        Longest one request may take, however steadily bytes trickle in.
    attempts
        Tries per file; the waits between them double from `backoff_s`.
    file_bytes, total_bytes
        Most of one file, and of all.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    attempt_s: float = 600.0
    attempts: int = 5
    backoff_s: float = 0.5
    file_bytes: int = 100_000_000
    total_bytes: int = 10_000_000_000


class Unreachable(Exception):
    """The server didn't answer, or not to the end, however often it was asked."""


class Stopped(Exception):
    """Another file failed, so this one was left where it was."""


class _Transient(Exception):
    """One try failed; another may not."""


class _Session(requests.Session):
    """Leaves redirects to us: preparing the next request, requests trips over hostile ones and leaks the socket."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: nothing to prepare."""
        return None


class Client:
    """Gets files below one URL of one host; used by several threads at once.

    Parameters
    ----------
    base_url
        The folder; nothing outside its scheme, host and port is contacted.
    limits
        Bounds on time, tries and sizes.
    """

    def __init__(self, base_url: str, limits: Limits) -> None:
        self.base_url, self.limits = base_url.rstrip("/") + "/", limits
        self.stop = threading.Event()
        try:
            self._host = _host(self.base_url)
        except ValueError:
            raise UserError(f"base-url={base_url}: not an http(s) address of a folder") from None
        if self._host[0] not in ("http", "https") or not self._host[1]:
            raise UserError(f"base-url={base_url}: not an http(s) address of a folder")
        self._local, self._lock, self._received = threading.local(), threading.Lock(), 0
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Close every thread's connection."""
        for session in self._sessions:
            session.close()

    def read(self, path: str, most: int) -> bytes:
        """Return a small file's content.

        Raises
        ------
        Unreachable
            After the last try.
        UserError
            If it is missing, longer than `most`, or elsewhere.
        """
        return self._retry(lambda: self._read(path, most))

    def download(
        self, path: str, sha256: str, target: Path, progress: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        """Put a file into place once its checksum is right, going on with what ``target.part`` holds.

        Raises
        ------
        Unreachable
            After the last try; what came is kept in ``target.part``.
        UserError
            If the server's file is missing, has another checksum (it is removed), changed its size
            between two tries, is too large or elsewhere, or can't be written.
        """
        part = target.with_name(f"{target.name}.part")
        try:
            if part.is_symlink() or not part.is_file() or sha256_of(part) != sha256:
                sizes: set[int] = set()
                self._retry(lambda: self._continue(path, part, sizes, progress))
                if sha256_of(part) != sha256:
                    part.unlink()
                    raise UserError(
                        f"{path}: its SHA-256 is not the one in the dataset's list; the file was removed: "
                        "run the command again, and if it stays so get the file by hand"
                    )
            part.replace(target)
        except OSError as error:
            raise UserError(f"{target}: can't be written ({error.strerror or error})") from None

    def _retry(self, attempt: Callable[[], T]) -> T:
        for tries in range(1, self.limits.attempts + 1):
            try:
                return attempt()
            except _Transient as error:
                if tries == self.limits.attempts:
                    raise Unreachable(str(error)) from None
            if self.stop.wait(self.limits.backoff_s * 2 ** (tries - 1)):
                raise Stopped
        raise Unreachable("no try was allowed")

    def _read(self, path: str, most: int) -> bytes:
        with self._get(path, {}) as response:
            total = _extent(response, 0, path)[1]
            if total is not None and total > most:
                raise UserError(f"{path}: {total} bytes, more than the {most} accepted")
            content = b""
            for chunk in self._chunks(response):
                content += chunk
                if len(content) > most:
                    raise UserError(f"{path}: more than the {most} bytes accepted")
        return content

    def _continue(self, path: str, part: Path, sizes: set[int], progress: Callable[[int], None]) -> None:
        have = part.stat().st_size if part.exists() else 0
        with self._get(path, {"Range": f"bytes={have}-"} if have else {}) as response:
            if response.status_code == 416:
                # What we hold is no opening of the server's file.
                part.unlink()
                raise _Transient("the file is shorter than what was got before")
            start, total = _extent(response, have, path)
            self._accept(path, start, total, sizes)
            # Never through a link: the name beside the target is ours alone.
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if start else os.O_TRUNC)
            size = start
            with os.fdopen(os.open(part, flags, 0o644), "wb") as handle:
                for chunk in self._chunks(response):
                    size += len(chunk)
                    self._count(path, len(chunk), size)
                    handle.write(chunk)
                    handle.flush()
                    progress(len(chunk))
        if total is not None and size != total:
            raise _Transient(f"{size} of {total} bytes came")

    def _accept(self, path: str, start: int, total: int | None, sizes: set[int]) -> None:
        if total is None:
            return
        sizes.add(total)
        if len(sizes) > 1:
            raise UserError(
                f"{path}: changed its size on the server between two tries "
                f"({' and '.join(str(size) for size in sorted(sizes))} bytes); run the command again later"
            )
        with self._lock:
            room = self.limits.total_bytes - self._received
        if total > self.limits.file_bytes or total - start > room:
            raise UserError(f"{path}: {total} bytes, far more than this dataset holds; refused")

    def _count(self, path: str, came: int, size: int) -> None:
        with self._lock:
            self._received += came
            total = self._received
        if size > self.limits.file_bytes or total > self.limits.total_bytes:
            raise UserError(f"{path}: more bytes than this dataset holds; refused")

    def _get(self, path: str, headers: dict[str, str]) -> requests.Response:
        if self.stop.is_set():
            raise Stopped
        url = urljoin(self.base_url, quote(path))
        timeout = (self.limits.connect_s, self.limits.read_s)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._session().get(
                    url, headers=headers, stream=True, allow_redirects=False, timeout=timeout
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                raise _Transient(_why(error)) from None
            except (requests.RequestException, ValueError) as error:
                raise UserError(f"{path}: can't be asked for ({type(error).__name__})") from None
            if not response.is_redirect:
                return _answered(response, path)
            response.close()
            url = self._same_host(url, response.headers["location"], path)
        raise UserError(f"{path}: more than {MAX_REDIRECTS} redirects; refused")

    def _same_host(self, url: str, location: str, path: str) -> str:
        """Return where a redirect leads, if that is on our host; what the server wrote is not repeated."""
        try:
            target = urljoin(url, location)
            same = _host(target) == self._host
        except ValueError:
            same = False
        if not same:
            raise UserError(f"{path}: the server sends us to another host; refused")
        return target

    def _session(self) -> requests.Session:
        """Return this thread's session: one connection, kept open."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = _Session()
            # Ranges count the file's own bytes, not compressed ones.
            session.headers.update({"Accept-Encoding": "identity", "User-Agent": "transecg"})
            self._local.session = session
            self._sessions.append(session)
        return session

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        last = time.monotonic() + self.limits.attempt_s
        try:
            # read1: what has come so far; `iter_content` would lose a chunk that is cut short.
            while chunk := response.raw.read1(CHUNK):
                if self.stop.is_set():
                    raise Stopped
                yield chunk
                if time.monotonic() > last:
                    raise _Transient(f"not done after {self.limits.attempt_s:g} s")
        except HTTPError as error:
            raise _Transient(_why(error)) from None


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _answered(response: requests.Response, path: str) -> requests.Response:
    status = response.status_code
    if status in (200, 206, 416) and response.headers.get("content-encoding", "identity") == "identity":
        return response
    response.close()
    if status in RETRIED:
        raise _Transient(f"the server answers {status}")
    why = f"the server answers {status}" if status not in (200, 206) else "the server sends it compressed"
    raise UserError(f"{path}: {why}; get the dataset by hand")


def _extent(response: requests.Response, have: int, path: str) -> tuple[int, int | None]:
    """Return where the body starts in the file, and the file's size if the server says it."""
    if response.status_code == 206:
        match = re.fullmatch(
            r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})", response.headers.get("content-range", "")
        )
        if have == 0 or match is None or int(match[1]) != have:
            raise UserError(f"{path}: the server sends another part of the file than was asked for; refused")
        return have, int(match[2])
    length = response.headers.get("content-length", "")
    return 0, int(length) if re.fullmatch(r"\d{1,15}", length) else None


def _why(error: Exception) -> str:
    """Return the innermost reason: requests wraps urllib3 wraps the system's."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args or (None,))[-1], Exception):
        error = inner
    # Neither the address of an object nor the host again: the message that this goes into names it.
    return (
        re.sub(r"<[^>]*>:?\s*|\bHTTPS?Connection(Pool)?\([^)]*\):\s*", "", str(error)) or type(error).__name__
    )
