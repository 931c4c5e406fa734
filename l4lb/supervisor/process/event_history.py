"""Recent events, kept in the supervisor too. A control process that starts later, also under the
next program, gets the events from before its start."""

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
        """Keeps one more event, which has at_ms, and sends it to the control process."""
        self._keep(event)
        control.send({"event": event})

    @property
    def pools_down(self) -> frozenset[str]:
        """Returns the pools for which `pool_down` was reported last. A new checker does not report
        those again."""
        return frozenset(self._pools_down)

    @property
    def plain(self) -> list[Event]:
        """Returns the events for a control process that is about to start, and for the next
        program."""
        return list(self._events)
