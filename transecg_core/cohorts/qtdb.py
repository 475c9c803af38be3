"""QT Database (PhysioNet ``qtdb`` 1.0.0): 15 min of two Holter channels per record, 250 Hz.

Layout: ``sel*.{hea,dat,atr}``. Excerpts of other databases: ``sele*`` from the European ST-T
Database, ``sel1*`` and ``sel2*`` from MIT-BIH's. Age and sex stand in a header comment, in the form
of the database that the record comes from. Each record is a person of its own, as far as
anybody knows.

Leads are chosen by name. The Holter leads have names of their own, and are read as the standard
lead they come nearest to: the bipolar chest leads CM5, CC5 and ML5 have their positive electrode where V5
has it (CM2 and CM4: V2 and V4); ``V4-V5`` lies between two, and counts as the first named; mod.V1 is a
modified V1. Every such record is noted.

D3 is the third limb lead in Romance-language notation, a modified one here: the European ST-T Database, by public
listings of its headers, calls the channels MLIII that these were cut from (all but e0107's: D3). D4 stands in
sele0104 only, beside D3, where the 16 other records with a D3 have V3 or V4. It is no limb lead, whatever its
letter: the European ST-T Database calls the two channels of e0104 MLIII and V4, in this order, so D4 is read as V4.
By those listings CC5 would be MLI and ML5 MLIII. Both stand behind a CM5, which is read, but for ML5 in sele0604.
"""

from __future__ import annotations

import re
from pathlib import Path

from transecg_core.cohorts.mitdb import age_and_sex, read_beats
from transecg_core.cohorts.people import described
from transecg_core.cohorts.reader import Entry, Reader, header_or_skip, records_in
from transecg_core.cohorts.schema import Labels, Origin
from transecg_core.cohorts.wfdb_files import Header

NO_BEAT_LABELS = "record kept: no .atr file, so no beat labels"
NEAREST_LEAD = {
    "CM2": "V2",
    "CM4": "V4",
    "CM5": "V5",
    "CC5": "V5",
    "ML5": "V5",
    "D3": "III",
    "D4": "V4",
    "mod.V1": "V1",
    "V1-V2": "V1",
    "V2-V3": "V2",
    "V4-V5": "V4",
}


def _index(root: Path) -> list[Entry]:
    return [_entry(root, record) for record in records_in(root)]


def _entry(root: Path, record: str) -> Entry:
    header, skip = header_or_skip(root, record)
    age, sex, notes = described(*(_age_and_sex(header) if header is not None else (None, None)))
    if not _has_beats(root, record):
        notes = (*notes, NO_BEAT_LABELS)
    return Entry(record, 1, record, age, sex, skip=skip, notes=notes)


def _age_and_sex(header: Header) -> tuple[str | None, str | None]:
    first = header.comments[0] if header.comments else ""
    if match := re.fullmatch(r"Age:\s*(\S+)\s+Sex:\s*(\S+)", first):
        return match[1], match[2]
    return age_and_sex(first)


def _has_beats(root: Path, record: str) -> bool:
    return (root / f"{record}.atr").exists()


def _beats(root: Path, entry: Entry) -> Labels:
    return read_beats(root, entry) if _has_beats(root, entry.record) else Labels()


ORIGIN = Origin(
    title="QT Database",
    slug="qtdb",
    version="1.0.0",
    doi="10.13026/C24K53",
    licence="Open Data Commons Attribution License 1.0",
    licence_url="https://opendatacommons.org/licenses/by/1-0/",
    citation="Laguna P. et al. A database for evaluation of algorithms for measurement of QT and other "
    "waveform intervals in the ECG. Computers in Cardiology 24:673-676, 1997.",
    megabytes=72.0,
    quirks=(
        "sel100 and sel116 are excerpts of MIT-BIH records 100 and 116, resampled: the same people.",
        "Whether sele0121 and sele0122, sele0124 and sele0126, sele0129 and sele0133 are one person each is "
        "unknown; each record is read as a person of its own.",
        "Leads vary by record and many are Holter leads (CM5, CC5, ML5, D3, V4-V5); the nearest standard "
        "lead is read and every such record noted.",
        "The lead called D4 in sele0104 is V4: so the European ST-T Database names the same channel.",
        "Age and sex stand in two forms, and are unknown (a hyphen) in sele0166.",
        "The rate of sel100 and sel116 has a counter frequency (250/360).",
        "Nearly all of the people with a known sex are men, so a sex task means little here.",
        "The manual delineation (.q1c, .q2c) covers 30 to 50 beats; it serves to judge delineators and is not "
        "read here.",
    ),
)

READER = Reader(
    "qtdb",
    _index,
    ORIGIN,
    extensions=("hea", "dat", "atr"),
    modules=("mitdb",),
    beats=_beats,
    nearest_leads=NEAREST_LEAD,
    elsewhere={"sel100": "physionet:mitdb/100", "sel116": "physionet:mitdb/116"},
    tasks=("sex", "age", "beat"),
)
