"""The checker's requests to the supervisor, carried out on a real table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.native import health as door
from l4lb.native.table import Table
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.requests.backends import BackendRequests
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.requests.checker import CheckerRequests
from l4lb.supervisor.requests.requests import Requests, at_once
from l4lb.supervisor.table.membership import Membership, capacities
from tests.unit.supervisor.requests.test_requests import Notes
from tests.unit.supervisor.tables import closed_port, table_of


class Later:
    """A reactor with only `after`, whose time the test sets."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def after(self, _: int, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Supervisor:
    def __init__(self) -> None:
        self.table: Table = table_of({"web": {"a": closed_port(1), "b": closed_port(2)}})
        self.table.start_worker(0, pid=7, cpu=None, now_ms=0)
        self.sent: list[tuple[str, int]] = []
        self.later = Later()
        record = Record(lambda _kind, _fields: None)
        backends = BackendRequests(self.table, self._send, Notes())
        checker = CheckerRequests(cast(Reactor, self.later), self.table, backends, record)
        names = ("publish", "close", "agent_state", "agent_max_connections")
        self.requests = Requests(
            {name: at_once(getattr(checker, name)) for name in names},
            record,
            phase=lambda: "serving",
            notifier=Notifier({}, 0),
        )

    def _send(self, _: int, op: str, *, slot: int = 0, **__: Any) -> bool:
        self.sent.append((op, slot))
        return True


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


def test_changes_of_weight_are_put_in_force_together(supervisor: Supervisor) -> None:
    for row, percent in ((0, -50), (1, -75)):
        door.set_weight_change(supervisor.table, row, 1, percent)
        supervisor.requests.take({"ask": "publish", "pool": "web"})
    assert sorted(supervisor.table.schedule(0)) == [0, 1]
    assert len(supervisor.later.calls) == 1
    supervisor.later.run()
    assert sorted(supervisor.table.schedule(0)) == [0, 0, 1]
    supervisor.requests.take({"ask": "publish", "pool": "web"})
    assert len(supervisor.later.calls) == 1


def test_an_agents_state_and_limit_are_set(supervisor: Supervisor) -> None:
    supervisor.requests.take(
        {"ask": "agent_state", "backend": "web/b", "state": "drain", "why": "tired"}
    )
    supervisor.requests.take(
        {"ask": "agent_max_connections", "backend": "web/b", "max_connections": 30}
    )
    row = supervisor.table.backends()[1]
    assert (row.state, row.max_connections) == ("drain", 30)


def test_a_down_backend_without_sessions_has_none_to_close(supervisor: Supervisor) -> None:
    supervisor.requests.take({"ask": "close", "backend": "web/a", "serial": 1})
    assert supervisor.sent == []


@pytest.mark.parametrize(
    "message",
    [
        {"ask": "what"},
        {},
        {"ask": "agent_state", "backend": "web/gone", "state": "drain"},
        {"ask": "agent_state", "backend": "web/a", "state": "asleep"},
        {"ask": "close", "backend": "web/gone", "serial": 1},
        {"ask": "agent_max_connections", "backend": "web/a", "max_connections": "many"},
        {"ask": "publish", "pool": "gone"},
    ],
)
def test_what_cannot_be_done_changes_nothing(
    supervisor: Supervisor, message: dict[str, Any]
) -> None:
    before = supervisor.table.backends()
    supervisor.requests.take(message)
    supervisor.later.run()
    assert supervisor.table.backends() == before


@pytest.mark.parametrize(
    ("health", "due"),
    [(None, "unknown"), ({}, "unknown"), ({"initial": "up"}, "up"), ({"initial": "down"}, "down")],
)
def test_a_backends_first_health_is_what_the_configuration_says(
    health: dict[str, Any] | None, due: str
) -> None:
    pool = {"backends": ["10.0.0.1:80"]} | ({"health": health} if health is not None else {})
    data = {"listeners": {"w": {"bind": [":80"], "pool": "w"}}, "pools": {"w": pool}}
    config = build(data, Origin())
    table = Table(capacities(config))
    Membership(table).start(config)
    (row,) = table.backends()
    known = door.health(table, 0)
    assert known is not None
    assert (row.health, known.verdict) == (due, due)
