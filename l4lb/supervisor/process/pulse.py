"""Decides whether a process hangs, by looks at its heartbeat and not by the heartbeat's age. Pure.

After a stop of the whole machine (a suspended laptop, a frozen container) a heartbeat is old
although its process is well. A look therefore counts only if it came when it was due. The looking
process then had its share of the processor, and so the other process had time for a heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK_EVERY_MS = 1_000
LATE_MS = 500  # a look that is later than this does not count: the machine was slow or stopped
SILENT_LOOKS = 10  # looks in a row without a heartbeat after which the process hangs
SILENT_S = SILENT_LOOKS * LOOK_EVERY_MS // 1000  # silence of a process that hangs


@dataclass(frozen=True)
class Pulse:
    """The result of the last look, at at_ms. beat: the heartbeat seen then. silent: number of looks
    in a row that found this heartbeat unchanged."""

    at_ms: int
    beat: int
    silent: int = 0

    def after(self, now_ms: int, beat: int) -> Pulse:
        """Returns the state after one more look."""
        if beat != self.beat:
            return Pulse(now_ms, beat)
        late = now_ms - self.at_ms > LOOK_EVERY_MS + LATE_MS
        return Pulse(now_ms, beat, self.silent + (not late))

    @property
    def is_lost(self) -> bool:
        return self.silent >= SILENT_LOOKS
