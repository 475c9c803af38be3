"""Which component may be named, and TransECG's sentence held against the same figures."""

from __future__ import annotations

from typing import Any

import pytest

from transecg_core.report.carried import carried, named, relies, shortened
from transecg_core.report.paper_sentence import paper_sentence


def drop_family(report: dict[str, Any], task: str, *methods: str) -> None:
    for method in methods:
        report["attribution"][task][method]["shown"] = False


def test_both_families_must_speak(rich_report) -> None:
    assert named(rich_report, "sex").component == "T"
    drop_family(rich_report, "sex", "occlusion", "component-occlusion")
    assert named(rich_report, "sex").component is None
    text = " ".join(carried(rich_report, False))
    assert (
        "No conclusion on which component this model relies on for sex: no perturbation map is shown." in text
    )


def test_unmeasured_stability_names_nothing(rich_report) -> None:
    for entry in rich_report["attribution"]["participant"].values():
        del entry["stability"]
    assert named(rich_report, "participant").component is None


def test_a_task_that_the_model_does_not_do_names_nothing(rich_report) -> None:
    rich_report["attribution"]["age"] = rich_report["attribution"]["sex"]
    assert named(rich_report, "age").component is None
    assert not named(rich_report, "age").learned


def test_a_run_with_wide_patches_names_nothing(rich_report) -> None:
    rich_report["manifest"]["config"]["patch"] = 10
    assert named(rich_report, "sex").why == "component claims need patch=5"
    assert "duration explains" not in " ".join(carried(rich_report, False))


def test_the_limits_of_a_claim_are_never_cut_off(rich_report) -> None:
    maps = rich_report["attribution"]["sex"]
    for entry in maps.values():
        entry |= dict.fromkeys(("randomised_correlation", "permuted_correlation", "knockout_agreement"))
    maps["component-occlusion"]["stability"]["fills"] = None
    why = named(rich_report, "sex").why
    assert len(why) > 300
    assert why.endswith("not checked over training seeds; not checked with fill people, mean")


@pytest.mark.parametrize(
    ("lift", "narrow", "words"),
    [
        (1.0, 0.2, "relies on T more than its duration explains, in this"),
        (1.5, 0.2, "relies on T and QRS more than their duration explains, on T most, in this"),
        (
            1.9,
            0.2,
            "relies on T and QRS more than their duration explains (on which most can't be told), in this",
        ),
        (1.9, 2.0, "relies on T more than its duration explains (whether on it most can't be told), in this"),
    ],
)
def test_how_many_are_named_and_whether_one_is_first(rich_report, lift, narrow, words) -> None:
    for entry in rich_report["attribution"]["sex"].values():
        parts = entry["components"]
        for name in parts:
            parts[name].update(enrichment=0.5, joint95=[0.3, 0.7], behind=[1.0, 2.0])
        behind = [2.0 - lift - narrow, 2.0 - lift + narrow]
        parts["QRS"].update(enrichment=lift, joint95=[lift - narrow, lift + narrow], behind=behind)
        parts["T"].update(enrichment=2.0, joint95=[1.8, 2.2], behind=None)
    assert words in relies(named(rich_report, "sex"))


def test_long_refusals_end_between_two_reasons(rich_report) -> None:
    for entry in rich_report["attribution"]["sex"].values():
        entry["components"]["T"]["joint95"] = [0.9, 9.0]
        if entry["stability"]:
            entry["stability"] |= {
                "jitter_first": 0.1,
                "seeds": {"models": 8, "first": 0.2, "components": {}},
            }
    why = named(rich_report, "sex").why
    reasons = why.split("; ")
    assert len(reasons) > 4
    for most in (0, 120, 400):
        *kept, last = shortened(why, most).split("; ")
        assert kept == reasons[: len(kept)]
        assert kept
        assert last == f"and {len(reasons) - len(kept)} more against it"
    assert shortened(why, len(why)) == why
    text = " ".join(carried(rich_report, False))
    assert f"for sex: {reasons[0]}; and {len(reasons) - 1} more against it." in text


def sentence(report: dict[str, Any]) -> str:
    return " ".join(paper_sentence(report, False))


def test_a_raw_map_that_fails_bears_nothing_out(rich_report) -> None:
    part = rich_report["attribution"]["sex"]["cls-attention"]["components"]["QRS"]
    part.update(share=0.07, duration=0.11, enrichment=0.636, ci95=[0.5, 0.8])
    text = sentence(rich_report)
    assert "58.29 % of the attention for gender" in text
    assert (
        "For sex: 7 % of the raw attention falls on QRS (which holds the R wave), in 11 % of the time" in text
    )
    assert "0.64 times its part of the time, 0.50 to 0.80" in text
    assert "That map fails (no better than random): it may not be said" in text
    assert (
        "May be said: this model relies on T more than its duration explains, in this one training run, for sex (by"
        in text
    )
    assert "Nor may another component be named for age." in text


def test_the_p_r_interval_is_p_and_pq_together(rich_report) -> None:
    parts = rich_report["attribution"]["age"]["cls-attention"]["components"]
    parts["P"].update(share=0.2, duration=0.13)
    parts["PQ"].update(share=0.1, duration=0.07)
    assert "For age: 30 % of the raw attention falls on P and PQ" in sentence(rich_report)
    assert "in 20 % of the time (1.50 times its part of the time)." in sentence(rich_report)


def test_a_raw_map_that_passes_is_still_no_claim_about_the_task(rich_report) -> None:
    rich_report["attribution"]["sex"]["cls-attention"]["shown"] = True
    text = sentence(rich_report)
    assert "one attention map for every task" in text
    assert "this model attends there in this run, not that sex is read there" in text


@pytest.mark.parametrize("tasks", [(), ("participant",)])
def test_without_sex_and_age_there_is_no_sentence(rich_report, tasks) -> None:
    rich_report["attribution"] = {task: rich_report["attribution"][task] for task in tasks}
    assert paper_sentence(rich_report, False) == []


def test_one_task_missing_is_said(rich_report) -> None:
    del rich_report["attribution"]["age"]
    assert "For age: not explained in this run" in sentence(rich_report)


def test_a_map_without_components_is_said(rich_report) -> None:
    rich_report["attribution"]["sex"]["cls-attention"]["components"] = {}
    assert "For sex: there is no raw-attention map (no better than random" in sentence(rich_report)
