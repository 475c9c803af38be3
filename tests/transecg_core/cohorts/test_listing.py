import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts import listing
from transecg_core.cohorts.leads import UnsafeRecord
from transecg_core.cohorts.listing import MAX_DEPTH, Named, locate, named, recordings

PIECES = st.sampled_from(
    ["..", ".", "a", "b c", "a.edf", "/", "//", "~", "\\", "out", "link", "\0", "é", "-x", "x-", " "]
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tree")
    root = base / "root"
    (root / "a" / "b c").mkdir(parents=True)
    (base / "out").mkdir()
    for path in ("out/a.edf", "root/a.edf", "root/a/a.edf", "root/a/b c/a.edf", "root/.hidden.edf"):
        (base / path).write_text("x")
    (root / "link").symlink_to(base / "out")
    (root / "in").symlink_to(root / "a")
    return root


@given(
    st.lists(PIECES, max_size=12).map("".join)
    | st.lists(PIECES, max_size=5).map("/".join)
    | st.text(max_size=30)
)
def test_whatever_is_located_is_a_file_inside(tree: Path, text: str) -> None:
    with suppress(UnsafeRecord):
        path = locate(tree, text)
        assert path.is_file()
        assert path.resolve().is_relative_to(tree)
        assert not any(part.startswith(".") for part in path.relative_to(tree).parts)


def test_plain_names_and_links_inside_are_located(tree: Path) -> None:
    for name in ("a.edf", "a/a.edf", "a/b c/a.edf", "in/a.edf"):
        assert locate(tree, name) == tree / name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/r1", Named("wfdb", "a/r1", "a/r1.hea")),
        ("r1.hea", Named("wfdb", "r1", "r1.hea")),
        ("r1.mat", Named("wfdb", "r1", "r1.hea")),
        ("x y.EDF", Named("edf", "x y.EDF", "x y.EDF")),
        ("x.1.Csv", Named("csv", "x.1.Csv", "x.1.Csv")),
    ],
)
def test_names(text: str, expected: Named) -> None:
    assert named(text) == expected


def test_a_listing_is_sorted_and_leaves_out_what_is_not_ours(tree: Path) -> None:
    (tree / "participants.csv").write_text("")
    (tree / "a" / "participants.csv").write_text("")
    (tree / "a" / "w.hea").write_text("")
    (tree / "a" / "w.dat").write_text("")
    (tree / "a" / "lone.mat").write_text("")
    found = recordings(tree)
    # A table in a sub-folder may be a recording for all we know; linked folders are not walked.
    assert found.records == ("a.edf", "a/a.edf", "a/b c/a.edf", "a/participants.csv", "a/w")
    assert (found.loose, found.notes) == (("a/lone.mat",), ())


def test_names_of_folders_come_without_terminal_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path.joinpath("\x1b[2Jgone", *"bcdefghij")
    deep.mkdir(parents=True)
    closed = tmp_path / "\u202eclosed"
    closed.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert recordings(tmp_path).notes == (
        ("'\\u202eclosed'", "folder: can't be listed"),
        ("'\\x1b[2Jgone/b/c/d/e/f/g'", "folder: nested too deep"),
    )


def test_deep_and_huge_folders_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    (deep / "r.edf").write_text("")
    at = "/".join("abcdefghij"[: MAX_DEPTH - 1])
    assert recordings(tmp_path).notes == ((at, "folder: nested too deep"),)
    monkeypatch.setattr(listing, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / f"{number}.edf").write_text("")
    with pytest.raises(ValueError, match="more than 3 files"):
        recordings(tmp_path)
