"""The top of the page: facts, banners, and one figure for each of the three risks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.claim import ELSEWHERE, ceiling_words, epsilons
from transecg_core.report.headline import Headline, Row, has_guarantee, headline, is_leaky
from transecg_core.report.leakage import exceeds_ceiling
from transecg_core.report.numbers import count, figure, interval, with_interval
from transecg_core.report.people import SYNTHETIC, about_whom, holds, never_trained_on
from transecg_core.report.verdict import is_quick
from transecg_core.report.words import KINDS, QUICK, plain_name

Report = Mapping[str, Any]

GENERATED = (
    "Every signal and every person here is generated. Nothing on this page is a finding about patients."
)
FROM_ELSEWHERE = "Only its weights are known here. How it was trained, and on whom, is what its owner says."
ON_SYNTHETIC = (
    "The server of a pilot holds nobody's ECG. Linkability, capability and attribution were measured on embedded "
    "synthetic people; the institutions' own participants were not measured."
)
INFLATED = (
    "random-window puts windows of one recording on both sides of the test. Its figures are inflated and are shown "
    "only for comparison with published ones."
)
CLIPPED_ONLY = "Gradients were clipped but no noise was added. This reference arm protects nobody."
SEEDED = (
    "The noise came from a seed so that the run repeats. The epsilons describe the mechanism; they protect nobody "
    "until it runs with a secret noise source."
)


def facts(report: Report) -> list[str]:
    """Return the run in a few words each."""
    sites = report["data"]["sites"]
    people, trained = _total(sites, "participants"), _total(sites, "trained_on")
    where = count(len(sites), f"{report['data']['kind']} site")
    out = [where]
    if people is not None:
        twice = " (ids: somebody at two sites counts twice)" if len(sites) > 1 else ""
        on = "" if trained is None else f", {count(trained)} trained on"
        out = [f"{count(people, 'participant')} at {where}{on}{twice}"]
    training, profile = report["training"], f"profile {report['training']['profile']}"
    elsewhere = report["privacy"]["unit"] == ELSEWHERE
    out.append(profile if elsewhere else f"{count(len(training['rounds']), 'round')}, {profile}")
    out.append(_privacy_fact(report))
    out += [] if elsewhere else [f"{report['manifest']['engine']} engine"]
    out += [f"seed {value}" for name, value in sorted(report["manifest"]["seeds"].items()) if name == "run"]
    return out


def _total(sites: list[dict[str, Any]], key: str) -> int | None:
    values = [site[key] for site in sites]
    return None if None in values else sum(values)


def _privacy_fact(report: Report) -> str:
    unit = report["privacy"]["unit"]
    if unit == ELSEWHERE:
        return "trained elsewhere, privacy not known"
    if unit == "none":
        return "no differential privacy"
    if not has_guarantee(report):
        return f"{unit} clipping without noise"
    known = epsilons(report["privacy"])
    if known is None:
        return f"{unit}-level privacy, no finite epsilon per person"
    return f"{unit}-level privacy, epsilon per person {', '.join(known)}"


def banners(report: Report) -> list[dict[str, str]]:
    """Return what must be read before anything else."""
    broken = [row["name"] for row in report["risks"] if exceeds_ceiling(row)]
    unit, guarantee = report["privacy"]["unit"], has_guarantee(report)
    shown = (
        (is_quick(report), "QUICK PROFILE", f"This profile {QUICK}."),
        (report["data"]["kind"] == "synthetic", "SYNTHETIC DATA", GENERATED),
        (unit == ELSEWHERE, "MODEL TRAINED ELSEWHERE", FROM_ELSEWHERE),
        (report["data"]["audited_on"] == SYNTHETIC, "AUDITED ON SYNTHETIC PEOPLE", ON_SYNTHETIC),
        (is_leaky(report), "LEAKY PROTOCOL", INFLATED),
        (unit not in ("none", ELSEWHERE) and not guarantee, "NO GUARANTEE", CLIPPED_ONLY),
        (guarantee and report["privacy"]["simulation_noise"], "NO GUARANTEE: SIMULATED NOISE", SEEDED),
        (bool(broken), "GUARANTEE VIOLATED", f"{broken[0]} exceeds what the stated epsilon allows. Treat the epsilon as "
         "wrong." if broken else ""),
    )  # fmt: skip
    return [
        {"style": "synthetic" if "SYNTHETIC" in title else "", "title": title, "text": text}
        for wanted, title, text in shown
        if wanted
    ]


def cards(report: Report) -> list[dict[str, Any]]:
    """Return one headline figure for each kind of risk."""
    picked = headline(report["risks"])
    rows = {"A": picked.floor, "B": picked.model, "C": picked.membership}
    against = {
        "A": _against_guess(picked.floor),
        "B": [*_strangers(picked.model), *_against_floors(picked)],
        "C": _against_ceiling(picked.membership),
    }
    return [_card(report, kind, rows[kind["kind"]], against[kind["kind"]]) for kind in KINDS]


def _card(report: Report, kind: Mapping[str, str], row: Row | None, against: list[str]) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kind": kind["kind"],
        "title": kind["title"],
        "against": [],
        "value": None,
        "what": kind["question"],
    }
    if row is None:
        return base
    if row["main"] is None:
        return {**base, "against": [row["notes"] or "no reason given"]}
    what = f"{row['metric']}, {row['protocol']}: {plain_name(row['name'])}"
    if row["kind"] == "C":
        what += f", for an observer who holds {holds(row)}"
    known = [
        f"95 % interval {interval(row['ci95'], row['metric'])}" if row["ci95"] is not None else "",
        about_whom(row, report["data"]),
    ]
    first = "; ".join(part for part in known if part)
    against = [first, *against] if first else against
    return {**base, "value": figure(row["main"], row["metric"]), "what": what, "against": against}


def _against_guess(row: Row | None) -> list[str]:
    if row is None or row["baseline"] is None:
        return []
    return [f"guessing: {figure(row['baseline'], row['metric'])}"]


def _strangers(row: Row | None) -> list[str]:
    if row is None or row["control"] is None:
        return []
    return [f"{never_trained_on(row)}: {figure(row['control'], row['metric'])}"]


def _against_floors(picked: Headline) -> list[str]:
    """Compare on the same people where paired differences exist, else with the floors' own figures."""
    out = []
    for gain, row, words in (
        (picked.gain_floor, picked.floor, "best signal-only method"),
        (picked.gain_start, None, "pretrained start"),
        (picked.gain_random, picked.random_init, "untrained encoder"),
    ):
        if gain is not None:
            out.append(f"against the {words}: {with_interval(gain['main'], gain['ci95'], gain['metric'])}")
        elif row is not None:
            out.append(f"{words}: {figure(row['main'], row['metric'])}")
    return out


def _against_ceiling(row: Row | None) -> list[str]:
    if row is None or row["main"] is None:
        return []
    guess = "" if row["baseline"] is None else f"guessing: {figure(row['baseline'], row['metric'])}; "
    bound = "no privacy ceiling" if row["ceiling"] is None else f"privacy guarantee: {ceiling_words(row)}"
    return [f"{guess}{bound}"]
