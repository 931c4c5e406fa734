"""Does a process hang? Judged by looks at its heartbeat, not by how old that is. Pure.

After a stop of everything (a suspended laptop, a frozen container) the heartbeat is old, and the
process well. So a look counts only if it came when it was due: then this process had its turns of
the processor, and the other one had as much time for its own.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK_EVERY_MS = 1_000
LATE_MS = 500  # a look that comes later than this does not count: all was slow, or stopped
SILENT_LOOKS = 10  # in a row without a heartbeat: the process hangs
SILENT_S = SILENT_LOOKS * LOOK_EVERY_MS // 1000  # how long it has been silent by then


@dataclass(frozen=True)
class Pulse:
    """What the last look saw, at at_ms: beat, and how many looks in a row it has not changed."""

    at_ms: int
    beat: int
    silent: int = 0

    def after(self, now_ms: int, beat: int) -> Pulse:
        """The state after one more look."""
        if beat != self.beat:
            return Pulse(now_ms, beat)
        late = now_ms - self.at_ms > LOOK_EVERY_MS + LATE_MS
        return Pulse(now_ms, beat, self.silent + (not late))

    @property
    def is_lost(self) -> bool:
        return self.silent >= SILENT_LOOKS
