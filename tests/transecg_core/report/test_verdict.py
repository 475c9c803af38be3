"""Known answers: what the report says of given numbers."""

from __future__ import annotations

from typing import Any

import pytest

from transecg_core.report.headline import headline, pick_protocol
from transecg_core.report.verdict import verdict


def said(report: dict[str, Any], topic: str) -> str:
    found = [text for text in verdict(report) if text.startswith(topic)]
    assert len(found) == 1, verdict(report)
    return found[0]


def rows(report: dict[str, Any], **wanted: str) -> list[dict[str, Any]]:
    found = [row for row in report["risks"] if all(row[k] == v for k, v in wanted.items())]
    assert found
    return found


def drop(report: dict[str, Any], **wanted: str) -> None:
    gone = rows(report, **wanted)
    report["risks"] = [row for row in report["risks"] if row not in gone]


FLOOR_GAIN = {"metric": "gain in rank-1 over the best signal floor", "protocol": "other-session"}


def test_the_strongest_signal_method_speaks_for_the_signals(rich_report) -> None:
    text = said(rich_report, "In the signals anyway")
    assert "PCA+LDA on raw beats already" in text
    assert "73 %" in text
    assert "correlating" not in text


def test_an_attacker_who_adapts_is_told_where_measured(rich_report) -> None:
    row = headline(rich_report["risks"]).model
    assert "rescales" not in said(rich_report, "What the model can do (B)")
    adapted = {**row, "name": "adaptive identification", "main": 0.81, "ci95": [0.7, 0.9], "baseline": 0.8}
    rich_report["risks"].append(adapted)
    text = said(rich_report, "What the model can do (B)")
    assert "public synthetic people gets 81 % (70 to 90)" in text
    assert "80 % from the untrained encoder" in text
    adapted["main"] = None
    assert "rescales" not in said(rich_report, "What the model can do (B)")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ([0.02, 0.12], "adds to the risk"),
        ([-0.2, -0.02], "Combining both was not tested"),
        ([-0.1, 0.1], "No conclusion on whether"),
    ],
)
def test_against_the_floor_by_paired_difference(rich_report, interval, expected) -> None:
    row = rows(rich_report, **FLOOR_GAIN)[0]
    row.update(main=sum(interval) / 2, ci95=interval)
    text = said(rich_report, "What the model can do")
    phrases = ("adds to the risk", "Combining both was not tested", "No conclusion on whether")
    assert [p for p in phrases if p in text] == [expected]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ([0.85, 0.95], "adds to the risk"),
        ([0.3, 0.5], "alone it identifies fewer people"),
        ([0.7, 0.9], "No conclusion on whether"),
    ],
)
def test_without_a_paired_difference_intervals_must_not_overlap(rich_report, interval, expected) -> None:
    drop(rich_report, **FLOOR_GAIN)
    row = rows(rich_report, name="identification", metric="rank-1", protocol="other-session", site="pooled")[
        0
    ]
    row.update(main=sum(interval) / 2, ci95=interval)
    assert expected in said(rich_report, "What the model can do")


def test_a_falling_loss_makes_a_lower_bound(rich_report) -> None:
    assert "lower bound" not in said(rich_report, "What the model can do")
    rich_report["training"]["still_falling"] = True
    assert "lower bound" in said(rich_report, "What the model can do")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ([0.55, 0.75], "better than by guessing"),
        ([0.45, 0.60], "No conclusion"),
        ([0.30, 0.45], "No conclusion"),
    ],
)
def test_membership(rich_report, interval, expected) -> None:
    row = rows(rich_report, name="embedding-consistency", metric="AUC", site="pooled")[0]
    row.update(main=sum(interval) / 2, ci95=interval)
    text = said(rich_report, "Given away by training")
    assert expected in text
    if expected == "No conclusion":
        assert f"up to {interval[1]:.2f} can't be excluded" in text
        assert "no proof of safety" in text


def test_membership_must_also_beat_the_same_attack_without_training(rich_report) -> None:
    row = rows(rich_report, name="embedding-consistency", metric="AUC", site="pooled")[0]
    row.update(main=0.63, ci95=[0.52, 0.73], control=0.6)
    assert "No conclusion" in said(rich_report, "Given away by training")


def test_a_figure_above_its_ceiling_is_shouted(private_report) -> None:
    report = private_report()
    assert "VIOLATED" not in said(report, "Given away by training")
    row = rows(report, name="embedding-consistency", metric="AUC", site="pooled")[0]
    row.update(main=0.97, ci95=[0.95, 0.99])
    assert "GUARANTEE VIOLATED" in said(report, "Given away by training")
    row.update(main=0.95, ci95=[0.90, 0.99])
    assert "VIOLATED" not in said(report, "Given away by training")


