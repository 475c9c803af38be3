"""How a person is named in a report: a salted hash, whose key only the holder of the recordings can make."""

from __future__ import annotations

import hashlib
from functools import cache

from transecg_core.risk.context import AuditSite


def person_codes(site: AuditSite) -> tuple[str, ...]:
    """Return the code of every participant of a site, in the order of its windows' participants.

    The salt is made from the places of all the site's heartbeats. So the same run gives the same
    codes, and nobody without the recordings can try out ids against them.
    """
    salt = hashlib.blake2b(digest_size=32)
    for array in (site.windows.rpeak_B, site.windows.rpeak_record_B, site.windows.r_sample_N):
        salt.update(array.astype("<i8").tobytes())
    return _codes(site.name, site.windows.participants, salt.digest())


@cache
def _codes(site: str, names: tuple[str, ...], salt: bytes) -> tuple[str, ...]:
    """Return the shortest prefixes, of 8 letters at least, that keep everybody apart."""
    full = [hashlib.blake2b(f"{site}\x1f{name}".encode(), key=salt).hexdigest() for name in names]
    length = 8
    while len({code[:length] for code in full}) < len(set(names)):
        length += 1
    return tuple(code[:length] for code in full)
