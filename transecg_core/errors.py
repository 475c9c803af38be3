"""The one error a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message is one line naming what and how.

    Examples
    --------
    >>> raise UserError("site 'mitdb': no usable record in /data/mitdb; check data-root")
    """
