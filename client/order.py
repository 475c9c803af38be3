"""What the server asks of a site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Order:
    """What the server asks for; hostile until validated."""

    site: str
    round: int
    run: str
    run_folder: Path | None
