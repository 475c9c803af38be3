"""What to do about every reason for which a record, or a part of one, is left out or noted."""

from __future__ import annotations

import re
from collections.abc import Mapping

OTHERWISE = "mend the file or leave it out; docs/data.md says what is read"
"""For reasons of a third party's reader."""
RENAME = "rename it (letters, digits, space, dot, dash, underscore) and give it a row, or move it out of the folder"
_AGAIN = "copy or export it again: its header is damaged, or of a kind that is not read"
_PIECES = "cut it into pieces: each a file with a row of its own"
_BEATS = "copy the annotation file again, or leave `beats` blank in its row"
_SOURCE = "copy the dataset again; if its source is like that, nothing to do: the record is left out"

REMEDIES: Mapping[str, str] = {
    # What the table says, or doesn't.
    "record: no participant in the table": "name the person in the table's `participant`, or delete the row",
    "record: session unknown, .*": "fill in `session` (or `date`) in its row, as in the person's others",
    "record: CSV without units in the table": "fill in `units` in its row: mV, uV or V",
    "record: CSV without fs-hz .*": "fill in `fs-hz` in its row: samples per second",
    "record: (CSV without header|no lead in its label); .*": "fill in `lead` in its row: which lead it is",
    "record: units in the table differ .*": "correct `units` in its row, or leave it blank: the file says it",
    "record: rate in the table differs .*": "correct `fs-hz` in its row, or leave it blank: the file says it",
    "record: no channel of the column's name": "write one of the file's own column names in `column`",
    "record: more than one channel of the column's name": "leave `column` blank and fill in `lead`, or rename one "
    "of the two in the file",
    "record: annotation files are read beside .*": "leave `beats` blank in its row",
    "record: name is not a plain local one": "write the path relative to the folder, with / between folders; if the "
    "file's own name has anything but letters, digits, space, dot, dash and underscore, rename it",
    "record: not a WFDB, EDF or CSV file": "export it as WFDB, EDF or CSV, or delete its row",
    "record: \\S+ file missing": "copy the missing file there, or correct its row (`record`, `beats`)",
    "record: file lies outside .*": "copy it into the folder: links that lead out of it are not followed",
    "file: not in the participants table": "add a row for it to the table, or move it out of the folder",
    "file: signals without a header": "add the .hea file of its name, or move it out of the folder",
    "folder: can't be listed": "give yourself the right to read the folder, or move it away",
    "folder: nested too deep": "move its recordings up: eight folders deep at most",
    "table: no session or date, .*": "fill in `session` or `date`, if anybody came more than once; else nothing to do",
    "table: a label's column without any value": "fill it in, or remove the column: it declares the label",
    "table: values that count as unknown": "nothing to do, if nobody knows them; else write ages as years, sexes as F or "
    "M",
    "table: one sex only, .*": "look at the cells that count as unknown: are they the other sex? Write it as F or M",
    "table: not UTF-8, .*": "save it as 'CSV UTF-8', if letters came out wrong",
    "table: column not read": "nothing to do, unless it is one of ours under another name: then rename it",
    "record kept: no session or date, .*": "fill in `session` or `date`, if the person came more than once; "
    "else nothing to do",
    # What the data say about a person.
    "person: two sexes .*": "correct the table; until then the sex counts as unknown",
    "person: ages that contradict .*": "correct the table; until then the ages count as unknown",
    "person: younger at a later session": "check `age`, and `session` or `date`, in the person's rows",
    "record kept: age given as 90 or older": "nothing to do: ages over 89 are hidden, and read as 90",
    "record kept: (age|sex) unknown": "fill it in if it is known; else nothing to do",
    "record: same signal file as another record": "nothing to do: the person's other record is used; if it should be "
    "another recording, correct the file's name in its row",
    "record kept: same signal file as a record of somebody else": "one person under two ids: declare it in "
    "`same-person-as`; two people: correct the file's name in one of the rows",
    # Which channel, at which rate.
    "record: no known lead in millivolts": "fill in `lead` and `column`, or map the site's spelling to a standard "
    "lead: [SITE.leads] in a sites file; its unit must be mV, uV or V",
    "record: no lead \\S+ in millivolts": "choose another lead, or none: then each record's first usable one is read",
    "record: no channel": "export it again with its signals, or delete its row",
    "record kept: lead .* read as \\S+": "nothing to do: the nearest standard lead is taken",
    "record: sampling rate is out of bounds": "correct the rate in `fs-hz` or the file's header: up to 10000 Hz",
    "record: sampling rate below .*": "check the rate in `fs-hz` or the file's header; if it is right, nothing to do: "
    "too few samples for a heartbeat's shape",
    "(record kept: heart rate|site: median heart rate) outside .*": "check the sampling rate, in `fs-hz` or "
    "the file's header: half or double the true one gives this; if it is right, nothing to do",
    # What the signal is like.
    "record: no usable heartbeat": "check unit, sampling rate and channel first; else an electrode was off: leave it out",
    "record: corrupt samples .*": "check `units` first, or the gain in its header; if they are right, the source is "
    "damaged: leave it out",
    "record: samples that are not numbers": "export it again, or cut the stretch out",
    "record: no samples": "the file is empty: export it again",
    "record: (flat|railed .*)": "an electrode was off, or it is the wrong channel: read another (`lead`, `column`), or "
    "leave it out",
    "record: recording shorter than .*": "use a longer recording, or leave it out",
    "record: (longer than .*|CSV file too long|\\S+ file bigger than .*)": _PIECES,
    "record kept: clipped .*": "nothing to do, if they are few; else read another lead, or look at the recorder's range",
    "record kept: R peak points down": "nothing to do, unless electrodes or poles were swapped: then read another lead",
    "delineation: [PT] wave not found": "nothing to do: no part of its heartbeats counts as that wave",
    "delineation: (T wave lost in noise|fixed offsets used).*": "nothing to do, if they are few; else check unit, "
    "sampling rate and channel",
    "window: flat": "nothing to do, if they are few; else check unit, sampling rate and channel",
    "window: (beat at the edge|correlation|over the cap) .*": "nothing to do: the record's other heartbeats are used",
    "beat: reference beat not detected": "nothing to do, if they are few; else check that the marks are this record's",
    # CSV.
    "record: (empty CSV file|CSV rows of different lengths)": "export it again: as many cells in every line as in "
    "the first",
    "record: blank (line|cell) among the samples": "export it again, or cut it where samples are missing",
    "record: CSV has several columns and no header .*": "write the columns' names in its first line, and numbers with "
    "a decimal point",
    "record: CSV has (a column without a name|two columns of one name)": "give every column a name of its own, in the "
    "first line",
    "record: CSV header is malformed": "check the quotes in its first line",
    "record: CSV has too many columns": "export fewer leads",
    "record: a CSV line is too long": "write one sample of each lead per line",
    "record: CSV is not plain text": "save it as plain text in UTF-8",
    "record: decimal comma; .*": "export it with a decimal point",
    "record: column 'time' gives no sampling rate": "give seconds, rising from line to line; or remove the column and "
    "fill in `fs-hz`",
    "record: column 'time' (has gaps|is not uniform) .*": "cut it where samples are missing; if only the stamps are "
    "rough, remove the column and fill in `fs-hz`",
    # EDF.
    "record: not an EDF file": "export it as EDF or EDF+C; BDF is not read",
    "record: EDF\\+D, .*": "export every stretch without a gap as a file with a row of its own",
    "record: EDF file is not as long as its header says": "it is cut off, or was never closed: copy or export it again",
    "record: EDF (?!file|\\+D).*": _AGAIN,
    "record kept: EDF header is not plain ASCII, .*": "nothing to do",
    # WFDB, and files in general.
    "record: (file can't be opened|\\S+ file can't be read)": "give yourself the right to read the file, or copy it again",
    "record: signal can't be decoded .*": "copy or export it again: the file is damaged",
    "record: signal file shorter .*": "the file is cut off: copy it again",
    "record kept: signal file longer .*": "copy header and signals again if you can: they may be of two versions",
    "record kept: checksum differs .*": "copy the file again if you can: its samples are not those it was written with",
    "record kept: no gain in its header, .*": "check the scale, and write the gain into its header if it is another",
    "record kept: negative gain, .*": "nothing to do, if the recorder inverts; else mend the gain in its header",
    "record: (control characters in its header|empty header|header too long|header lacks .*|header's .*"
    "|a signal line is malformed|gain is .*)": _AGAIN,
    "record: header names another .*": "give header and files one name; export each segment as a record of its own",
    "record: a signal has no lead name": "write the lead's name at the end of its line in the header",
    "record: (signal format not accepted|signals of one file differ in format)": "export it again, in format 16 or 212",
    "record: signal file is not a plain local .*": "name a .dat or .mat file of the same folder in its header",
    "record: \\.mat file is not .*": "write it with WFDB's own tools (MATLAB v4), or export it as EDF",
    "record: (annotation(s|) .*)(?<!only)": _BEATS,
    # Public datasets.
    "record: duplicate waveform \\(known\\)": "nothing to do: a copy known to the reader",
    "record kept: damaged opening cut": "nothing to do: damage known to the reader",
    "record kept: scp_codes can't be read, .*": "nothing to do: the record has no diagnosis",
    "record kept: no \\.atr file, .*": "fetch the dataset again, if its beat labels are wanted; else nothing to do",
    "record: (recording date|patient) unknown": _SOURCE,
    "record: (a person's folder is none|folder can't be read .*)": _SOURCE,
}
"""Pattern of a reason -> what to do about it; each reason of ours fits exactly one."""


def remedy(reason: str, record: str = "") -> str:
    """Return what to do about a reason.

    Parameters
    ----------
    reason
        As noted.
    record
        What it was noted of, as it is printed: quoted where its name can't stand in a table.
    """
    if reason.startswith("file: not in") and record.startswith(("'", '"')):
        return RENAME
    return next((text for pattern, text in REMEDIES.items() if re.fullmatch(pattern, reason)), OTHERWISE)