def test_a_component_is_named_only_where_shown_maps_agree(rich_report) -> None:
    text = said(rich_report, "Carried by")
    assert (
        "This model relies on QRS more than its duration explains, in this one training run, for beat (by "
        in text
    )
    assert ", participant (by gradient-attention, " in text
    maps = rich_report["attribution"]["participant"]
    maps["occlusion"] = rich_report["attribution"]["sex"]["occlusion"]
    assert "which component this model relies on for participant" in said(rich_report, "Carried by")
    for entry in maps.values():
        entry["shown"] = False
    assert "which component this model relies on for participant" in said(rich_report, "Carried by")


def test_a_component_needs_an_interval_above_one(rich_report) -> None:
    for methods in rich_report["attribution"].values():
        for entry in methods.values():
            for part in entry["components"].values():
                part["joint95"] = [0.5, 4.0]
    text = said(rich_report, "Carried by")
    assert "duration explains" not in text
    assert "No conclusion" in text


def test_attention_never_names_a_component(rich_report) -> None:
    for methods in rich_report["attribution"].values():
        for name, entry in methods.items():
            entry["shown"] = name in ("rollout", "cls-attention", "random")
    assert "duration explains" not in said(rich_report, "Carried by")


def test_privacy_claims(rich_report, private_report) -> None:
    assert "None: trained without" in said(rich_report, "Privacy claim")
    text = said(private_report(epsilon=3.0), "Privacy claim")
    assert "epsilon per person is at most 3 at any one site" in text
    assert "protects nobody" in text
    assert "weights only" in text
    window = said(private_report(epsilon=2.0, unit="window"), "Privacy claim")
    assert "epsilon per person is at most 22.6" in window
    assert "single windows (epsilon 2)" in window


def test_clipping_without_noise_claims_nothing(private_report) -> None:
    report = private_report()
    report["privacy"]["sites"][1]["sigma"] = 0.0
    text = said(report, "Privacy claim")
    assert "no noise" in text
    assert "epsilon" not in text


def test_utility_needs_an_interval_above_the_majority(rich_report) -> None:
    text = said(rich_report, "Still useful for")
    assert "beat (86 %" in text
    assert "No conclusion for age" in text


def test_nothing_measured_gives_no_conclusion_everywhere(sparse_report) -> None:
    for topic in ("In the signals anyway", "What the model can do", "Given away by training"):
        assert "No conclusion" in said(sparse_report, topic)


def test_a_leaky_run_concludes_nothing(rich_report) -> None:
    for row in rich_report["risks"]:
        row["protocol"] = "random-window"
    assert "conclude nothing" in said(rich_report, "Evidence")


def test_the_leaky_protocol_never_speaks_beside_an_honest_one(rich_report) -> None:
    extra = [
        dict(row, protocol="random-window", main=0.99, n_participants=500)
        for row in rows(rich_report, metric="rank-1")
    ]
    rich_report["risks"] = extra + rich_report["risks"]
    assert headline(rich_report["risks"]).protocol == "other-session"
    assert "99 %" not in said(rich_report, "What the model can do")


def test_synthetic_is_said_and_real_is_not_called_synthetic(rich_report) -> None:
    assert "generated" in said(rich_report, "Evidence")
    rich_report["data"]["kind"] = "real"
    assert not any("generated" in text for text in verdict(rich_report))


@pytest.mark.parametrize(
    ("people", "chosen"),
    [
        ({"other-session": 20, "other-record": 80}, "other-session"),
        ({"other-session": 19, "other-record": 80}, "other-record"),
        ({"other-session": 9, "later-in-record": 12}, "later-in-record"),
        ({"random-window": 80, "later-in-record": 4}, "later-in-record"),
        ({"random-window": 80}, "random-window"),
        ({}, None),
    ],
)
def test_the_hardest_protocol_with_enough_people(people, chosen) -> None:
    assert (
        pick_protocol([{"protocol": p, "n_participants": n, "main": 0.5} for p, n in people.items()])
        == chosen
    )


def test_a_pilots_figures_are_not_the_participants(rich_report):
    rich_report["data"] |= {"kind": "real", "audited_on": "synthetic people"}
    assert "nobody's ECG" in verdict(rich_report)[0]


