"""What a data owner gains and loses: words that follow the intervals."""

from __future__ import annotations

from typing import Any

from fake_attribution import change, what_if

from transecg_core.report.what_if_words import what_if_parts, what_if_sentence


def test_gains_losses_and_what_cannot_be_told() -> None:
    rows = what_if_parts({"what_if": what_if()})["rows"]
    found = {(row["component"], row["change"]): row for row in rows}
    mean = found["QRS", "everybody's mean shape"]
    assert mean["gains"] == [
        "PCA+LDA on raw beats: rank-1 80 % → 50 %, −30 points (−36 to −24)",
        "PCA+LDA on raw beats, adapted: rank-1 80 % → 62 %, −18 points (−24 to −12)",
    ]
    assert mean["losses"] == ["sex 68 % → 60 %, −8 points (−12 to −3)"]
    assert mean["unclear"] == ["beat −1 points (−3 to +2)"]
    assert found["T", "everybody's mean shape"]["gains"] == []
    assert found["T", "a straight line"]["losses"][0].startswith(
        "PCA+LDA on raw beats, adapted: rank-1 80 % → 90 %"
    )
    assert found["P", "somebody else's"]["unclear"][0].endswith("not measurable: no gallery")


def test_the_sentence_counts_only_attackers_who_know() -> None:
    assert what_if_sentence(what_if()) == (
        "Of 3 changes tried, 1 lowers what the strongest attacker who knows of the change reaches. Least is left by "
        "everybody's mean shape in place of QRS: the strongest is then PCA+LDA on raw beats, adapted, at rank-1 62 %, "
        "before 80 %, −18 points (−24 to −12); it costs sex 68 % → 60 %, −8 points (−12 to −3) (no conclusion for beat). "
        "The best of 3 changes, chosen on the same people, so optimistic."
    )
    unaware = [row for row in what_if() if row["attack"] == "pca-lda"]
    assert what_if_sentence(unaware) == "No change could be measured against attackers who know of it."


def _both(component: str, signals: tuple[float, float], encoder: tuple[float, float]) -> list[dict[str, Any]]:
    """One change and two adapted attackers: what each reaches before and after."""
    cells = {"pca-lda-adapted": signals, "identification-adapted": encoder}
    return [
        change(component, "mean", attack, after - before, before=before, after=after, utility={})
        for attack, (before, after) in cells.items()
    ]


def test_putting_off_the_weaker_attacker_does_not_win() -> None:
    weaker = _both("QRS", (0.95, 0.95), (0.6, 0.1))
    text = what_if_sentence([*weaker, *_both("T, common edges", (0.95, 0.75), (0.6, 0.4))])
    assert text == (
        "Of 2 changes tried, 1 lowers what the strongest attacker who knows of the change reaches. Least is left by "
        "everybody's mean shape in place of T between common edges: the strongest is then PCA+LDA on raw beats, adapted, "
        "at rank-1 75 %, before 95 %, −20 points (−26 to −14); utility was not measured. "
        "The best of 2 changes, chosen on the same people, so optimistic."
    )
    assert what_if_sentence(weaker) == (
        "No change tried here lowers what the strongest attacker reaches: of 1 change, "
        "none has an interval of that attacker's difference that excludes 0."
    )


def test_the_strongest_attacker_after_a_change_need_not_be_the_strongest_before() -> None:
    text = what_if_sentence([*_both("P", (0.9, 0.2), (0.8, 0.5)), *_both("T", (0.9, 0.6), (0.8, 0.1))])
    assert "2 lower what" in text
    assert (
        "in place of P: the strongest is then the released encoder, adapted, at rank-1 50 %, before 80 %"
        in text
    )


def test_a_change_that_an_attacker_was_not_measured_on_is_not_ranked() -> None:
    half = [change("P", "mean", "pca-lda-adapted", -0.7, utility={}),
            change("P", "mean", "identification-adapted", None)]  # fmt: skip
    text = what_if_sentence([*half, *_both("T", (0.9, 0.6), (0.8, 0.1))])
    assert text.startswith("Of 1 change tried, 1 lowers")
    assert "in place of T:" in text


def test_a_cost_that_was_not_measured_is_not_no_cost() -> None:
    def cost(**utility: dict[str, Any]) -> str:
        return what_if_sentence([change("P", "mean", "pca-lda-adapted", -0.5, utility=utility)])

    absent = dict.fromkeys(("before", "after", "difference", "ci95"))
    open_ = {"before": 0.5, "after": 0.5, "difference": 0.0, "ci95": [-0.1, 0.1]}
    assert "; utility was not measured." in cost()
    assert "; utility was not measured." in cost(sex=absent)
    assert "; no cost was shown (no conclusion for beat, not measured for sex)." in cost(
        sex=absent, beat=open_
    )


def test_an_error_rate_that_rises_is_a_gain() -> None:
    eer = {"metric": "EER", "before": 0.1, "after": 0.2, "ci95": [0.05, 0.15]}
    rows = what_if_parts({"what_if": [change("P", "flat", "raw-correlation", 0.1, **eer)]})["rows"]
    assert rows[0]["gains"] == ["correlating raw beats: EER 0.10 → 0.20, 0.10 (0.05 to 0.15)"]


def test_utility_that_rises_is_a_gain_and_one_interval_too_wide_is_nothing() -> None:
    better = {"sex": {"before": 0.5, "after": 0.6, "difference": 0.1, "ci95": [0.05, 0.15]},
              "age": {"before": 0.5, "after": 0.6, "difference": 0.1, "ci95": None},
              "beat": {"before": None, "after": None, "difference": None, "ci95": None}}  # fmt: skip
    row = what_if_parts({"what_if": [change("P", "flat", "pca-lda", 0.0, utility=better)]})["rows"][0]
    assert row["gains"] == ["sex 50 % → 60 %, +10 points (+5 to +15)"]
    assert row["losses"] == []
    assert [text.split()[0].rstrip(":") for text in row["unclear"]] == ["PCA+LDA", "age", "beat"]


def test_nothing_measured_nothing_said() -> None:
    assert what_if_parts({}) is None
    assert what_if_parts({"what_if": []}) is None
