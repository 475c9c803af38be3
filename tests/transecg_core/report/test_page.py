"""The page: made from the JSON alone, safe with hostile names, the same bytes every time."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from transecg_core.report import ReportError, complete, write_report
from transecg_core.report.cards import banners, cards, facts
from transecg_core.report.page import report_page
from transecg_core.report.schema import canonical_json

HOSTILE = "<script>alert(1)</script>\"'&$x^2$ {{ 7*7 }} \u65e5\u672c"
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, text, ids, and checks that tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open, f"stray </{tag}>"
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def all_pages(rich_page, sparse_report, private_page) -> list[str]:
    return [rich_page, report_page(complete(sparse_report)), private_page]


def test_self_contained(all_pages) -> None:
    for html in all_pages:
        page = Page(html)
        names = {tag for tag, _ in page.tags}
        assert not names & {"script", "link", "img", "iframe", "object", "base", "form"}
        assert not re.search(r"(https?:)?//[a-z]|@import|url\((?!#)", html)
        assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)
        policy = [attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_references_resolve(all_pages) -> None:
    for html in all_pages:
        page = Page(html)
        ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
        assert len(ids) == len(set(ids))
        for reference in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html):
            assert (reference[0] or reference[1]) in ids


def test_every_figure_says_what_it_shows(all_pages) -> None:
    figures = [attrs for html in all_pages for tag, attrs in Page(html).tags if tag == "svg"]
    assert len(figures) > 20
    assert all(len(attrs["aria-label"] or "") > 10 for attrs in figures)


def test_hostile_strings_are_shown_as_text(rich_report) -> None:
    name = HOSTILE
    text = json.dumps(rich_report).replace("synth-a", json.dumps(name)[1:-1])
    report = json.loads(text)
    report["limits"] = [name]
    report["manifest"]["command"] = name
    for row in report["risks"]:
        row["notes"] = row["name"] = row["observer"] = name
    report["attribution"] = {name: report["attribution"]["sex"]}
    report["example_beat"]["relevance"] = {name: report["example_beat"]["relevance"]["sex"]}
    for entry in next(iter(report["attribution"].values())).values():
        entry["reason"] = name
    html = report_page(complete(report))
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in html.lower()
    assert page.text.count(name) > 20
    assert "49" not in re.findall(r"\S+", page.text.replace(name, ""))[:5]


def test_same_report_same_bytes(rich_report, rich_page) -> None:
    shuffled = json.loads(json.dumps({key: rich_report[key] for key in reversed(list(rich_report))}))
    body = complete(shuffled)
    assert canonical_json(body) == canonical_json(complete(rich_report))
    assert report_page(body) == rich_page


def test_same_bytes_in_another_process(rich_report, rich_page, tmp_path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").write_text(canonical_json(complete(rich_report)), encoding="utf-8")
    code = (
        "import json, sys; from pathlib import Path; from transecg_core.report import write_report;"
        "write_report(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))"
    )
    arguments = [str(tmp_path / "a" / "report.json"), str(tmp_path / "b")]
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment, cwd=tmp_path)
    assert (tmp_path / "b" / "report.html").read_text(encoding="utf-8") == rich_page


def test_a_verdict_that_the_numbers_do_not_bear_is_replaced(rich_report, tmp_path) -> None:
    rich_report["verdict"] = ["Everything: is perfectly safe."]
    before = copy.deepcopy(rich_report)
    page = write_report(rich_report, tmp_path)
    assert rich_report == before
    assert "perfectly safe" not in page.read_text(encoding="utf-8")
    assert "perfectly safe" not in (tmp_path / "report.json").read_text(encoding="utf-8")


def test_a_refused_report_leaves_the_old_one(rich_report, sparse_report, tmp_path) -> None:
    write_report(sparse_report, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    del rich_report["risks"][0]["observer"]
    with pytest.raises(ReportError, match="observer"):
        write_report(rich_report, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert sorted(before) == ["report.html", "report.json"]


def test_banners(rich_report, sparse_report, private_report) -> None:
    def titles(report) -> list[str]:
        return [banner["title"] for banner in banners(complete(report))]

    assert titles(sparse_report) == re.findall(
        r'<div class="banner[^"]*"><strong>([^<]+)', report_page(complete(sparse_report))
    )
    assert titles(rich_report) == ["SYNTHETIC DATA"]
    assert titles(sparse_report)[0] == "QUICK PROFILE"
    rich_report["data"]["kind"] = "real"
    assert titles(rich_report) == []
    rich_report["manifest"]["config"]["protocol"] = "random-window"
    assert titles(rich_report) == ["LEAKY PROTOCOL"]
    assert titles(private_report()) == ["SYNTHETIC DATA", "NO GUARANTEE: SIMULATED NOISE"]
    off = private_report()
    off["privacy"]["simulation_noise"] = False
    assert titles(off) == ["SYNTHETIC DATA"]
    for site in off["privacy"]["sites"]:
        site["sigma"] = 0.0
    assert titles(off) == ["SYNTHETIC DATA", "NO GUARANTEE"]


def test_everything_measured_stands_on_the_page(rich_report, private_report, private_page) -> None:
    text = Page(private_page).text
    for row in rich_report["risks"]:
        assert row["name"] in text
        for part in row["notes"].removeprefix("not measurable: ").split("; "):
            assert part in text
    for words in (
        "no answer within 1800 s",
        "1.31",
        "0.333",
        "48",
        "1e-5",
        "zero-out",
        "No shadow models",
        "weights only",
    ):
        assert words in text
    for site in private_report()["privacy"]["sites"]:
        assert site["name"] in text


def test_a_note_of_many_rows_is_said_once_and_pointed_at(private_page) -> None:
    assert private_page.count("chance 0.010 (gallery of 96)") == 1
    assert private_page.count("<sup>1 2</sup>") == 9  # three signal methods, three protocols


def test_both_epsilons_are_shown(private_report) -> None:
    report = private_report(epsilon=2.0, unit="window")
    report.update(risks=[], attribution={}, example_beat=None)
    cells = re.findall(r'<td class="n">(?:<b>)?([^<]*)', report_page(complete(report)))
    assert "22.6" in cells
    assert "2" in cells


def test_greyed_maps_say_why(rich_page) -> None:
    assert rich_page.count("greyed: no better than random</figcaption>") == 3 * 2
    assert rich_page.count("no better than random; insertion minus deletion, less random: -0.01") == 3


def test_a_model_near_chance_gets_no_map(rich_page) -> None:
    age = rich_page.partition("<h3>Task: age</h3>")[2].partition("<h3>")[0]
    assert "No map: the model is near chance: balanced accuracy 0.35." in age
    assert "<svg" not in age
    assert rich_page.count("No map: the model is near chance") == 2  # beside the pictures, and in the table


def test_figures_survive_extreme_numbers(rich_report) -> None:
    rich_report["example_beat"]["x"] = [0.0] * 200
    for methods in rich_report["example_beat"]["relevance"].values():
        methods["occlusion"] = [0.0] * 200
    for methods in rich_report["attribution"].values():
        for entry in methods.values():
            entry["components"]["P"].update(enrichment=0.0, share=0.0, ci95=[0.0, 0.0])
            entry["components"]["T"].update(enrichment=80.0, ci95=[0.0, 900.0])
            entry["components"]["ST"].update(enrichment=None, ci95=None)
    rich_report["risks"][0].update(main=-3.0, ci95=[-9.0, 12.0])
    rich_report["training"]["rounds"] = [{"round": 1, "loss": {"synth-a": -0.5}, "absent": {}}]
    Page(report_page(complete(rich_report)))


def test_no_loss_no_curve(sparse_report) -> None:
    page = report_page(complete(sparse_report))
    assert "<svg" not in page
    assert "Losses are withheld" in page


def test_cards_say_whom_they_are_about(rich_report, private_report) -> None:
    model = cards(rich_report)[1]
    assert model["title"] == "What the model can do"
    assert "46 people it trained on" in model["against"][0]
    assert model["against"][1] == "44 people never trained on: 71 %"
    rich_report["data"]["audited_on"] = "synthetic people"
    assert "46 synthetic people, none of whom trained" in cards(rich_report)[1]["against"][0]
    leakage = cards(private_report())[2]
    assert "an observer who holds the person's own training windows" in leakage["what"]
    assert "privacy guarantee: allows at most 0.93" in leakage["against"][-1]


def test_a_ceiling_of_one_is_called_none(private_report) -> None:
    report = private_report()
    for row in report["risks"]:
        row["ceiling"] = 1.0 if row["ceiling"] else None
    assert cards(report)[2]["against"][-1].endswith("privacy guarantee: bounds nothing here")
    assert any("The privacy guarantee bounds nothing here." in text for text in complete(report)["verdict"])


def test_the_top_counts_ids_and_says_whose_epsilon(rich_report, private_report) -> None:
    assert (
        "96 participants at 4 synthetic sites, 50 trained on (ids: somebody at two sites counts twice)"
        in facts(rich_report)
    )
    report = private_report()
    assert "participant-level privacy, epsilon per person 8 at any one site" in facts(report)
    report["privacy"]["epsilon_two_sites"] = 14.25
    known = "epsilon per person 14.2 for people at two sites, 8 at any one site"
    assert f"participant-level privacy, {known}" in facts(report)
    assert ">14.2<" in report_page(complete(report))


def test_each_reason_for_no_score_is_said_once(rich_report) -> None:
    empty = rich_report["utility"]["beat"]["synth-a"]
    rich_report["utility"]["sex"] |= {"synth-b": empty, "synth-c": empty}
    page = report_page(complete(rich_report))
    assert page.count("fewer than 5 labelled people") == 1
    assert "one class only: beat at synth-a; sex at synth-b, synth-c<" in page


def test_the_site_matrix_marks_the_leaky_protocol(rich_report) -> None:
    for row in rich_report["risks"]:
        row["protocol"] = "random-window"
    sites = report_page(complete(rich_report)).partition('id="sites"')[2].partition('id="utility"')[0]
    assert sites.count("<b>(leaky)</b>") == 3


def test_a_private_row_says_that_missed_rounds_are_only_planned(private_page, private_report) -> None:
    # synth-c was absent once; its row counts the steps of every round all the same
    assert private_page.count("planned; took part in 11 of 12 rounds") == 1
    full = private_report()
    for one in full["training"]["rounds"]:
        one["absent"] = {}
    assert "planned; took part" not in report_page(complete(full))
