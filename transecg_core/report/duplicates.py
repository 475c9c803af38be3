"""The report's ``data.duplicates``: recordings that appear twice, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.risk.duplicates import Duplicates

COUNTS = (
    *("within_ids", "across_ids", "across_sites", "undeclared", "probes_left_out"),
    *("merged", "records_left_out"),
)
NOT_LOOKED = "looked for by each site among its own recordings; the server holds none."
DONE = (
    "Two people count as one in the audit only where all recordings of one are copies of the other's and nobody else "
    "has them: never an impostor pair, and neither member nor control where one trained and the other did not. Else "
    "they stay apart, and the recordings that they share are left out of the audit: nobody knows whose they are. "
    "Probes that copy an enrolled recording are left out. "
    "What trains was not changed."
)
NONE = (
    "none found. Looked for: one waveform in two records, five beats at least, rescaled, inverted, resampled, cut at the "
    "ends or copied by a clock up to 0.1 % off. Not found: the same beats in another lead, seconds cut out of many "
    "minutes, and copies with much noise."
)


def duplicates_section(found: Duplicates | None) -> dict[str, Any]:
    """Return the section; of a pilot, whose server holds nobody's recordings, nothing but the reason."""
    if found is None:
        return {**dict.fromkeys(COUNTS), "done": NOT_LOOKED}
    return {**{what: getattr(found, what) for what in COUNTS}, "done": DONE if found.pairs else NONE}


def in_words(data: Mapping[str, Any]) -> str:
    """Return the page's sentence on ``data``; empty for a report from before duplicates were looked for."""
    section = data.get("duplicates")
    if section is None:
        return ""
    where = {
        "within_ids": "within one person",
        "across_ids": "across ids of a site",
        "across_sites": "across sites",
    }
    parts = [f"{section[key]} {words}" for key, words in where.items() if section[key]]
    parts += [f"{row['duplicates']} at {row['name']}" for row in data["sites"] if row.get("duplicates")]
    if not parts:
        return f"Recordings that appear twice: {section['done']}"
    told = {
        "merged": "People counted as another",
        "records_left_out": "Shared records left out",
        "probes_left_out": "Probe windows left out",
    }
    out = "".join(f" {words}: {section[key]}." for key, words in told.items() if section.get(key))
    done = section["done"][:1].upper() + section["done"][1:]
    return f"Recordings that appear twice (pairs): {', '.join(parts)}.{out} {done}"


def limits_of(found: Duplicates | None, private: bool) -> list[str]:
    """Return what the report can't say because of recordings that appear twice."""
    if found is None or not found.pairs:
        return []
    out = []
    if found.undeclared:
        pairs = "1 pair of ids holds" if found.undeclared == 1 else f"{found.undeclared} pairs of ids hold"
        out.append(
            f"{pairs} one recording without being declared one person. {_dealt(found)} Training was not changed: it "
            "tossed a coin for each id. Declare ids of one person, and mend misfiled records."
        )
        if private:
            out.append(
                "Under the guarantee ids that are not declared to be one person count as separate people: whoever is "
                "behind two of them is protected less than epsilon says."
            )
    if found.across_sites:
        pairs = "1 pair of records" if found.across_sites == 1 else f"{found.across_sites} pairs of records"
        out.append(
            f"{pairs} of different sites {'is' if found.across_sites == 1 else 'are'} one recording each: evidence "
            "that the datasets overlap, no measure of linkage across sites, and left out of it."
        )
    return out


def _dealt(found: Duplicates) -> str:
    merged = f"{found.merged} of these people count{'s' if found.merged == 1 else ''} as another in the audit"
    records = f"{found.records_left_out} records of unknown ownership are left out of it"
    return f"{merged}; {records}."
