"""Events of workers, in words."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.workers.events import (
    ENGINE_FAULTS,
    FAMILY_SHIFT,
    QUIET_MS,
    STATUS_SHIFT,
    WorkerEvents,
    shed_source,
)


@pytest.mark.parametrize(
    ("family", "bits", "source"),
    [
        (socket.AF_INET, 0x7F000002, "127.0.0.2"),
        (socket.AF_INET6, 0x20010DB800000001, "2001:db8:0:1::/64"),
        (socket.AF_UNIX, 0, "unix:"),
        (0, 0, "unix:"),
    ],
)
def test_the_source_in_an_event_reads_as_talkers_shows_it(
    family: int, bits: int, source: str
) -> None:
    assert shed_source(family, bits) == source


ENGINE = {"listener": "web", "rule": "av", "engine": "clam"}


class Clock:
    """Stands in for a reactor: the test decides when timers fire."""

    def __init__(self) -> None:
        self.later: list[tuple[int, Callable[[], None]]] = []

    def after(self, ms: int, call: Callable[[], None]) -> None:
        self.later.append((ms, call))


def test_every_event_is_passed_on_but_logged_once_a_minute_for_each_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock, told = Clock(), list[tuple[str, Mapping[str, Any]]]()
    news = WorkerEvents(
        cast("Reactor", clock), lambda kind, fields: told.append((kind, fields)), {7: ENGINE}.get
    )
    a = socket.AF_INET << FAMILY_SHIFT | 7
    for worker in (0, 0, 1):
        news.shed(worker, a, 0x0A000001)
    assert told == [
        ("shed", {"worker": worker, "source": "10.0.0.1", "sessions": 7}) for worker in (0, 0, 1)
    ]
    assert [ms for ms, _ in clock.later] == [QUIET_MS, QUIET_MS]
    clock.later[0][1]()
    news.shed(0, a, 0x0A000001)
    assert len(clock.later) == 3
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("clients find no room") == 3


def test_an_engine_that_fails_and_is_well_again_is_logged_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: list[tuple[str, Mapping[str, Any]]] = []
    news = WorkerEvents(
        cast("Reactor", Clock()), lambda kind, fields: told.append((kind, fields)), {7: ENGINE}.get
    )
    news.engine(1, 7, 500 << STATUS_SHIFT | ENGINE_FAULTS.index("it answered with the status"))
    news.engine(1, 7, 0)
    news.engine(1, 8, 0)
    assert [kind for kind, _ in told] == ["engine_fails", "engine_well"]
    assert told[0][1] == {"worker": 1, "why": "it answered with the status 500", **ENGINE}
    shown = capsys.readouterr()
    assert "an engine is well again" in shown.out + shown.err
