"""What we take of each PhysioNet dataset, and what its list of checksums must be.

PhysioNet serves ``/files/<slug>/<version>/<path>`` and beside them ``SHA256SUMS.txt``: a line
``<sha256> <path>`` per file. The parts of the lists that we use are pinned by their own digest, so that a
dataset that changed under its version number is noticed; a pin covers the selected lines, sorted, and so is
indifferent to line ends and to files we don't read. PTB-XL's list isn't pinned: only its first 400 lines
were at hand. The pins were computed from copies of the lists
that other people had published with the data (QTDB's under its older name ``SHA256SUMS``), against whose sums the
files at hand are right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from transecg_core.cohorts.reader import Reader
from transecg_core.errors import UserError

LIST = "SHA256SUMS.txt"
MAX_LIST_BYTES = 32_000_000
MAX_FILES = 100_000

_LINE = re.compile(r"([0-9a-f]{64}) [ *]?(\S.*)")


class WrongList(UserError):
    """A list of checksums that is malformed, lacks what is needed, or isn't the pinned one."""


@dataclass(frozen=True)
class Selection:
    """Which files of a dataset are fetched.

    Attributes
    ----------
    wanted
        Matches their paths: what the reader reads, and the annotations that the benchmarks read.
    pinned
        `digest` of the selected lines of the list; None where it isn't known.
    needed
        Extensions without which a record can't be read.
    """

    wanted: re.Pattern[str]
    pinned: str | None
    needed: tuple[str, ...] = ("dat",)


SELECTIONS: Mapping[str, Selection] = {
    "ecgiddb": Selection(
        re.compile(r"Person_\d{2}/rec_\d{1,2}\.(hea|dat|atr)"),
        "faf2b5c4bff8f517a177d2afac997b6139a766b88e6f16946dfae99678e96a97",
    ),
    "ludb": Selection(
        re.compile(r"data/\d{1,3}\.(hea|dat|i|ii|iii|avr|avl|avf|v[1-6])"),
        "c8ba71934b3f7d474b1825043c4e4386e129545c53413566cbc1efc06fc90b1c",
    ),
    "mitdb": Selection(
        re.compile(r"\d{3}\.(hea|dat|atr)"),
        "da7faaeeb4f8d982fc86e4ca0cc684dc16dd13a964bf7107259d0300f51e0386",
        needed=("dat", "atr"),
    ),
    "ptbxl": Selection(
        re.compile(r"ptbxl_database\.csv|scp_statements\.csv|records100/\d{5}/\d{5}_lr\.(hea|dat)"),
        None,
    ),
    "qtdb": Selection(
        re.compile(r"sel[0-9e]{2,6}\.(hea|dat|atr|man|pu0|q1c|q2c)"),
        "bf4e299554860eb6abe3ef417f1bc409a6f666785ecb12547998e204025156c6",
    ),
}


def select(name: str, text: bytes) -> dict[str, str]:
    """Return path -> SHA-256 of the files to fetch, from a dataset's list.

    Raises
    ------
    WrongList
        If the list is malformed, names a file outside its folder, lists one twice or lists too many.
    """
    listed: dict[str, str] = {}
    for line in text.decode("utf-8", errors="replace").splitlines():
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None or not _local(match[2]):
            raise WrongList(f"{name}: {LIST} holds a line that is no checksum of a file of its own; refused")
        if listed.setdefault(match[2], match[1]) != match[1]:
            raise WrongList(f"{name}: {LIST} lists a file twice with two checksums; refused")
    wanted = SELECTIONS[name].wanted
    chosen = {path: listed[path] for path in sorted(listed) if wanted.fullmatch(path)}
    if len(chosen) > MAX_FILES:
        raise WrongList(f"{name}: {LIST} lists {len(chosen)} files; refused")
    return chosen


def check(name: str, chosen: Mapping[str, str], reader: Reader) -> None:
    """Refuse a list that lacks what the reader needs, or isn't the one that is pinned."""
    headers = [path.removesuffix(".hea") for path in chosen if path.endswith(".hea")]
    needed = [
        *reader.tables,
        *(f"{record}.{end}" for record in headers for end in SELECTIONS[name].needed),
    ]
    lacking = [path for path in needed if path not in chosen]
    if lacking or not headers:
        what = f"{len(lacking)} of the files its reader needs, first {lacking[0]}" if lacking else "records"
        raise WrongList(f"{name}: the server's {LIST} lacks {what}; {by_hand(reader)}")
    pinned = SELECTIONS[name].pinned
    if pinned is not None and digest(chosen) != pinned:
        raise WrongList(
            f"{name}: the server's {LIST} is not the one this version of transecg knows: "
            f"the dataset has changed, or it isn't PhysioNet's; {by_hand(reader)}"
        )


def by_hand(reader: Reader) -> str:
    """Return where a dataset can be got by hand."""
    origin = reader.origin
    where = f"{origin.url} (version {origin.version})" if origin is not None else "its publisher"
    return f"get it by hand from {where}"


def digest(chosen: Mapping[str, str]) -> str:
    """Return a SHA-256 over paths and checksums, sorted by path."""
    lines = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(chosen.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _local(path: str) -> bool:
    """Say whether a listed path stays below its folder, on any system."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") for part in parts) and path.isprintable()
    return plain and "\\" not in path and ":" not in path and len(path) <= 255
