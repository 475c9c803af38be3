"""Reading a small TOML file that somebody wrote by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_toml(file: Path, most_bytes: int, holds: str) -> dict[str, Any]:
    """Return a TOML file's content; never reads more than `most_bytes`.

    Parameters
    ----------
    holds
        What such a file holds, for the message about one that is too large.

    Raises
    ------
    ValueError
        With what is wrong and what to do; the caller names the file.
    """
    try:
        with file.open("rb") as handle:
            data = handle.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise ValueError(f"over {most_bytes} bytes; it holds {holds}")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{error.strerror}; give a readable TOML file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not TOML in UTF-8: {error}") from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"nested too deep; it holds {holds}") from None
    except ValueError as error:  # also of a number of thousands of digits
        raise ValueError(f"not TOML in UTF-8: {error}") from None
