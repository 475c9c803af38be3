"""A sites file says exactly one thing, or is refused with site, key and remedy."""

from __future__ import annotations

import os
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transecg_core.cohorts import READERS, declared, open_site, resolved
from transecg_core.cohorts.leads import EVERY_LEAD, LEADS, LeadChoice
from transecg_core.cohorts.sites_file import MAX_BYTES, SiteDeclaration, read_sites, site_folders
from transecg_core.cohorts.table_text import COLUMNS
from transecg_core.config import parse
from transecg_core.errors import UserError

GOOD = """
[hospital-a]
reader = "folder"
path = "exports/a"
lead = "ii"

[hospital-a.leads]
"Ableitung 1" = "ECG I"

[hospital-a.columns]
participant = "PatientID"

[public]
reader = "ludb"
path = "/data/ludb"
"""


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "sites.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_key_is_read(tmp_path: Path) -> None:
    found = read_sites(write(tmp_path, GOOD), READERS)
    choice = LeadChoice("II", {"Ableitung 1": "I"})
    columns = {"participant": "PatientID"}
    assert found == {
        "hospital-a": SiteDeclaration("hospital-a", "folder", tmp_path / "exports" / "a", choice, columns),
        "public": SiteDeclaration("public", "ludb", Path("/data/ludb"), EVERY_LEAD, {}),
    }


def test_a_bom_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    plain = read_sites(write(tmp_path, GOOD), READERS)
    windows = read_sites(write(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()), READERS)
    assert windows == plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["declares no site"]),
        ("[a]\nreader = 'folder'\npath = 'a'\nraeder = 'x'", ["'a'", "raeder", "nearest valid: reader"]),
        ("[a]\nreader = 'folder'\npath = 'a'\ncolumn = 'x'", ["column", "nearest valid: columns"]),
        ("[a]\nreader = 'folders'\npath = 'a'", ["'folders'", "nearest valid: folder"]),
        ("[a]\nreader = 'synthetic'\npath = 'a'", ["no reader named 'synthetic'"]),
        ("[a]\npath = 'a'", ["reader must be text"]),
        ("[a]\nreader = 'folder'", ["path must be text"]),
        ("[a]\nreader = 'folder'\npath = ' '", ["path must be text"]),
        ("[a]\nreader = 'folder'\npath = \"a\\u0000b\"", ["path must be text"]),
        ("[a]\nreader = 'folder'\npath = 7", ["path must be text"]),
        ("[a]\nreader = 'folder'\npath = '~nobody-of-this-name/x'", ["path="]),
        ("[a]\nreader = 'folder'\npath = 'a'\nlead = 'XII'", ["no lead named 'XII'"]),
        ("[a]\nreader = 'folder'\npath = 'a'\nlead = 1", ["lead must be text"]),
        (
            "[a]\nreader = 'folder'\npath = 'a'\n[a.leads]\nx = 'V9'",
            ["no lead named 'V9'", "nearest valid: V"],
        ),
        ("[a]\nreader = 'folder'\npath = 'a'\nleads = 'I'", ["leads must be a table"]),
        ("[a]\nreader = 'folder'\npath = 'a'\n[a.columns]\nage = 1", ["columns.age must be text"]),
        ("[a]\nreader = 'folder'\npath = 'a'\n[a.columns]\nagge = 'x'", ["'agge'", "nearest valid: age"]),
        ("[a]\nreader = 'ludb'\npath = 'a'\n[a.columns]\nage = 'x'", ["columns", "ludb"]),
        ("[A]\nreader = 'folder'\npath = 'a'", ["'A' is no site name"]),
        ("['../a']\nreader = 'folder'\npath = 'a'", ["'../a' is no site name"]),
        ("[pooled]\nreader = 'folder'\npath = 'a'", ["'pooled' is no site name"]),
        ("a = 1", ["'a' must be a table"]),
        ("reader = 'folder'\npath = 'a'", ["must be a table"]),
        ("[a]\nreader = 'folder'\npath = 'x'\n[b]\nreader = 'folder'\npath = './x'", ["'a' and 'b'", "same"]),
        ("[a]\nreader = 'folder'\n[a]\n", ["not TOML"]),
        ("[a", ["not TOML"]),
        (b"[a]\nreader = '\xff'", ["not TOML in UTF-8"]),
        (b"\x00\x01\x02", ["not TOML"]),
        ("a = " + "[" * 5000 + "]" * 5000, ["sites.toml"]),
        ("[a]\nreader = 'folder'\npath = " + "9" * 5000, ["not TOML", "5000 digits"]),
        ('[a]\nreader = "x\\u202ey"\npath = "a"', ["no reader named 'x\\u202ey'"]),
        ('[a]\nreader = "folder"\npath = "a\\u001b[2J"', ["path must be text"]),
        ('["\\u001b[2J"]\nreader = "folder"\npath = "a"', ["'\\x1b[2J' is no site name"]),
        ('[a]\nreader = "folder"\npath = "a"\n"\\u001b[2J" = 1', ["unknown key '\\x1b[2J'"]),
        (
            '[a]\nreader = "folder"\npath = "a"\n[a.leads]\n"\\u202ex" = 1',
            ["leads.'\\u202ex' must be text"],
        ),
        ('[a]\nreader = "folder"\npath = "a"\nlead = "\\u202eII"', ["no lead named '\\u202eII'"]),
        ('[a]\nreader = "folder"\npath = "a"\n[a.columns]\n"\\u202eage" = "x"', ["no column '\\u202eage'"]),
        (b"#" * (MAX_BYTES + 1), ["over 1000000 bytes"]),
    ],
)
def test_anything_else_is_refused_with_the_remedy(
    tmp_path: Path, text: str | bytes, words: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        read_sites(write(tmp_path, text), READERS)
    assert str(error.value).isprintable()
    for word in ("sites-file", *words):
        assert word in str(error.value)


def test_a_file_that_cant_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_sites(tmp_path / "none.toml", READERS)
    with pytest.raises(UserError, match="Is a directory"):
        read_sites(tmp_path, READERS)
    if os.geteuid():
        write(tmp_path, GOOD).chmod(0)
        with pytest.raises(UserError, match="Permission denied"):
            read_sites(tmp_path / "sites.toml", READERS)


PLAIN = st.text(string.ascii_letters + string.digits + " _-äß", min_size=1, max_size=12).filter(str.strip)
SITE = st.fixed_dictionaries(
    {"reader": st.sampled_from(["folder"]), "path": st.text(string.ascii_lowercase, min_size=1, max_size=8)},
    optional={
        "lead": st.sampled_from(LEADS),
        "leads": st.dictionaries(PLAIN.map(str.strip), st.sampled_from(LEADS), min_size=1, max_size=3),
        "columns": st.dictionaries(st.sampled_from(COLUMNS), PLAIN.map(str.strip), min_size=1, max_size=3),
    },
)
NAME = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True).filter(lambda n: n not in ("auto", "pooled"))


