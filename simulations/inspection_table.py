"""An inspection as plain text for people: aligned, at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from transecg_core.cohorts.contract import Problem
from transecg_core.cohorts.reader import natural
from transecg_core.inspection import Inspection
from transecg_core.measurable import summary
from transecg_core.remedies import remedy
from transecg_core.text import escaped

WIDTH = 100
SHOWN = 6
"""Names shown per reason; ``--json`` has them all."""
_LABEL = 22


def table(found: Inspection, reader: str, folder: str) -> str:
    """Return the page of one site, read from `folder` by `reader`."""
    lines = [f"Site {escaped(found.site)}", ""]
    lines += [_row("reader", reader), _row("folder", folder)]
    lines += [_row(label, text) for label, text in _facts(found) if text]
    if found.records:  # of nothing, nothing can be measured
        lines += ["", "What can be measured"]
        for name, verdict in found.measurable.items():
            lines.append(_row(name, f"{'yes' if verdict.measurable else 'no':<5}{verdict.reason}"))
        lines += [_row("", summary(found.measurable))]
    lines += _noted("Skipped records", found.skipped)
    lines += _noted("Used, with a remark", found.kept)
    if found.left_out:
        lines += ["", "Not used of these records"]
        for reason, count in sorted(found.left_out.items()):
            lines += [_row(f"{count:>7}", reason), _row("", f"-> {remedy(reason)}")]
    lines += _copies(found)
    lines += _problems(found.problems)
    lines += ["", verdict_line(found)]
    return "\n".join(lines)


def verdict_line(found: Inspection) -> str:
    """Return the one line that says whether the site can take part."""
    site = escaped(found.site)
    if not found.records:
        return f"{site}: NOTHING USABLE"
    if found.problems:
        count = len(_by_problem(found.problems))
        return f"{site}: CONTRACT BROKEN, {count} problem{'s' if count > 1 else ''} to mend"
    if found.refused:
        return textwrap.fill(f"{site}: CAN'T TAKE PART: {found.refused}", WIDTH, break_on_hyphens=False)
    return f"{site}: can take part; the contract is kept"


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    if not (found.records or found.skipped or found.kept):
        return
    second = f"{found.second_session} with a second session"
    if found.records:
        yield "people", f"{found.participants} usable of {found.roster} on the roster; {second}"
    files = [f"{found.records} usable", f"{len(found.skipped)} skipped", f"{len(found.kept)} remarks"]
    yield "records", ", ".join(files)
    if not found.records:
        return
    yield "sessions, windows", f"{found.sessions} sessions, {found.windows} windows"
    yield "sampling rates", _counted({f"{rate} Hz": count for rate, count in found.rates.items()})
    yield "leads", _counted(found.leads)
    if found.duration_s:
        yield "length", _range(found.duration_s, "s", 4)
    if found.heart_rates:
        yield "heart rate", f"{_range(found.heart_rates, 'per minute', 3)} (of the records' medians)"
    if found.ages:
        yield "ages", _range(found.ages, "years", 3)
    for task, classes in found.labels.items():
        what = "windows" if task == "beat" else "people"
        yield f"{task} ({what})", "none known" if set(classes) == {"unknown"} else _counted(classes)


def _range(spread: tuple[float, float, float], unit: str, digits: int) -> str:
    """Return least, greatest and median; equal values once."""
    least, median, most = (f"{value:.{digits}g}" for value in spread)
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}, median {median}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _row(label: str, text: str) -> str:
    """Return an aligned row, wrapped under its own column; names from files can't reach the terminal's controls."""
    text = escaped(text)
    first = f"  {label:<{_LABEL}}"
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )


def _noted(title: str, items: Sequence[tuple[str, str]]) -> list[str]:
    """Return (record, reason) pairs grouped by reason, with what to do about it."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record, reason in sorted(items, key=lambda item: (item[1], natural(item[0]))):
        groups.setdefault((reason, remedy(reason, record)), []).append(record)
    lines = ["", title] if items else []
    for (reason, mend), names in groups.items():
        lines += [_row(f"{len(names):>7}", reason), _row("", _some(names)), _row("", f"-> {mend}")]
    return lines


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
    for (what, mend), group in _by_problem(problems).items():
        spans = [problem.span_mv for problem in group if problem.span_mv is not None]
        if spans:
            low, high = f"{min(spans):.3g}", f"{max(spans):.3g}"
            what += f" ({low} mV)" if low == high else f" ({low} to {high} mV)"
        names = sorted((problem.record for problem in group if problem.record), key=natural)
        lines.append(_row(f"{len(names):>7}" if names else "", what))
        lines += [_row("", _some(names))] if names else []
        lines.append(_row("", f"-> {mend}"))
    return lines


def _by_problem(problems: Sequence[Problem]) -> dict[tuple[str, str], list[Problem]]:
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.what, problem.remedy), []).append(problem)
    return groups
