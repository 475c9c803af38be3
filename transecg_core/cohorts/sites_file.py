"""Which folder is which site: one TOML file, or one sub-folder per site.

A sites file has one table per site::

    [hospital-a]
    reader = "folder"            # or a built-in: ecgiddb, ludb, ...
    path = "exports/2024"        # relative to this file
    lead = "II"                  # the lead to read; left out: the first usable one

    [hospital-a.leads]           # their spelling -> the standard one
    "Ableitung 1" = "I"

    [hospital-a.columns]         # our column -> theirs
    participant = "PatientID"
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transecg_core.cohorts.leads import EVERY_LEAD, LEADS, LeadChoice, lead_name
from transecg_core.cohorts.listing import TABLE, quoted, shown
from transecg_core.cohorts.recognise import FOLDER as FOLDER
from transecg_core.cohorts.recognise import left_out, refusal
from transecg_core.cohorts.table_text import COLUMNS
from transecg_core.errors import UserError
from transecg_core.names import SITE_NAMES, is_site_name, nearest
from transecg_core.toml_file import read_toml

KEYS = ("reader", "path", "lead", "leads", "columns")
MAX_BYTES = 1_000_000

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class SiteDeclaration:
    """Where a site's data is and how it is read.

    Attributes
    ----------
    reader
        ``folder``, or the name of a built-in reader.
    path
        The site's folder, absolute.
    columns
        Our column -> theirs, for ``folder``.
    """

    name: str
    reader: str
    path: Path
    leads: LeadChoice = EVERY_LEAD
    columns: Mapping[str, str] = field(default_factory=dict)


def site_folders(root: Path) -> dict[str, SiteDeclaration]:
    """Return the sub-folders of `root` that hold a table of participants, by name.

    Raises
    ------
    UserError
        If `root` is no folder, or such a sub-folder's name is no site name.
    """
    if not root.is_dir():
        raise UserError(f"data-root={root}: no such folder; give the one that holds a folder per site")
    try:
        folders = sorted(root.iterdir())
    except OSError as error:
        raise UserError(f"data-root={root}: {error.strerror}; give a folder that can be listed") from None
    found = {}
    for folder in folders:
        if not os.path.isfile(folder / TABLE):  # False, not an exception, for what may not be entered
            continue
        if not is_site_name(folder.name):
            raise UserError(
                f"data-root: {quoted(folder.name)} is no site name; rename the folder: {SITE_NAMES}"
            )
        found[folder.name] = SiteDeclaration(folder.name, FOLDER, folder)
    if not found:
        left = left_out(root)
        remedy = "it is one site itself: give the folder above" if (root / TABLE).is_file() else (
            refusal(left) if left else "give the folder that holds one folder per site")  # fmt: skip
        raise UserError(f"data-root={root}: no sub-folder holds a {TABLE}; {remedy}")
    return found


def read_sites(file: Path, readers: Collection[str]) -> dict[str, SiteDeclaration]:
    """Read a sites file.

    Parameters
    ----------
    file
        TOML; paths in it are relative to its folder.
    readers
        Names of the built-in readers.

    Raises
    ------
    UserError
        If the file can't be read, or declares anything that is not known; with site and key.
    """
    document = _document(file)
    if not document:
        raise UserError(f"sites-file={file}: declares no site; write [NAME], reader and path")
    found, owner = {}, dict[Path, str]()
    for name in sorted(document):
        site = _declaration(file, name, document[name], (FOLDER, *sorted(readers)))
        twin = owner.setdefault(site.path, name)
        if twin != name:  # the same people would be members at one site and controls at the other
            raise UserError(f"sites-file={file}: sites '{twin}' and '{name}' are the same folder; keep one")
        found[name] = site
    return found


def _document(file: Path) -> dict[str, Any]:
    try:
        return read_toml(file, MAX_BYTES, "one short table per site")
    except ValueError as error:
        raise UserError(f"sites-file={file}: {error}") from None


def _declaration(file: Path, name: str, table: Any, readers: Collection[str]) -> SiteDeclaration:
    place = f"sites-file={file}: site '{name}'"
    if not is_site_name(name):
        raise UserError(f"sites-file={file}: {quoted(name)} is no site name; use {SITE_NAMES}")
    if not isinstance(table, dict):
        raise UserError(f"sites-file={file}: '{name}' must be a table: write [{name}], reader and path")
    for key in table:
        if key not in KEYS:
            raise UserError(f"{place}: unknown key {quoted(key)}{nearest(key, KEYS)}")
    reader, path = (_text(place, key, table.get(key)) for key in ("reader", "path"))
    if reader not in readers:
        raise UserError(f"{place}: no reader named {quoted(reader)}{nearest(reader, readers)}")
    columns = _mapping(place, "columns", table)
    for column in columns:
        if column not in COLUMNS:
            raise UserError(
                f"{place}: columns: there is no column {quoted(column)}{nearest(column, COLUMNS)}"
            )
    if columns and reader != FOLDER:
        raise UserError(f"{place}: columns are for reader='{FOLDER}'; '{reader}' has its own table")
    return SiteDeclaration(name, reader, _folder(place, file, path), _leads(place, table), columns)


def _folder(place: str, file: Path, path: str) -> Path:
    try:
        return (file.parent / Path(path).expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(f"{place}: path={quoted(path)} is no path: {error}") from None


def _leads(place: str, table: Mapping[str, Any]) -> LeadChoice:
    wanted = lead_name(_text(place, "lead", table["lead"])) if "lead" in table else None
    names = {their: lead_name(ours) for their, ours in _mapping(place, "leads", table).items()}
    for lead in (*([] if wanted is None else [wanted]), *names.values()):
        if lead not in LEADS:
            raise UserError(f"{place}: no lead named {quoted(lead)}{nearest(lead, LEADS)}")
    return LeadChoice(wanted, names)


def _mapping(place: str, key: str, table: Mapping[str, Any]) -> dict[str, str]:
    inner = table.get(key, {})
    if not isinstance(inner, dict):
        raise UserError(f"{place}: {key} must be a table: write [NAME.{key}]")
    return {
        _text(place, f"{key} name", name): _text(place, f"{key}.{shown(name)}", inner[name]) for name in inner
    }


def _text(place: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value.strip()):
        raise UserError(f"{place}: {key} must be text in quotes, not empty, without control characters")
    return value.strip()
