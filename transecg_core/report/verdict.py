"""The report in plain sentences, each derived from its numbers and nothing else.

A comparison ends in a conclusion only where the 95 % interval of the paired difference
excludes zero; without a paired difference, where the two intervals do not overlap (stricter:
it may withhold a conclusion that more people would allow); against a fixed reference, where
the interval lies above it. Otherwise the sentence says "no conclusion".
Every sentence reads ``Topic: text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transecg_core.report.carried import carried
from transecg_core.report.claim import ELSEWHERE, ceiling_words, privacy_claim
from transecg_core.report.headline import Headline, Row, headline, is_leaky, measured
from transecg_core.report.leakage import exceeds_ceiling, leaks, one_by_one, reference
from transecg_core.report.numbers import figure, with_interval
from transecg_core.report.paper_sentence import paper_sentence
from transecg_core.report.people import SYNTHETIC, about_whom, holds, never_trained_on
from transecg_core.report.useful import useful
from transecg_core.report.words import QUICK, plain_name
from transecg_core.risk.protocols import LEAKY

Report = Mapping[str, Any]


def verdict(report: Report) -> list[str]:
    """Return the verdict: what is in the signals anyway, what the model can do, what training gave away.

    A run of profile quick states its figures and concludes nothing.
    """
    picked, quick = headline(report["risks"]), is_quick(report)
    topics = [
        ("Evidence", _evidence(report, picked)),
        ("In the signals anyway (A)", _signals(report, picked)),
        ("What the model can do (B)", _model(report, picked)),
        ("Given away by training (C)", _training(report, picked)),
        ("Carried by", carried(report, quick)),
        ("TransECG's sentence", paper_sentence(report, quick)),
        ("Privacy claim", privacy_claim(report)),
        ("Still useful for", useful(report, quick)),
    ]
    return [f"{topic}: {' '.join(sentences)}" for topic, sentences in topics if sentences]


def is_quick(report: Report) -> bool:
    """Return whether the run was only to show that everything works."""
    return bool(report["training"]["profile"] == "quick")


def _evidence(report: Report, picked: Headline) -> list[str]:
    out = [f"Profile quick {QUICK}."] if is_quick(report) else []
    if report["data"]["kind"] == "synthetic":
        out.append(
            "The signals are generated: the figures check the method and say nothing about real patients."
        )
    if report["privacy"]["unit"] == ELSEWHERE:
        out.append("The model was trained elsewhere: what it was trained on, and how, is not checked here.")
    if report["data"]["audited_on"] == SYNTHETIC:
        out.append(
            "The server holds nobody's ECG: A, B and the attribution were measured on embedded synthetic people. "
            "They say nothing about how identifiable the institutions' own participants are."
        )
    if picked.protocol == LEAKY:
        out.append(
            "Only the leaky random-window protocol was measured: its figures are too high, conclude nothing."
        )
    elif is_leaky(report):
        out.append("Rows marked random-window are leaky; this verdict does not use them for identification.")
    return out


def _about(report: Report, row: Row) -> str:
    """Return ``78 % (69 to 86 %; 46 people it trained on, other-session)``."""
    said = with_interval(row["main"], row["ci95"], row["metric"])
    size = ", ".join(part for part in (about_whom(row, report["data"]), row["protocol"]) if part)
    return f"{said.removesuffix(')')}; {size})" if said.endswith(")") else f"{said} ({size})"


def _signals(report: Report, picked: Headline) -> list[str]:
    row = picked.floor
    if row is None:
        return ["No conclusion: no signal-only method was measured."]
    guess = (
        f" Guessing finds {figure(row['baseline'], row['metric'])}." if row["baseline"] is not None else ""
    )
    return [
        f"Without our model, {plain_name(row['name'])} already finds the right person for {_about(report, row)}.{guess}",
        "Neither training choices nor differential privacy change this.",
    ]


def _relation(row: Row, other: Row) -> str:
    """Return ``above``, ``below`` or ``open`` by whether the two intervals overlap."""
    if row["ci95"] is None or other["ci95"] is None:
        return "open"
    if row["ci95"][0] > other["ci95"][1]:
        return "above"
    return "below" if row["ci95"][1] < other["ci95"][0] else "open"


def _model(report: Report, picked: Headline) -> list[str]:
    row = picked.model
    if row is None:
        return ["No conclusion: identification by the released encoder was not measurable."]
    unseen = (
        ""
        if row["control"] is None
        else f", and for {figure(row['control'], row['metric'])} of {never_trained_on(row)}"
    )
    quick = is_quick(report)
    out = ["No conclusion (profile quick)."] if quick else []
    out.append(f"The released encoder finds the right person for {_about(report, row)}{unseen}.")
    out += [
        _against_floor(row, picked, quick),
        _against_start(picked, quick),
        _against_random(row, picked, quick),
        _adapted(report, row),
    ]
    if report["training"]["still_falling"] and not quick:
        out.append("The training loss was still falling: read this as a lower bound.")
    return [sentence for sentence in out if sentence]


def _adapted(report: Report, row: Row) -> str:
    """Say what the encoder gives an attacker who adapts to it: cosine alone can make a model look harmless."""
    where = ("adaptive identification", row["site"], row["protocol"], row["metric"])
    for other in report["risks"]:
        if (other["name"], other["site"], other["protocol"], other["metric"]) == where and measured(other):
            known = with_interval(other["main"], other["ci95"], other["metric"])
            untrained = other["baseline"]
            same = (
                f", and {figure(untrained, other['metric'])} from the untrained encoder"
                if untrained is not None
                else ""
            )
            return f"An attacker who first rescales its embeddings on public synthetic people gets {known}{same}."
    return ""


def _sign(gain: Row) -> str:
    low, high = gain["ci95"]
    return "above" if low > 0 else "below" if high < 0 else "open"


def _against_floor(row: Row, picked: Headline, quick: bool) -> str:
    floor, gain = picked.floor, picked.gain_floor
    if floor is None and gain is None:
        return "No conclusion on what it adds: there is no signal-only figure to hold it against."
    if gain is not None:
        relation, known = (
            _sign(gain),
            f"paired difference {with_interval(gain['main'], gain['ci95'], gain['metric'])}",
        )
        why = "the interval includes zero"
    else:
        relation, known = (
            _relation(row, floor or row),
            f"{plain_name(floor['name'])} {figure(floor['main'], row['metric'])}" if floor else "",
        )
        why = "the intervals overlap"
    if quick:
        return f"Against the best signal-only method: {known}."
    return {
        "above": f"That is more than the best signal-only method, {known}: releasing it adds to the risk.",
        "below": f"That is less than the best signal-only method, {known}: alone it identifies fewer people. "
        "Combining both was not tested.",
        "open": f"No conclusion on whether it adds anything beyond the best signal-only method, {known}: {why}.",
    }[relation]


def _against_start(picked: Headline, quick: bool) -> str:
    """Say what training on these people changed, where pretraining on synthetic ones came first."""
    gain = picked.gain_start
    if gain is None:
        return ""
    known = with_interval(gain["main"], gain["ci95"], gain["metric"])
    if quick:
        return f"Against the pretrained start: {known}."
    return {
        "above": f"Training here made it a better re-identifier than its pretrained start: {known}.",
        "below": f"Training here made it a worse re-identifier than its pretrained start: {known}.",
        "open": f"No conclusion on what training here changed against the pretrained start: {known}.",
    }[_sign(gain)]


def _against_random(row: Row, picked: Headline, quick: bool) -> str:
    untrained, gain = picked.random_init, picked.gain_random
    if untrained is None and gain is None:
        return ""
    if gain is not None:
        relation, known = _sign(gain), with_interval(gain["main"], gain["ci95"], gain["metric"])
    else:
        relation, known = (
            _relation(row, untrained or row),
            figure(untrained["main"], row["metric"]) if untrained else "",
        )
    if gain is None:
        known = f"untrained {known}"
    if quick:
        return f"Against the untrained encoder: {known}."
    what = "Training" if picked.gain_start is None else "Pretraining and training together"
    return {
        "above": f"{what} made the encoder a better re-identifier than it was untrained: {known}.",
        "below": f"{what} made the encoder a worse re-identifier than it was untrained: {known}.",
        "open": f"No conclusion on what {what.lower()} changed: {known}.",
    }[relation]


def _training(report: Report, picked: Headline) -> list[str]:
    rows = [row for row in report["risks"] if row["kind"] == "C"]
    out = _membership(report, picked.membership)
    if not is_quick(report):
        out += one_by_one(report, picked.membership, picked.protocol)
    broken = sorted({f"{plain_name(row['name'])} at {row['site']}" for row in rows if exceeds_ceiling(row)})
    if broken:
        out.append(
            f"GUARANTEE VIOLATED: {', '.join(broken)} lies above the ceiling that the epsilon allows. "
            "Treat the epsilon as wrong until this is explained."
        )
    return out


def _membership(report: Report, row: Row | None) -> list[str]:
    if row is None:
        return ["No conclusion: membership was not measured."]
    if not measured(row):
        why = (row["notes"] or "no reason given").removeprefix("not measurable: ")
        return [f"No conclusion: membership was not measurable ({why})."]
    said = f"{row['metric']} {_about(report, row)}"
    known = reference(row)
    if is_quick(report):
        return [f"No conclusion (profile quick): {plain_name(row['name'])} gives {said}.", *_bound(row)]
    if row["ci95"] is None or known is None:
        return [f"No conclusion: the membership test gives {said}, without an interval or a reference."]
    if leaks(row):
        out = [
            f"An observer who holds {holds(row)}, can tell who was in training better than by guessing, "
            f"from {plain_name(row['name'])}: {said}."
        ]
    else:
        out = [
            f"No conclusion: for an observer who holds {holds(row)}, {plain_name(row['name'])} is compatible "
            f"with guessing, {said}. That is no proof of safety: up to "
            f"{figure(row['ci95'][1], row['metric'])} can't be excluded."
        ]
    return out + _bound(row)


def _bound(row: Row) -> list[str]:
    return [] if row["ceiling"] is None else [f"The privacy guarantee {ceiling_words(row)}."]
