"""What was told lately: kept here too, so that a control process that is started anew, also by the
next program, knows the events before its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from l4lb.control.events import EVENTS_KEPT
from l4lb.supervisor.helpers import Helper

Event = Mapping[str, Any]


class History:
    """The last EVENTS_KEPT events."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: deque[Event] = deque(events, maxlen=EVENTS_KEPT)

    def tell(self, control: Helper, event: Event) -> None:
        """One more; it has at_ms."""
        self._events.append(event)
        control.send({"event": event})

    def tell_again(self, control: Helper) -> None:
        """All of them, to a process that has just been started."""
        for event in self._events:
            control.send({"event": event})

    @property
    def plain(self) -> list[Event]:
        """For the next program."""
        return list(self._events)