@given(st.dictionaries(NAME, SITE, min_size=1, max_size=4).filter(
    lambda sites: len({site["path"] for site in sites.values()}) == len(sites)))  # fmt: skip
def test_what_is_written_is_what_is_read(sites: dict) -> None:
    lines = []
    for name, site in sites.items():
        lines.append(f'["{name}"]')
        lines += [f'{key} = "{value}"' for key, value in site.items() if isinstance(value, str)]
        for key in ("leads", "columns"):
            if key in site:
                lines.append(f'["{name}".{key}]')
                lines += [f'"{a}" = "{b}"' for a, b in site[key].items()]
    with tempfile.TemporaryDirectory() as folder:
        found = read_sites(write(Path(folder), "\n".join(lines)), READERS)
        assert found == {
            name: SiteDeclaration(name, "folder", Path(folder).resolve() / site["path"],
                                  LeadChoice(site.get("lead"), site.get("leads", {})), site.get("columns", {}))
            for name, site in sites.items()
        }  # fmt: skip
        assert list(found) == sorted(sites)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_junk_is_one_line(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sites.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        with pytest.raises(UserError) as error:
            read_sites(file, READERS)
        assert "\n" not in str(error.value)


def test_sub_folders_with_a_table_are_sites(tmp_path: Path) -> None:
    for name in ("b", "a", "no-table", "A B"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / "participants.csv").touch()
    (tmp_path / "participants-of-nobody.csv").touch()
    assert list(site_folders(tmp_path)) == ["a", "b"]
    assert site_folders(tmp_path)["a"] == SiteDeclaration("a", "folder", tmp_path / "a")
    (tmp_path / "A B" / "participants.csv").touch()
    (tmp_path / "A\x1b[2J").mkdir()
    with pytest.raises(UserError, match="'A B' is no site name; rename"):
        site_folders(tmp_path)
    (tmp_path / "A B" / "participants.csv").unlink()
    (tmp_path / "A\x1b[2J" / "participants.csv").touch()
    with pytest.raises(UserError, match=r"'A\\x1b\[2J' is no site name; rename"):
        site_folders(tmp_path)


def test_auto_is_spelled_out_once_and_nothing_else_changes(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "participants.csv").touch()
    cfg = parse({"cohort": "folder", "data-root": str(tmp_path), "seed": 3})
    full = resolved(cfg)
    assert full.site_names == ("a", "b")
    assert resolved(full) == full
    assert full.model_copy(update={"sites": "auto"}) == cfg
    synthetic = parse({})
    assert resolved(synthetic) is synthetic
    assert set(declared(full)) == {"a", "b"}


def test_more_sites_than_a_federation_has_are_refused(tmp_path: Path) -> None:
    for number in range(65):
        (tmp_path / f"s{number}").mkdir()
        (tmp_path / f"s{number}" / "participants.csv").touch()
    with pytest.raises(UserError, match="between 2 and 64"):
        resolved(parse({"cohort": "folder", "data-root": str(tmp_path)}))


def test_a_site_is_opened_as_its_file_declares_it(tmp_path: Path) -> None:
    write(tmp_path, "[a]\nreader = 'ludb'\npath = 'x'\n[b]\nreader = 'mitdb'\npath = 'y'\n")
    cfg = parse({"cohort": "folder", "sites-file": str(tmp_path / "sites.toml")})
    with pytest.raises(UserError, match=f"site 'a': no folder {tmp_path / 'x'}.*ludb"):
        open_site(cfg, "a")
    with pytest.raises(UserError, match="no site named 'c'"):
        open_site(cfg, "c")
