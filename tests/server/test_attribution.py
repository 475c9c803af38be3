"""The sites' explanations: hostile replies are refused by name, and no site's absence costs the run."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, MetricRecord, RecordDict

import server.run
from server.attribution import ask_sites, read_rows
from server.federation import Answer
from server.strategy import Refused
from simulations.engines import inline
from simulations.engines.base import Order
from simulations.launcher import check, installed_app, options_of
from transecg_core.attribution import at_site
from transecg_core.attribution.site_rows import (
    AT_SITE,
    COARSE,
    DIFFERS,
    FROM_DATA,
    NO_ANSWER,
    NOBODY_HELD_OUT,
    NOT_ALLOWED,
    REFUSED,
    TOOK_NO_PART,
    WITHHELD,
    questions,
    row,
    row_without,
    rows_without,
)
from transecg_core.cohorts.schema import COMPONENTS
from transecg_core.config import RunConfig, parse
from transecg_core.run_record import RunRecord

TASKS = ("participant", "sex")


def config(**options: object) -> RunConfig:
    given = {key.replace("_", "-"): value for key, value in options.items()}
    return parse({"cohort": "node", "sites": "a,b", "tasks": ",".join(TASKS), "num-server-rounds": 2} | given)


def honest() -> list[dict[str, Any]]:
    """One map, one row withheld beside it, and a head of a task on whose people everybody trained."""
    duration = (0.1, 0.08, 0.15, 0.07, 0.3, 0.25, 0.05)
    share = (0.1, 0.0, 0.45, 0.05, 0.2, 0.2, 0.0)
    components = {
        name: {"share": s, "duration": d, "enrichment": round(s / d, 3), "ci95": [0.0, round(1.5 * s / d, 3)]}
        for name, s, d in zip(COMPONENTS, share, duration, strict=True)
    }
    own, other, *rest = questions(TASKS)
    return [
        row(own, components, 12, 0.75),
        row_without(other, DIFFERS),
        *(row_without(question, NOBODY_HELD_OUT) for question in rest),
    ]


def sent(rows: object, site: object = "a", number: object = 2, **more: str) -> RecordDict:
    text = rows if isinstance(rows, str) else json.dumps(rows)
    return RecordDict({"reply": ConfigRecord({"site": site, "round": number, "attribution": text, **more})})  # type: ignore[dict-item]


def test_an_honest_answer_is_read_in_the_order_of_the_questions() -> None:
    assert read_rows(sent(honest()), "a", config()) == honest()
    assert read_rows(sent(honest()[::-1]), "a", config(), most_people=14) == honest()
    assert read_rows(RecordDict({"reply": ConfigRecord({"site": "a", "round": 2})}), "a", config()) is None


def changed(**keys: object) -> list[dict[str, Any]]:
    """The first row, which has a map, with other values."""
    rows = honest()
    rows[0] |= keys
    return rows


def component(name: str = "QRS", **keys: object) -> list[dict[str, Any]]:
    rows = copy.deepcopy(honest())
    rows[0]["components"][name] |= keys
    return rows


def without(key: str) -> list[dict[str, Any]]:
    rows = honest()
    del rows[0][key]
    return rows


def reason(word: object, place: int = 1) -> list[dict[str, Any]]:
    """A row without components, for another reason."""
    rows = honest()
    rows[place] |= {"reason": word}
    return rows


def beside_a_reason(**keys: object) -> list[dict[str, Any]]:
    rows = honest()
    rows[1] |= keys
    return rows


def trained_on() -> list[dict[str, Any]]:
    """Figures of a person's attribute from people whom the head trained on."""
    rows = honest()
    rows[2] = rows[0] | {key: rows[2][key] for key in ("task", "head", "method")}
    return rows


