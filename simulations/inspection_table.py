"""An inspection as plain text for people: aligned, at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from transecg_core.cohorts.contract import Problem
from transecg_core.inspection import Inspection
from transecg_core.measurable import summary

WIDTH = 100
SHOWN = 6
"""Names shown per reason; ``--json`` has them all."""
_LABEL = 22
_REMEDIES: Mapping[str, str] = {
    "record: no known lead": "map the site's spelling to a standard lead: [SITE.leads] in a sites file",
    "record: no lead": "choose another lead, or none: then each record's first usable one is read",
    "record: no usable heartbeat": "look at the signal: electrode off, wrong channel, wrong unit or rate?",
    "record: same signal file": "a copy of another record: keep one of them",
    "record: duplicate waveform": "nothing to do: a copy known to the reader",
    "record: corrupt samples": "export it again; if the source is damaged, leave it out",
    "record: samples that are not numbers": "export it again, or cut the stretch out",
    "record: recording shorter": "use a longer recording",
    "record: sampling rate": "export it at 90 Hz or more, and check the rate in its header",
    "record: signal file shorter": "the file is cut off: copy it again",
    "record: file lies outside": "copy it into the folder: links that lead out of it are not followed",
    "record: no participant": "name the person in the table, or delete the row",
    "file: not in": "add a row for it to the table, or move it out of the folder",
    "file: signals without": "add its .hea file",
}


def table(found: Inspection, reader: str, folder: str) -> str:
    """Return the page of one site, read from `folder` by `reader`."""
    lines = [f"Site {found.site}", ""]
    lines += [_row("reader", reader), _row("folder", folder)]
    lines += [_row(label, text) for label, text in _facts(found) if text]
    lines += ["", "What can be measured"]
    for name, verdict in found.measurable.items():
        lines.append(_row(name, f"{'yes' if verdict.measurable else 'no':<5}{verdict.reason}"))
    lines += [_row("", summary(found.measurable))]
    lines += _noted("Skipped records", found.skipped, remedies=True)
    lines += _noted("Used, with a remark", found.kept, remedies=False)
    if found.left_out:
        lines += ["", "Not used of these records"]
        lines += [_row(f"{count:>7}", reason) for reason, count in sorted(found.left_out.items())]
    lines += _copies(found)
    lines += _problems(found.problems)
    lines += ["", verdict_line(found)]
    return "\n".join(lines)


def verdict_line(found: Inspection) -> str:
    """Return the one line that says whether the site can take part."""
    if not found.records:
        return f"{found.site}: NOTHING USABLE"
    if found.problems:
        count = len(found.problems)
        return f"{found.site}: CONTRACT BROKEN, {count} problem{'s' if count > 1 else ''} to mend"
    return f"{found.site}: can take part; the contract is kept"


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    second = f"{found.second_session} with a second session"
    yield "people", f"{found.participants} usable of {found.roster} on the roster; {second}"
    files = [f"{found.records} usable", f"{len(found.skipped)} skipped", f"{len(found.kept)} remarks"]
    yield "records", ", ".join(files)
    yield "sessions, windows", f"{found.sessions} sessions, {found.windows} windows"
    yield "sampling rates", _counted({f"{rate} Hz": count for rate, count in found.rates.items()})
    yield "leads", _counted(found.leads)
    if found.duration_s:
        least, median, most = found.duration_s
        yield "length", f"{least:.4g} to {most:.4g} s, median {median:.4g} s"
    if found.ages:
        least, median, most = found.ages
        yield "ages", f"{least:.3g} to {most:.3g} years, median {median:.3g}"
    for task, classes in found.labels.items():
        what = "windows" if task == "beat" else "people"
        yield f"{task} ({what})", "none known" if set(classes) == {"unknown"} else _counted(classes)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _row(label: str, text: str) -> str:
    """Return an aligned row, wrapped under its own column; names from files can't reach the terminal's controls."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    first = f"  {label:<{_LABEL}}"
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )


def _noted(title: str, items: Sequence[tuple[str, str]], *, remedies: bool) -> list[str]:
    """Return (record, reason) pairs grouped by reason, with what to do about it."""
    lines = ["", title] if items else []
    for reason in sorted({reason for _, reason in items}):
        names = [record for record, other in items if other == reason]
        lines.append(_row(f"{len(names):>7}", reason))
        lines.append(_row("", _some(names)))
        if remedies and "; " not in reason:
            lines.append(_row("", f"-> {_remedy(reason)}"))
    return lines


def _remedy(reason: str) -> str:
    known = (text for start, text in _REMEDIES.items() if reason.startswith(start))
    missing = "copy the missing file, or correct the record's name" if reason.endswith("missing") else None
    return next(known, missing or "mend the file or leave it out; docs/data.md says what is read")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _copies(found: Inspection) -> list[str]:
    lines = ["", "Copies of one waveform"] if found.duplicates else []
    for copy in found.duplicates:
        where = (
            copy.other_record if copy.other_site == found.site else f"{copy.other_site}: {copy.other_record}"
        )
        whose = "the same person" if copy.same_person else "ANOTHER PERSON"
        lines.append(_row("", f"{copy.record} = {where}, filed under {whose}"))
    if not all(copy.same_person for copy in found.duplicates):
        lines.append(
            _row("", "-> one person under two ids (same-person-as in the table), or a record filed wrong")
        )
    return lines


def _problems(problems: Sequence[Problem]) -> list[str]:
    lines = ["", "Problems"] if problems else []
    for what, remedy in dict.fromkeys((problem.what, problem.remedy) for problem in problems):
        names = [p.record for p in problems if (p.what, p.remedy) == (what, remedy) and p.record]
        lines.append(_row(_some(names)[: _LABEL - 1] if len(names) == 1 else "", what))
        if len(names) > 1:
            lines.append(_row("", _some(names)))
        lines.append(_row("", f"-> {remedy}"))
    return lines