def test_no_component_for_a_task_the_model_does_not_do(rich_report) -> None:
    rich_report["attribution"]["age"] = rich_report["attribution"]["sex"]
    text = said(rich_report, "Carried by")
    assert (
        "This model relies on T more than its duration explains, in this one training run, for sex (by"
        in text
    )
    assert "No conclusion for age: not shown above the majority guess" in text
    for score in rich_report["utility"]["sex"].values():
        score["notes"] = "held-out windows of people who trained"
    assert "No conclusion for age, sex: not shown" in said(rich_report, "Carried by")
    assert "62 to 74 %) on held-out windows of people who trained" in said(rich_report, "Still useful for")
    rich_report["data"]["audited_on"] = "synthetic people"  # nobody there trained, whatever the note
    assert "No conclusion for age: not shown" in said(rich_report, "Carried by")


def test_the_verdict_says_whom_figures_are_about(rich_report) -> None:
    text = said(rich_report, "What the model can do")
    assert "46 people it trained on, other-session" in text
    assert "and for 71 % of 44 people never trained on" in text
    for row in rows(rich_report, name="identification"):
        row["notes"] = (
            "chance 0.010 (gallery of 96); one gallery of all sites; 39 controls, same gallery; baseline"
        )
    assert "and for 71 % of 39 people never trained on" in said(rich_report, "What the model can do")
    rich_report["data"]["audited_on"] = "synthetic people"
    assert "46 synthetic people, none of whom trained" in said(rich_report, "What the model can do")
    row = rows(rich_report, name="embedding-consistency", metric="AUC", site="pooled")[0]
    row["notes"] = "45 members, 39 controls; pairs within a site"
    assert "45 members, 39 controls, independent-coins" in said(rich_report, "Given away by training")


def test_leakage_says_what_the_observer_holds(rich_report) -> None:
    assert "holds the person's own training windows, and" in said(rich_report, "Given away by training")
    drop(rich_report, name="embedding-consistency")
    text = said(rich_report, "Given away by training")
    assert "holds the person's own training windows with their labels" in text


def test_profile_quick_concludes_nothing(rich_report, private_report) -> None:
    for report in (rich_report, private_report()):
        report["training"] |= {"profile": "quick", "still_falling": True}
        assert "to conclude anything" in said(report, "Evidence")
        for topic in ("What the model can do", "Given away by training", "Carried by", "TransECG's sentence",
                      "Still useful for"):  # fmt: skip
            text = said(report, topic)
            assert ": No conclusion (profile quick)" in text
            for claim in (
                "adds to the risk",
                "better",
                "worse",
                "above",
                "duration explains",
                "lower bound",
                "fewer people",
            ):
                assert claim not in text.lower()
        assert "80 % (72 to 88" in said(report, "What the model can do")
        assert "AUC 0.63 (0.52 to 0.73" in said(report, "Given away by training")
        assert "beat (86 %" in said(report, "Still useful for")


def test_people_at_two_sites_pay_twice_and_lead(private_report) -> None:
    report = private_report(epsilon=3.0)
    report["privacy"]["epsilon_two_sites"] = 5.5
    text = said(report, "Privacy claim")
    assert "at most 5.5 for people at two sites, and at most 3 at any one site (delta 1e-5)" in text
    report["privacy"]["epsilon_two_sites"] = 2.5  # the pair with shared people may be the cheaper sites
    assert "at most 3 at any one site, and at most 2.5 for people" in said(report, "Privacy claim")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ([0.02, 0.12], "a better"),
        ([-0.2, -0.02], "a worse"),
        ([-0.1, 0.1], "No conclusion on what training here"),
    ],
)
def test_what_training_changed_is_held_against_the_pretrained_start(rich_report, interval, expected) -> None:
    row = rows(rich_report, **FLOOR_GAIN)[0]
    gain = row | {
        "metric": "gain in rank-1 over pretrained-start",
        "main": sum(interval) / 2,
        "ci95": interval,
    }
    assert "pretrained" not in said(rich_report, "What the model can do")
    rich_report["risks"].append(gain)
    text = said(rich_report, "What the model can do")
    assert expected in text
    assert "pretrained start" in text
    assert "Pretraining and training together" in text or "pretraining and training together" in text


def test_usefulness_that_the_start_had_already_is_told(rich_report) -> None:
    task, scores = next(
        (t, s) for t, s in rich_report["utility"].items() if f"{t} (" in said(rich_report, "Still useful")
    )
    scores["pooled"]["start"] = {"value": 0.91, "ci95": [0.9, 0.92]}
    assert "before any training here 91 %" in said(rich_report, "Still useful")
    assert task in said(rich_report, "Still useful")