SILENT = {"components": None, "n_participants": None, "accuracy": None}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (RecordDict(), "of another site"),
        (RecordDict({"reply": MetricRecord({"round": 2})}), "of another site"),
        (sent(honest(), site="b"), "of another site"),
        (sent(honest(), number=1), "of another round"), (sent(honest(), number="2"), "of another round"),
        (sent(honest(), number=2.0), "of another round"),
        (RecordDict({"reply": ConfigRecord({"site": "a", "round": 2, "attribution": [1.0]})}), "no text"),
        (sent("["), "no JSON"), (sent("[" * 9000), "no JSON"), (sent("9" * 5000), "no JSON"),
        (sent(" " * 40_001), "no text"),
        (sent({}), "no list"), (sent("null"), "no list"),
        (sent([]), "other questions"), (sent(honest()[:3]), "other questions"), (sent(honest() * 2), "other questions"),
        (sent([*honest(), honest()[0]]), "other questions"), (sent([honest()[1], *honest()[1:]]), "other questions"),
        (sent([1] * 4), "not the known keys"), (sent(changed(names=["Ada"])), "not the known keys"),
        (sent(without("accuracy")), "not the known keys"),
        (sent(changed(task="diagnosis")), "other questions"), (sent(changed(task=["sex"])), "no question"),
        (sent(changed(head="shared")), "other questions"), (sent(changed(method="<script>")), "other questions"),
        (sent(changed(n_participants=9)), "people"), (sent(changed(n_participants=True)), "people"),
        (sent(changed(n_participants=12.0)), "people"), (sent(changed(n_participants=10**9)), "people"),
        (sent(changed(n_participants=15)), "from 10 to 14"), (sent(changed(n_participants=None)), "from 10 to 14"),
        (sent(changed(accuracy=None)), "accuracy"), (sent(changed(accuracy=1.2)), "accuracy"),
        (sent(changed(accuracy=True)), "accuracy"), (sent(changed(accuracy=math.nan)), "accuracy"),
        (sent(changed(accuracy="0.5")), "accuracy"),
        (sent(changed(reason="near chance")), "both"), (sent(changed(components=None)), "neither"),
        (sent(changed(**SILENT)), "neither"), (sent(reason(None)), "neither"),
        (sent(beside_a_reason(n_participants=12)), "other figures"), (sent(beside_a_reason(accuracy=0.5)), "other figures"),
        (sent(beside_a_reason(n_participants=12, accuracy=0.5)), "other figures"),
        (sent(changed(components=None, reason="near chance")), "other figures"),
        (sent(reason("patient 7 is odd")), "on the list"), (sent(reason(["near chance"])), "on the list"),
        (sent(reason(NO_ANSWER)), "on the list"),  # a word of the server's
        (sent(reason(COARSE)), "on the list"), (sent(reason(NOBODY_HELD_OUT)), "on the list"),
        (sent(reason(TOOK_NO_PART)), "on the list"),  # of some rows alone
        (sent(reason("near chance", 2)), "held out"), (sent(trained_on()), "held out"),
        (sent(changed(components=[])), "components"), (sent(changed(components={})), "components"),
        (sent(changed(components={**honest()[0]["components"], "Q": {}})), "components"),
        (sent(component(people=[0.1])), "known figures"),
        (sent(component(share=1.2)), "between 0 and 1"), (sent(component(share=-0.1)), "between 0 and 1"),
        (sent(component(share=math.nan)), "between 0 and 1"), (sent(component(share=1)), "between 0 and 1"),
        (sent(component(duration=math.inf)), "between 0 and 1"), (sent(component(duration=None)), "between 0 and 1"),
        (sent(component(share=0.3, enrichment=2.0)), "shares add up to 0.850"),
        (sent(component(duration=0.3, enrichment=1.5)), "durations add up to 1.150"),
        (sent(component(enrichment=2.0)), "not share over duration"), (sent(component(enrichment=math.nan)), "no ratio"),
        (sent(component(enrichment="3")), "no ratio"), (sent(component(enrichment=None)), "no ratio"),
        (sent(component(ci95=None)), "no ratio"), (sent(component(ci95=[1.0])), "no ratio"),
        (sent(component(ci95=[1.0, math.inf])), "no ratio"), (sent(component(ci95=[-1.0, 1.0])), "no ratio"),
        (sent(component(ci95=[2.0, 1.0])), "upside down"), (sent(component(ci95=["a", "b"])), "no ratio"),
    ],
)  # fmt: skip
def test_a_hostile_answer_is_refused(reply: RecordDict, why: str) -> None:
    with pytest.raises(Refused, match=why) as error:
        read_rows(reply, "a", config(), most_people=14)
    assert str(error.value).isascii()


@pytest.mark.parametrize("word", sorted(FROM_DATA))
def test_every_reason_of_the_data_is_read(word: str) -> None:
    assert read_rows(sent(reason(word)), "a", config()) == reason(word)


def test_a_component_of_a_few_people_is_folded_into_undefined_or_the_answer_refused() -> None:
    rows = component("PQ", **dict.fromkeys(("share", "duration", "enrichment", "ci95")))
    with pytest.raises(Refused, match=r"durations add up to 0\.920"):
        read_rows(sent(rows), "a", config())
    rows[0]["components"]["undefined"] |= {"duration": 0.13}
    assert read_rows(sent(rows), "a", config()) == rows
    with pytest.raises(Refused, match="between 0 and 1"):
        read_rows(sent(component("undefined", **dict.fromkeys(("share", "duration")))), "a", config())


def test_reasons_of_the_run_are_read_where_they_hold_and_no_figure_instead() -> None:
    absent = list(rows_without(TASKS, TOOK_NO_PART))
    for options in ({}, {"patch": 10}, {"cohort": "synthetic"}):
        assert (
            read_rows(sent(absent, "synth-a"), "synth-a", config(sites="synth-a,synth-b", **options))
            == absent
        )
    coarse = list(rows_without(TASKS, COARSE))
    assert read_rows(sent(coarse), "a", config(patch=10)) == coarse
    for rows in (honest(), [honest()[0], *coarse[1:]]):
        with pytest.raises(Refused, match="too coarse"):
            read_rows(sent(rows), "a", config(patch=10))
    held_out = config(cohort="synthetic", sites="synth-a,synth-b")  # halves are held out in a simulation
    assert read_rows(sent(trained_on()[:3] + reason(DIFFERS, 3)[3:], "synth-a"), "synth-a", held_out)
    with pytest.raises(Refused, match="on the list"):
        read_rows(sent(honest(), "synth-a"), "synth-a", held_out)
    assert FROM_DATA < AT_SITE


