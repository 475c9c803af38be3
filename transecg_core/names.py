"""The words of the options: cohorts, sites, tasks, and how an unknown word is answered."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Literal, get_args

Cohort = Literal["synthetic", "real", "folder", "node"]
Profile = Literal["quick", "default", "full"]
PrivacyUnit = Literal["none", "window", "participant"]
Trainable = Literal["full", "bitfit", "head"]
Protocol = Literal["auto", "random-window", "later-in-record", "other-record", "other-session"]
Task = Literal["participant", "sex", "age", "beat", "diagnosis"]
TASKS: tuple[str, ...] = get_args(Task)
UTILITY_TASKS: tuple[str, ...] = ("sex", "age", "beat", "diagnosis")
TASK_SETS: dict[str, tuple[str, ...]] = {"all": TASKS, "utility": UTILITY_TASKS}
"""Named sets, beside ``auto``: a task of a set that no site has labels for is left untrained, not an error."""

SITES: dict[str, tuple[str, ...]] = {
    "synthetic": ("synth-a", "synth-b", "synth-c", "synth-d"),
    "real": ("ecgiddb", "mitdb", "ludb", "ptbxl"),
}
"""Sites of a run by default; with ``cohort=node`` each institution's SuperNode names its own."""
EXTRA_SITES: dict[str, tuple[str, ...]] = {"real": ("qtdb",)}
"""Further sites that a run can name: qtdb has two women among 35 people, and two people of mitdb's."""
SITE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
RESERVED = ("auto", "pooled")
"""Words that stand for several sites, in options and in reports."""
SITE_NAMES = "a-z, 0-9 and hyphens, 32 at most"
MAX_SITES = 64
MAX_PEOPLE = 100_000
"""Of one site."""


def is_site_name(text: str) -> bool:
    """Return whether a site may be called that."""
    return SITE_NAME.fullmatch(text) is not None and text not in RESERVED


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the end of an error message about an unknown `word`: the nearest of `words`, or all of them."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f"; nearest valid: {close[0]}" if close else f"; valid: {', '.join(words)}"
