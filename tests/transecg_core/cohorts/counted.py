"""A source for tests of the cache."""

from __future__ import annotations

from collections.abc import Iterator

from transecg_core.cohorts.schema import Recording, SiteSource, SkipLog


class Counted:
    """A source that counts how often it is read."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.reads = recording, 0

    def read(self, _skips: SkipLog) -> Iterator[Recording]:
        self.reads += 1
        yield self.recording

    def source(self, fingerprint: str = "one", name: str = "site") -> SiteSource:
        return SiteSource(name, "synthetic", self.read, fingerprint, people=1, tasks=())
