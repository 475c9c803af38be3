"""Text that others wrote, in a form that is safe to print."""

from __future__ import annotations


def escaped(text: str) -> str:
    """Return text with everything that a terminal would not show as a character written as its escape.

    Letters of every alphabet stay; control characters, marks that turn the direction of writing, and bytes of no
    alphabet don't.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def plural(number: int, noun: str) -> str:
    """Return a number and its noun, as in 1 round and 2 rounds."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
