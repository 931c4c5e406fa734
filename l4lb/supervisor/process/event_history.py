"""What was told lately: kept here too, so that a control process that is started anew, also by the
next program, knows the events before its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from l4lb.control.events import EVENTS_KEPT
from l4lb.supervisor.process.helper import Helper

Event = Mapping[str, Any]


class History:
    """The last EVENTS_KEPT events."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._pools_down: set[str] = set()
        for event in events:
            self._keep(event)

    def _keep(self, event: Event) -> None:
        self._events.append(event)
        if event.get("kind") == "pool_down":
            self._pools_down.add(str(event.get("pool")))
        elif event.get("kind") == "pool_up":
            self._pools_down.discard(str(event.get("pool")))

    def tell(self, control: Helper, event: Event) -> None:
        """One more; it has at_ms."""
        self._keep(event)
        control.send({"event": event})

    @property
    def pools_down(self) -> frozenset[str]:
        """Of which it was told that they have no usable backend: another process of the checker
        does not tell that again."""
        return frozenset(self._pools_down)

    @property
    def plain(self) -> list[Event]:
        """For a control process that is about to start, and for the next program."""
        return list(self._events)
