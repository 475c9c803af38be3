"""A site's refusal, with the name of its rule: all that the server is told."""

from __future__ import annotations

from transecg_core.errors import UserError
from transecg_core.privacy.releases import REFUSALS


class Refusal(UserError):
    """The site refuses, by a rule that depends on nobody's data.

    Parameters
    ----------
    code
        One of `REFUSALS`: what an institution's server learns.
    message
        What stands in the site's own log: which value, which file, what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        if code not in REFUSALS:
            raise ValueError(f"refusal {code!r} is not declared in transecg_core.privacy.releases")
        super().__init__(message)
        self.code = code


class Overspend(Refusal):
    """The charge would exceed the budget; nothing was charged."""


class LedgerTrouble(Refusal):
    """The ledger's file can't be used as it is; nothing in it was changed."""

    def __init__(self, message: str) -> None:
        super().__init__("ledger: not usable", message)


class ChargedAlready(LedgerTrouble):
    """The release was charged before: its stored bytes are the ones to send."""
