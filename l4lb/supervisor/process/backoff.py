"""Decides when a child that died may be started again. Pure: times are arguments."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_DEATH_MS = 2_000  # a process that lived less than this counts as a quick death
FIRST_DELAY_MS = 50
MAX_DELAY_MS = 2_000
GIVE_UP_AFTER = 10  # quick deaths in a row


@dataclass(frozen=True)
class Backoff:
    """The number of quick deaths of a child in a row."""

    quick_deaths: int = 0

    def died(self, lived_ms: int) -> Backoff:
        """Returns the state after the death of a process that lived this long."""
        return Backoff(self.quick_deaths + 1 if lived_ms < QUICK_DEATH_MS else 1)

    @property
    def delay_ms(self) -> int:
        """Returns the milliseconds to wait before the next start: none after the first death."""
        if self.quick_deaths <= 1:
            return 0
        return min(MAX_DELAY_MS, FIRST_DELAY_MS << (self.quick_deaths - 2))

    @property
    def exhausted(self) -> bool:
        """Returns whether this is a crash loop that another start will not end."""
        return self.quick_deaths >= GIVE_UP_AFTER
