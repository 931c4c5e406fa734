"""Requests of the control process: each change on a real table; each fault becomes an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4lb.native.table import Table
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.requests.backends import BackendRequests
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.requests.requests import Requests, at_once
from tests.unit.supervisor.tables import closed_port, put_backend, table_of

OPS = ("state", "weight", "kill", "kill_backend")


class Notes:
    """Discards all run-time changes."""

    def note_state(self, pool: str, name: str, state: str) -> None: ...

    def note_weight(self, pool: str, name: str, weight: int) -> None: ...


class Supervisor:
    """Requests with a table. `sent` has the commands for workers."""

    def __init__(self) -> None:
        self.table: Table = table_of(
            {"web": {"a": closed_port(1), "b": closed_port(2)}, "db": {"a": closed_port(3)}}
        )
        self.sent: list[tuple[Any, ...]] = []
        self.backends = BackendRequests(self.table, self._send, Notes())
        self.phase = "serving"
        self._requests = Requests(
            {
                **{op: at_once(getattr(self.backends, op)) for op in OPS},
                "confirm": at_once(lambda _: "confirmed"),  # only while the service serves
                "publish": at_once(lambda _: None),  # only for the checker
            },
            Record(lambda _kind, _fields: None),
            phase=lambda: self.phase,
            notifier=Notifier({}, 0),
        )

    def _send(self, index: int, op: str, *, slot: int = 0, serial: int = 0) -> bool:
        self.sent.append((index, op, slot, serial))
        return True

    def ask(self, op: object, args: object) -> dict[str, Any]:
        answers: list[dict[str, Any]] = []
        self._requests.handle({"id": 7, "op": op, "args": args}, answers.append)
        (answer,) = answers
        return answer

    def done(self, op: str, **args: object) -> Any:
        """Returns the result of a request that succeeds."""
        answer = self.ask(op, args)
        assert answer == {"id": 7, "ok": True, "result": answer.get("result")}
        return answer["result"]

    def refused(self, op: object, args: object) -> str:
        """Returns the code of a refusal; nothing was changed."""
        before = self.table.backends()
        answer = self.ask(op, args)
        assert (answer["id"], answer["ok"], set(answer["error"])) == (7, False, {"code", "message"})
        assert self.table.backends() == before
        assert self.sent == []
        return str(answer["error"]["code"])


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


@pytest.mark.parametrize("state", ["drain", "maint", "ready"])
def test_a_state_is_set_on_the_one_backend_named(supervisor: Supervisor, state: str) -> None:
    supervisor.table.set_state(0, "maint")
    shown = supervisor.done("state", backend="web/a", state=state)
    assert shown == {"pool": "web", "name": "a", "state": state}
    assert [row.state for row in supervisor.table.backends()] == [state, "ready", "ready"]


def test_backends_of_the_same_name_are_told_apart_by_their_pool(supervisor: Supervisor) -> None:
    supervisor.done("state", backend="db/a", state="drain")
    assert [row.state for row in supervisor.table.backends()] == ["ready", "ready", "drain"]


def test_a_name_with_a_slash_is_found() -> None:
    supervisor = Supervisor()
    put_backend(supervisor.table, 3, name="unix:/run/x", address=closed_port(4))
    assert supervisor.done("state", backend="web/unix:/run/x", state="drain")
    assert supervisor.table.backends()[3].state == "drain"


@pytest.mark.parametrize("state", ["", "down", "READY", None, 1, ["ready"]])
def test_a_state_that_is_none_is_refused(supervisor: Supervisor, state: object) -> None:
    assert supervisor.refused("state", {"backend": "web/a", "state": state}) == "bad_argument"


def test_a_weight_is_in_force_in_the_schedule_at_once(supervisor: Supervisor) -> None:
    shown = supervisor.done("weight", backend="web/a", weight=3)
    assert shown == {"pool": "web", "name": "a", "weight": 3}
    schedule = supervisor.table.schedule(0)
    assert (schedule.count(0), schedule.count(1)) == (3, 1)


def test_a_weight_of_nothing_takes_a_backend_out_of_the_schedule(supervisor: Supervisor) -> None:
    supervisor.done("weight", backend="web/a", weight=0)
    assert set(supervisor.table.schedule(0)) == {1}


@pytest.mark.parametrize("weight", [-1, 257, 1 << 70, "3", 3.0, True, None, [3]])
def test_a_weight_that_is_none_is_refused(supervisor: Supervisor, weight: object) -> None:
    assert supervisor.refused("weight", {"backend": "web/a", "weight": weight}) == "bad_argument"


@pytest.mark.parametrize("op", ["state", "weight", "kill_backend"])
@pytest.mark.parametrize("name", ["web/z", "none/a", "a", "", "web/", "/a", None, 7, ["web/a"]])
def test_a_backend_that_is_not_there_is_not_found(
    supervisor: Supervisor, op: str, name: object
) -> None:
    args = {"backend": name, "state": "drain", "weight": 3}
    assert supervisor.refused(op, args) == "not_found"


@pytest.mark.parametrize("session", ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.1", "1.2.²", None])
def test_a_session_id_that_is_none_is_refused(supervisor: Supervisor, session: object) -> None:
    assert supervisor.refused("kill", {"session": session}) == "bad_argument"


@pytest.mark.parametrize(
    "session",
    ["0.0.0", "0.0.1", "0.63.1", "0.64.1", "3.0.1", "4.0.1", "99999999999999999999.0.1",
     "0.99999999999999999999.1", "0.0.99999999999999999999"],
)  # fmt: skip
def test_a_session_that_is_not_alive_is_not_found(supervisor: Supervisor, session: str) -> None:
    assert supervisor.refused("kill", {"session": session}) == "not_found"


def test_a_living_session_is_killed_by_its_worker(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alive:
        """A table where worker 2 has session 5 with serial 9; the real table has no setter for
        it."""

        def session_serial(self, worker: int, slot: int) -> int:
            return 9 if (worker, slot) == (2, 5) else 0

    monkeypatch.setattr(supervisor.backends, "_table", Alive())
    assert supervisor.ask("kill", {"session": "2.5.8"})["error"]["code"] == "not_found"
    assert supervisor.done("kill", session="2.5.9") == {"session": "2.5.9"}
    assert supervisor.sent == [(2, "kill", 5, 9)]


def test_all_sessions_of_a_backend_are_killed_by_the_workers_that_live(
    supervisor: Supervisor,
) -> None:
    for index in range(3):
        supervisor.table.start_worker(index, pid=100 + index, cpu=None, now_ms=1)
    supervisor.table.end_worker(1, restarted=True)
    shown = supervisor.done("kill_backend", backend="web/b")
    assert shown == {"pool": "web", "name": "b", "sessions": 0}
    assert [one[:3] for one in supervisor.sent] == [(0, "kill_backend", 1), (2, "kill_backend", 1)]


@pytest.mark.parametrize("op", [None, "", "dance", 7, ["state"], "_state"])
def test_an_operation_nobody_knows_is_a_bad_request(supervisor: Supervisor, op: object) -> None:
    assert supervisor.refused(op, {}) == "bad_request"


def test_what_needs_a_service_that_serves_is_refused_while_it_ends(supervisor: Supervisor) -> None:
    assert supervisor.done("confirm") == "confirmed"
    supervisor.phase = "draining"
    assert supervisor.refused("confirm", {}) == "refused"
    assert supervisor.done("weight", backend="web/a", weight=3)


def test_what_is_the_checkers_to_ask_is_nobody_elses(supervisor: Supervisor) -> None:
    assert supervisor.refused("publish", {"pool": "web"}) == "bad_request"


@pytest.mark.parametrize("args", [None, [], "backend", 7])
def test_arguments_that_are_no_map_are_a_bad_request(supervisor: Supervisor, args: object) -> None:
    assert supervisor.refused("state", args) == "bad_request"


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
ARGS = st.dictionaries(
    st.sampled_from(["backend", "state", "weight", "session"]),
    PLAIN | st.just("web/a") | st.lists(PLAIN, max_size=2),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(OPS) | PLAIN, ARGS | PLAIN)
def test_any_request_has_an_answer(supervisor: Supervisor, op: object, args: object) -> None:
    answer = supervisor.ask(op, args)
    assert answer["id"] == 7
    assert set(answer) == {"id", "ok", "result" if answer["ok"] else "error"}