class Federation:
    """Sites that answer what they are told to."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def ask(self, kind: str, orders: dict[str, RecordDict]) -> dict[str, Answer]:
        self.asked += [kind, *orders]
        return self.answers


def ask(federation: Federation, cfg: RunConfig, tasks: tuple[str, ...] = TASKS) -> tuple[Any, list[str]]:
    lines: list[str] = []
    orders = {site: RecordDict() for site in cfg.site_names}
    people = dict.fromkeys(cfg.site_names, 14)
    return ask_sites(federation, cfg, orders, tasks, people, lines.append), lines  # type: ignore[arg-type]


def test_every_site_is_named_whether_it_answered_refused_lied_or_died() -> None:
    sites = "d,c,b,a"
    kept_back = RecordDict({"reply": ConfigRecord({"site": "b", "round": 2})})
    federation = Federation(
        d=Answer(None, "no answer within 9 s"), c=Answer(sent(changed(accuracy=math.nan), site="c")),
        b=Answer(kept_back), a=Answer(sent(honest())),
    )  # fmt: skip
    rows, lines = ask(federation, config(sites=sites))
    assert federation.asked == ["query.attribute", "a", "b", "c", "d"]
    assert [row["site"] for row in rows] == sorted("abcd" * 4)
    assert [dict(row) for row in rows[:4]] == [{"site": "a", **row} for row in honest()]
    reasons = {site: {row["reason"] for row in rows if row["site"] == site} for site in "bcd"}
    assert reasons == {"b": {NOT_ALLOWED}, "c": {REFUSED}, "d": {NO_ANSWER}}
    assert "attribution: site 'd' gave none: no answer within 9 s" in lines
    assert any("site 'c' gave none: refused: its accuracy" in line for line in lines)
    rows, _ = ask(federation, config(sites=sites), tasks=("sex",))  # nobody trained the other head
    assert {row["task"] for row in rows} == {"sex"}


@pytest.mark.parametrize("unit", ["participant", "window"])
def test_under_a_guarantee_no_institution_is_even_asked(unit: str) -> None:
    federation = Federation()
    rows, _ = ask(federation, config(privacy=unit, tasks="sex"), tasks=("sex",))
    assert federation.asked == []
    assert {row["reason"] for row in rows} == {WITHHELD}
    assert [row["site"] for row in rows] == ["a", "a", "b", "b"]


# synth-b and synth-d alone have labelled beats; 24 people, so that half of them are ten or more
RUN = {
    "sites": "synth-b,synth-d", "participants-per-site": "24", "tasks": "participant,beat",
    "profile": "quick", "num-server-rounds": "1", "local-steps": "60", "batch-size": "16", "learning-rate": "0.006",
}  # fmt: skip


def told(monkeypatch: pytest.MonkeyPatch, out: Path, nodes: int = 2, **options: str) -> tuple[Any, list[str]]:
    """Return the rows of one small run on the inline engine, which ends without a report, and its log."""
    records: list[RunRecord] = []

    def keep(record: RunRecord, weights: object, folder: Path, say: object) -> Path:
        records.append(record)
        return folder

    monkeypatch.setattr(server.run, "report_run", keep)
    cfg = check(RUN | {"output-dir": str(out), **options}, out)
    lines: list[str] = []
    inline.run(Order(installed_app(), options_of(cfg), nodes, lines.append, lines.append), 1)
    return records[0].at_sites, lines


@pytest.mark.audit
def test_a_run_explains_at_its_sites_whoever_serves_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Fewer steps leave the head near chance, and nothing to explain.
    rows, _ = told(monkeypatch, tmp_path / "two", **{"local-steps": "120"})
    assert [(row["site"], row["task"]) for row in rows] == [
        (site, task) for site in ("synth-b", "synth-d") for task in ("beat", "participant") for _ in range(2)
    ]
    assert {(row["n_participants"] or 10) >= 10 for row in rows} == {True}
    assert {row["reason"] for row in rows} <= FROM_DATA | {None}
    assert any(row["components"] for row in rows if row["head"] == "shared")
    assert told(monkeypatch, tmp_path / "one", nodes=1, **{"local-steps": "120"})[0] == rows


def test_a_site_that_fails_at_the_last_question_is_named_and_the_run_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    honest_site = at_site.explain_at_site

    def explain(cfg: Any, site: Any, *more: Any) -> Any:
        if site.data.name == "synth-d":
            raise RuntimeError("disk on fire")
        return honest_site(cfg, site, *more)

    monkeypatch.setattr(at_site, "explain_at_site", explain)
    rows, lines = told(monkeypatch, tmp_path, **{"local-steps": "1", "patch": "10", "privacy": "participant"})
    assert {row["reason"] for row in rows if row["site"] == "synth-d"} == {NO_ANSWER}
    assert NO_ANSWER not in {row["reason"] for row in rows if row["site"] == "synth-b"}
    assert any("site 'synth-d' gave none" in line and "disk on fire" in line for line in lines)
