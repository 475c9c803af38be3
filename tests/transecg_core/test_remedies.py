"""Every reason in the code has a remedy of its own, and every remedy a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import transecg_core
from transecg_core.remedies import OTHERWISE, REMEDIES, RENAME, remedy

REASON = re.compile(r"(record|record kept|file|folder|table|person|window|beat|delineation|site): \S[^\n]*")
MARKED = "\N{BLACK SQUARE}"
"""Stands for a value in an f-string."""
FILLED = {"record: \N{BLACK SQUARE} channel of the column's name": ("no", "more than one"),
          "record: \N{BLACK SQUARE}": ()}  # fmt: skip
"""Reasons whose value is words: what they may be (those of `preprocess` are `CLEANING`)."""
CLEANING = ("sampling rate below 90 Hz", "recording shorter than 2 s", "samples that are not numbers")


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield all texts of a module; parts of an f-string only as a whole."""
    if isinstance(tree, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else MARKED for part in tree.values)
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    else:
        for child in ast.iter_child_nodes(tree):
            yield from texts(child)


def reasons() -> list[str]:
    root, found = Path(transecg_core.__file__).parent, {f"record: {text}" for text in CLEANING}
    for module in root.rglob("*.py"):
        if (
            module.name == "remedies.py" or module.parent.name == "privacy"
        ):  # that one's names of refusals are no counts
            continue
        for text in texts(ast.parse(module.read_text(encoding="utf-8"))):
            if REASON.fullmatch(text):
                found |= {text.replace(MARKED, word) for word in FILLED.get(text, ("7",))}
    return sorted(found)


def test_the_reasons_are_found() -> None:
    assert {
        "record: flat",
        "record kept: lead 7 read as 7",
        "window: flat",
        "folder: nested too deep",
    } <= set(reasons())
    assert len(reasons()) > 100


def test_cleaning_gives_no_other_reason() -> None:
    path = Path(transecg_core.__file__).parent / "signals" / "preprocess.py"
    raised = {next(texts(node.exc)) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
              if isinstance(node, ast.Raise) and node.exc is not None}  # fmt: skip
    patterns = [re.escape(text).replace(re.escape(MARKED), r"\S+") for text in raised]
    assert len(patterns) == len(CLEANING)
    assert all(any(re.fullmatch(pattern, text) for text in CLEANING) for pattern in patterns)


@pytest.mark.parametrize("reason", reasons())
def test_every_reason_has_one_remedy(reason: str) -> None:
    fits = [pattern for pattern in REMEDIES if re.fullmatch(pattern, reason)]
    assert len(fits) == 1, fits
    assert remedy(reason) == REMEDIES[fits[0]] != OTHERWISE


@pytest.mark.parametrize("pattern", REMEDIES)
def test_no_remedy_is_for_nothing(pattern: str) -> None:
    assert any(re.fullmatch(pattern, reason) for reason in reasons())


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("record: CSV without units in the table", "fill in `units`"),
        ("record: CSV without fs-hz in the table or a column 'time'", "fill in `fs-hz`"),
        ("record: session unknown, though the person's other records have one", "fill in `session`"),
        ("record: no channel of the column's name", "file's own column names"),
        ("record: name is not a plain local one", "relative to the folder, with /"),
        ("record: corrupt samples (beyond 20 mV)", "check `units` first"),
        ("person: two sexes in the data", "correct the table"),
        ("record kept: same signal file as a record of somebody else", "`same-person-as`"),
        ("record kept: checksum differs from its header", "copy the file again if you can"),
        ("record: duplicate waveform (known)", "nothing to do"),
        ("record: of a third party's own", OTHERWISE),
    ],
)
def test_it_says_what_helps(reason: str, words: str) -> None:
    assert words in remedy(reason)


def test_a_file_that_no_row_could_name_is_to_be_renamed() -> None:
    reason = "file: not in the participants table"
    assert remedy(reason, "'M\u00fcller.csv'") == RENAME
    assert "add a row" in remedy(reason, "r1.csv")
