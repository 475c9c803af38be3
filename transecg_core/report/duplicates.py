"""The report's ``data.duplicates``: recordings that appear twice, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.risk.duplicates import Duplicates

COUNTS = ("within_ids", "across_ids", "across_sites", "undeclared", "probes_left_out")
NOT_LOOKED = "looked for by each site among its own recordings; the server holds none."
DONE = (
    "Ids that hold one recording count as one person in the audit: never an impostor pair, and neither member nor "
    "control where one of them trained and the other did not. Probes that copy an enrolled recording are left out. "
    "What trains was not changed."
)
NONE = "none found."


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
    left = section["probes_left_out"]
    out = f" Probe windows left out: {left}." if left else ""
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
            f"{pairs} one recording without being declared one person. The audit counts them as one; training did "
            "not, and tossed a coin for each id. Declare them to be one person."
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
