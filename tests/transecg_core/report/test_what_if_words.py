"""What a data owner gains and loses: words that follow the intervals."""

from __future__ import annotations

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
    text = what_if_sentence(what_if())
    assert text.startswith(
        "Of 4 changes, everybody's mean shape in place of QRS lowers identification by an attacker who knows"
    )
    assert "−18 points (−24 to −12)" in text
    assert "it costs sex 68 % → 60 %" in text
    assert "(no conclusion for beat)" in text
    assert text.endswith("The strongest of them still reaches 62 % (PCA+LDA on raw beats, adapted).")
    stronger = change("QRS", "mean", "identification-adapted", -0.05)
    assert "still reaches 75 % (the released encoder, adapted)" in what_if_sentence([*what_if(), stronger])
    unaware = [row for row in what_if() if row["attack"] == "pca-lda" or row["component"] != "QRS"]
    assert what_if_sentence(unaware) == (
        "None of 4 changes of one component was shown to lower identification by an attacker who knows of the change."
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
