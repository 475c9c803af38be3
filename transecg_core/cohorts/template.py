"""A participants table to fill in: one row per recording found, and a page that explains it."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from transecg_core.cohorts import csv_files, edf_files, wfdb_files
from transecg_core.cohorts.channels import Stated, choose
from transecg_core.cohorts.leads import EVERY_LEAD, UnsafeRecord
from transecg_core.cohorts.listing import TABLE, Named, locate, named, recordings, shown
from transecg_core.errors import UserError

GUIDE = "participants.README.md"
HEADER = ("record", "participant", "session", "date", "age", "sex", "lead", "fs-hz", "units", "column")
BEATS = "atr"
"""The usual extension of WFDB's reference beats."""

MEANING = {
    "record": "**Required.** The file, relative to this folder, with `/` between folders: `ward1/r07.edf`. "
    "WFDB records with or without extension. One row per record.",
    "participant": "**Required.** A pseudonym, the same for all of a person's records: letters, digits, space, "
    "dot, dash, underscore. Never a name or a hospital number.",
    "session": "The person's visit, counted from 1 (gaps are closed). Wins over `date`, and must not contradict it.",
    "date": "The recording's day, `YYYY-MM-DD` (a time after it is ignored; `DD.MM.YYYY` is read too). Only its order "
    "within the person is used, so shifted dates do.",
    "age": "Years, with a decimal point. Nothing, `N/A`, `unknown`, `-`, `?`, `999` or a negative number is unknown "
    "and counted; `>89` and `300` are read as 90. Anything else (a year of birth, `56,5`) is refused.",
    "sex": "`F`, `M`, `female` or `male`. Nothing, `N/A`, `unknown`, `-`, `?`, `U`, `X`, `D`, `O`, `other` or `divers` is "
    "unknown and counted; any other word is refused.",
    "diagnosis": "`normal` or `abnormal`, or nothing.",
    "beats": "Of a WFDB record: the extension of its annotation file of beats, such as `atr`.",
    "lead": "The lead to read: `I`, `II`, `V5` ... Needed where the file doesn't name its leads.",
    "fs-hz": "Samples per second. Needed for CSV without a column `time`; for other files it must agree.",
    "units": "`mV`, `uV` or `V`. Needed for CSV; for other files it must agree.",
    "column": "The channel's label, or the CSV's column, where `lead` alone doesn't find it.",
    "same-person-as": "Another id of this table that is the same person. Leave the id that is kept empty.",
}
"""Every column of the table -> what to write there."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    table, guide
        The table and the page that explains it.
    kinds
        Type of file -> recordings listed.
    problems
        (record, reason) of what can't be read as it is.
    """

    table: Path
    guide: Path
    kinds: dict[str, int]
    problems: tuple[tuple[str, str], ...]


def write(folder: Path) -> Written:
    """Write a folder's participants table with what the files themselves say, and the page beside it.

    Participant, session and labels stay blank: only the site knows them. Names, dates and numbers in
    the files' headers are not copied. A page that is there already is left as it is.

    Parameters
    ----------
    folder
        Holds the recordings, in sub-folders too.

    Raises
    ------
    UserError
        If there is a table already, or no recording.
    """
    table, guide = folder / TABLE, folder / GUIDE
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that holds the recordings")
    if table.exists() or table.is_symlink():
        raise UserError(f"{table} is there already; move it away first: it is never overwritten")
    rows, problems = _rows(folder)
    if not rows:
        raise UserError(f"{folder}: no recording found (.hea, .edf or .csv), or none with a plain name")
    header = [*HEADER, "beats"] if any("beats" in row for row in rows) else list(HEADER)
    try:
        # "x": whatever appeared there since is not ours to overwrite.
        with table.open("x", encoding="utf-8", newline="") as handle:
            out = csv.DictWriter(handle, header, restval="", lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
        if not (guide.exists() or guide.is_symlink()):
            guide.write_text(explanation(), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{folder}: can't write there ({error.strerror}); copy the folder to a place of yours"
        ) from None
    kinds = Counter(named(row["record"]).kind for row in rows)
    return Written(table, guide, dict(sorted(kinds.items())), tuple(problems))


def _rows(folder: Path) -> tuple[list[dict[str, str]], list[tuple[str, str]]]:
    try:
        found = recordings(folder)
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from None
    rows: list[dict[str, str]] = []
    problems = list(found.notes)
    for record in found.records:
        try:
            name = named(record)
        except UnsafeRecord as error:
            problems.append((shown(record), f"{error}; rename it"))
            continue
        row = {"record": record}
        rows.append(row)
        try:
            row.update(_said(folder, name))
        except UnsafeRecord as error:
            problems.append((record, str(error)))
    return rows, problems


def _said(folder: Path, name: Named) -> dict[str, str]:
    """Return what a recording's file says about itself."""
    if name.kind == "csv":
        header = csv_files.read_header(folder, name.file)
        if not header.named:
            raise UnsafeRecord(csv_files.UNNAMED)
        # Units and rate are for the site to say; the lead stands in the header, if anywhere.
        _, lead, _ = choose(Stated(units="mV"), header.channels, [""] * len(header.channels), EVERY_LEAD)
        return {"lead": lead}
    if name.kind == "edf":
        signals = edf_files.read_header(folder, name.file).signals
        index, lead, units = choose(
            Stated(), [s.label for s in signals], [s.units for s in signals], EVERY_LEAD
        )
        return {"lead": lead, "units": units, "fs-hz": f"{signals[index].fs_hz:.10g}"}
    path = locate(folder, name.file)
    about = wfdb_files.read_header(path.parent, path.stem)
    labels, physical = [c.lead for c in about.channels], [c.units for c in about.channels]
    _, lead, units = choose(Stated(), labels, physical, EVERY_LEAD)
    beats = {"beats": BEATS} if path.with_suffix(f".{BEATS}").is_file() else {}
    return {"lead": lead, "units": units, "fs-hz": f"{about.fs_hz:.10g}", **beats}


def explanation() -> str:
    """Return the page that explains the table, in Markdown."""
    lines = [f"| `{name}` | {meaning} |" for name, meaning in MEANING.items()]
    return "\n".join(
        [
            f"# How to fill in `{TABLE}`",
            "",
            "Fill in `participant`; everything else may stay as it is. Then: `transecg inspect` on this folder.",
            "",
            "- Rows without a participant are left out and counted; so are files that no row names.",
            "- Remove a column that you have nothing for: `age`, `sex`, `beats` and `diagnosis` in the header say "
            "that this folder comes with these labels, whatever the cells hold.",
            "- Separators `,` `;` or tab; save as UTF-8. Keep names, birthdays and hospital numbers out of it.",
            "",
            "| column | what to write |",
            "|---|---|",
            *lines,
            "",
        ]
    )
