"""The one error a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message names what and how, on one line whatever is in it.

    Examples
    --------
    >>> raise UserError("site 'mitdb': no usable record in /data/mitdb; check data-root")
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class NothingUsable(UserError):
    """None of a site's records can be opened.

    Attributes
    ----------
    skips
        (record, reason) of each, and what is odd about its table; names stay on the machine.
    """

    def __init__(self, message: str, skips: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message)
        self.skips = skips
