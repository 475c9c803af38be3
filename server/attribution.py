"""The sites explain the final model on their own probes; what they send is checked row by row."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from flwr.app import ConfigRecord, RecordDict

from server.federation import Answer, Federation
from server.strategy import Refused
from transecg_core.attribution.judgement import MIN_PEOPLE
from transecg_core.attribution.site_rows import (
    DIGITS,
    FIGURES,
    FROM_DATA,
    NO_ANSWER,
    NOT_ALLOWED,
    REFUSED,
    TOOK_NO_PART,
    WITHHELD,
    Question,
    Row,
    questions,
    rows_without,
    ruled_out,
)
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.config import RunConfig
from transecg_core.privacy.account import claimed_unit
from transecg_core.privacy.releases import allowed
from transecg_core.sites import applied

MAX_TEXT = 40_000
"""Longest answer in characters; an honest one of all tasks and methods takes a quarter."""
MAX_ENRICHMENT = 1e6
ROUNDING = 0.51 * 10**-DIGITS
"""How far a figure may be from what was rounded."""
KEYS = frozenset({"task", "head", "method", "n_participants", "components", "reason", "accuracy"})


def ask_sites(
    federation: Federation,
    cfg: RunConfig,
    orders: Mapping[str, RecordDict],
    tasks: Iterable[str],
    most_people: Mapping[str, int | None],
    say: Callable[[str], None],
) -> tuple[Row, ...]:
    """Ask every site once, after the last round, which components of the beat the model uses on its own probes.

    A site that refuses, fails or is late loses nobody the run: its rows then hold the reason.

    Parameters
    ----------
    orders
        Site -> what it is sent: the final weights.
    tasks
        Those that somebody trained; rows of others are left out.
    most_people
        Site -> how many people it said to have, where it did.

    Returns
    -------
    tuple
        The report's ``attribution_at_sites``: every site, task and method, sorted.
    """
    if not allowed(["attribution"], claimed_unit(cfg), cfg.cohort != "node"):
        say(f"attribution at the sites: {WITHHELD}")
        found = {site: list(rows_without(cfg.task_names, WITHHELD)) for site in orders}
    else:
        say("attribution at the sites")
        answers = federation.ask("query.attribute", orders)
        found = {
            site: _rows(answer, site, cfg, most_people.get(site), say) for site, answer in answers.items()
        }
    kept = frozenset(tasks)
    rows = [{"site": site, **row} for site in sorted(found) for row in found[site] if row["task"] in kept]
    return tuple(sorted(rows, key=lambda row: (row["site"], row["task"], row["head"], row["method"])))


def _rows(
    answer: Answer, site: str, cfg: RunConfig, most_people: int | None, say: Callable[[str], None]
) -> list[Row]:
    if answer.content is None:
        say(f"attribution: site '{site}' gave none: {answer.error}")
        return list(rows_without(cfg.task_names, NO_ANSWER))
    try:
        rows = read_rows(answer.content, site, cfg, most_people)
    except Refused as refusal:
        say(f"attribution: site '{site}' gave none: refused: {refusal}")
        return list(rows_without(cfg.task_names, REFUSED))
    if rows is None:
        say(f"attribution: site '{site}' gave none: {NOT_ALLOWED}")
        return list(rows_without(cfg.task_names, NOT_ALLOWED))
    return rows


def read_rows(
    content: RecordDict, site: str, cfg: RunConfig, most_people: int | None = None
) -> list[Row] | None:
    """Validate one site's answer as if it came from an adversary; None where the site keeps it back.

    Raises
    ------
    Refused
        For a forged identity, anything but one row per question, a reason that is not on the list or not of
        this run, any figure beside a reason, a group that is too small or larger than the site, and figures
        that are no shares, durations and their ratios.
    """
    facts = content.get("reply")
    if not isinstance(facts, ConfigRecord) or facts.get("site") != site:
        raise Refused("it is of another site")
    if type(facts.get("round")) is not int or facts.get("round") != cfg.rounds:
        raise Refused("it is of another round")
    text = facts.get("attribution")
    if text is None:
        return None
    rows = _parsed(text)
    by_question: dict[Question, Row] = {}
    for row in rows:
        if not isinstance(row, dict) or row.keys() != KEYS:
            raise Refused("a row has not the known keys")
        name = tuple(row[key] for key in Question._fields)
        if not all(isinstance(part, str) for part in name):
            raise Refused("a row answers no question")
        by_question[Question(*name)] = row
    asked = questions(cfg.task_names)
    if len(rows) != len(asked) or by_question.keys() != set(asked):
        raise Refused("it answers other questions than were asked")
    for question in asked:
        _check(by_question[question], most_people)
    _check_reasons(by_question, applied(cfg))
    return [by_question[question] for question in asked]


def _parsed(text: object) -> list[Any]:
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise Refused(f"it is no text of up to {MAX_TEXT} characters")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("it is no JSON") from None
    if not isinstance(rows, list):
        raise Refused("it is no list of rows")
    return rows


def _check(row: Row, most_people: int | None) -> None:
    people, accuracy, reason = row["n_participants"], row["accuracy"], row["reason"]
    if (row["components"] is None) != (reason is not None):
        raise Refused("a row has both components and a reason, or neither")
    if reason is not None:
        if people is not None or accuracy is not None:
            raise Refused("a row without components has other figures")
        return
    most = 10**7 if most_people is None else most_people
    if type(people) is not int or not MIN_PEOPLE <= people <= most:
        raise Refused(f"its number of people is none from {MIN_PEOPLE} to {most}")
    if not _is_share(accuracy):
        raise Refused("its accuracy is none")
    _check_components(row["components"])


def _check_reasons(rows: Mapping[Question, Row], cfg: RunConfig) -> None:
    """Refuse reasons that an honest site does not give in this run, and figures where the run allows none."""
    if all(row["reason"] == TOOK_NO_PART for row in rows.values()):
        return
    for question, row in rows.items():
        reason, ruled = row["reason"], ruled_out(question, cfg.patch, cfg.audit_split == "halves")
        if ruled is not None and reason != ruled:
            raise Refused(f"an answer is due to none: {ruled}")
        if ruled is None and reason is not None and not (isinstance(reason, str) and reason in FROM_DATA):
            raise Refused("its reason is not on the list")


def _check_components(components: object) -> None:
    if not isinstance(components, dict) or components.keys() != set(COMPONENTS):
        raise Refused("its components are not the known ones")
    for name, one in components.items():
        if not isinstance(one, dict) or one.keys() != set(FIGURES):
            raise Refused("a component has not the known figures")
        if name != "undefined" and set(map(type, one.values())) == {type(None)}:
            continue  # that of a few people, counted as ``undefined``
        if not _is_share(one["share"]) or not _is_share(one["duration"]):
            raise Refused("a share or a duration is not between 0 and 1")
        _check_ratio(one["share"], one["duration"], one["enrichment"], one["ci95"])
    for what in ("share", "duration"):
        total = math.fsum(one[what] for one in components.values() if one[what] is not None)
        if abs(total - 1) > len(COMPONENTS) * ROUNDING:
            raise Refused(f"its {what}s add up to {total:.3f}")


def _check_ratio(share: float, duration: float, enrichment: object, ci95: object) -> None:
    if enrichment is None and ci95 is None:
        return
    if not isinstance(ci95, list) or len(ci95) != 2 or not all(map(_is_ratio, [enrichment, *ci95])):
        raise Refused("an enrichment or its interval is no ratio")
    if ci95[0] > ci95[1]:
        raise Refused("an interval is upside down")
    low = (share - ROUNDING) / (duration + ROUNDING) - ROUNDING
    high = (share + ROUNDING) / (duration - ROUNDING) + ROUNDING if duration > ROUNDING else 0.0
    if not low <= enrichment <= high:  # type: ignore[operator]  # a ratio, as checked above
        raise Refused("an enrichment is not share over duration")


def _is_share(value: object) -> TypeGuard[float]:
    return type(value) is float and 0 <= value <= 1  # NaN is in no order


def _is_ratio(value: object) -> TypeGuard[float]:
    return type(value) is float and 0 <= value <= MAX_ENRICHMENT
