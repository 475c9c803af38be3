"""The lists of checksums: hostile, incomplete, and the pinned ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PureWindowsPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from physionet_server import Site, get, published, serving

from simulations import physionet
from transecg_core.cohorts import READERS
from transecg_core.errors import UserError

REC = "Person_01/rec_1"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.dat",
        "/etc/evil",
        "Person_01/../../evil",
        "a\\..\\evil",
        "C:/evil",
        "a//b",
        "./a",
        "a\x1b[2J",
        "",
    ],
)
def test_a_list_that_leads_out_of_its_folder_is_refused(tmp_path: Path, site: Site, name: str) -> None:
    site.text = site.body("SHA256SUMS.txt").decode() + f"{'0' * 64} {name}\n"  # type: ignore[union-attr]
    with pytest.raises(UserError, match="holds a line that is no checksum of a file of its own; refused"):
        get(site, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@given(st.text(max_size=30) | st.text(alphabet="./\\:ab", max_size=12))
def test_whatever_a_list_may_name_stays_below_its_folder(path: str) -> None:
    root = Path("/data/set")
    if physionet._local(path):
        place = Path(os.path.normpath(root / path))
        assert place != root
        assert place.is_relative_to(root)
        assert not PureWindowsPath(path).drive


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(0, 15)), st.randoms())
def test_a_pin_holds_whatever_the_order_and_line_ends(files: dict[str, int], random: Random) -> None:
    listed = {f"data/{k}.hea": f"{value:x}" * 64 for k, value in enumerate(files.values())}
    lines = [f"{sha256} {path}" for path, sha256 in listed.items()] + [f"{'0' * 64}  README"]
    random.shuffle(lines)
    for end in ("\n", "\r\n"):
        assert physionet.digest(physionet.select("ludb", end.join(lines).encode())) == physionet.digest(
            listed
        )


def test_lists_that_lack_or_contradict_are_refused(tmp_path: Path, site: Site) -> None:
    whole = site.body("SHA256SUMS.txt").decode()  # type: ignore[union-attr]
    for text, says in (
        (
            "".join(line for line in whole.splitlines(True) if "rec_1.dat" not in line),
            r"lacks 2 of the files",
        ),
        ("", "lacks records"),
        (whole + f"{'0' * 64} {REC}.dat\n", "lists a file twice"),
    ):
        site.text = text
        with pytest.raises(UserError, match=says):
            get(site, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_table_that_names_files_the_list_lacks_is_named(tmp_path: Path, unpinned: None) -> None:
    with serving(published(tmp_path, "ptbxl")) as site:
        for ending in ("hea", "dat"):
            (site.folder / f"records100/00000/00002_lr.{ending}").unlink()
        with pytest.raises(UserError, match=r"lacks 2 files that its own table names, first .*00002_lr\.hea"):
            get(site, tmp_path / "data", "ptbxl")


def test_pins(tmp_path: Path) -> None:
    """What isn't the pinned dataset is refused; each pin but PTB-XL's is there."""
    assert {name for name, one in physionet.SELECTIONS.items() if one.pinned is None} == {"ptbxl"}
    assert set(physionet.SELECTIONS) == {
        name for name, reader in READERS.items() if reader.origin is not None
    }
    with (
        serving(published(tmp_path, "ecgiddb")) as site,
        pytest.raises(UserError, match=r"is not the one this version of transecg knows.*get it by hand"),
    ):
        get(site, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.real
@pytest.mark.parametrize("name", ["ecgiddb", "ludb", "mitdb", "qtdb"])
def test_the_pins_are_the_published_lists(data_root: Path, name: str) -> None:
    (listing,) = (data_root / name).glob("SHA256SUMS*")
    chosen = physionet.select(name, listing.read_bytes())
    physionet.check(name, chosen, READERS[name])
    here = [path for path in chosen if (data_root / name / path).is_file()]
    assert len(here) > 100
    for path in here:
        assert hashlib.sha256((data_root / name / path).read_bytes()).hexdigest() == chosen[path]
