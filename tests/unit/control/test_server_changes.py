"""Requests of the admin server to the supervisor, and its waiting for answers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from l4lb.control.command import SUPERVISOR
from l4lb.control.commands import OPERATIONS
from l4lb.control.events import EVENTS_KEPT
from tests.e2e.harness.deadline import until

from .conftest import Admin


@pytest.mark.parametrize(
    ("command", "args", "op", "asked"),
    [
        ("drain", {"backend": "web/a"}, "state", {"backend": "web/a", "state": "drain"}),
        ("ready", {"backend": "web/a"}, "state", {"backend": "web/a", "state": "ready"}),
        ("maint", {"backend": "web/a"}, "state", {"backend": "web/a", "state": "maint"}),
        ("weight", {"backend": "web/a", "weight": 3}, "weight", {"backend": "web/a", "weight": 3}),
        ("kill", {"session": "0.1.2"}, "kill", {"session": "0.1.2"}),
        ("kill", {"backend": "web/a"}, "kill_backend", {"backend": "web/a"}),
    ],
)
def test_a_change_is_asked_of_the_supervisor_and_its_result_handed_on(
    admin: Admin, command: str, args: dict[str, Any], op: str, asked: dict[str, Any]
) -> None:
    seen: list[dict[str, Any]] = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        seen.append(question)
        return {"ok": True, "result": {"done": command}}

    admin.supervise(answer)
    assert admin.ask(command, args)["result"] == {"done": command}
    assert [(one["op"], one["args"]) for one in seen] == [(op, asked)]


def test_a_refusal_of_the_supervisor_is_handed_on_with_its_code(admin: Admin) -> None:
    error = {"code": "refused", "message": "not now"}
    admin.supervise(lambda _: {"ok": False, "error": error})
    assert admin.ask("drain", {"backend": "web/z"})["error"] == error


def test_a_supervisor_that_does_not_answer_is_a_timeout(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS, "state", replace(SUPERVISOR, timeout_s=0.1))
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    admin.question()


def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_question(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS, "state", replace(SUPERVISOR, timeout_s=0.1))
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    late = admin.question()
    monkeypatch.setitem(OPERATIONS, "state", replace(SUPERVISOR, timeout_s=20.0))

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        admin.tell({"id": late["id"], "ok": True, "result": "late"})
        return {"ok": True, "result": "right"}

    admin.supervise(answer)
    assert admin.ask("ready", {"backend": "web/a"})["result"] == "right"


def test_a_supervisor_that_is_gone_is_a_timeout_at_once(admin: Admin) -> None:
    admin.supervisor.close()
    started = time.monotonic()
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    assert time.monotonic() - started < OPERATIONS["state"].timeout_s


def test_what_the_supervisor_tells_is_shown_newest_last_and_bounded(admin: Admin) -> None:
    told = [{"kind": "backend_up", "n": n} for n in range(EVENTS_KEPT + 3)]
    client = admin.client()
    for event in told:
        # Each request is read at once, because the channel keeps only a limited number of messages.
        admin.tell({"event": event})
        if event["n"] % 50 == 0:
            until(lambda event=event: event in client.call("events"), "the event")
    until(lambda: told[-1] in client.call("events"), "the last event")
    assert client.call("events") == told[3:]


# ---- wait --------------------------------------------------------------------------------------


def test_wait_answers_when_its_condition_holds(admin: Admin) -> None:
    peer = admin.peer()
    args = {"condition": "generation", "operand": "2", "timeout_ms": 20_000}
    peer.frame({"id": 1, "command": "wait", "args": args})
    assert admin.ask("status")["result"]["generation"] == 1
    admin.table.generation = 2
    result = peer.answer()["result"]
    assert (result["condition"], result["operand"]) == ("generation", "2")
    assert 0 <= result["waited_ms"] <= 20_000


def test_wait_gives_up_after_its_timeout(admin: Admin) -> None:
    args = {"condition": "backend-up", "operand": "web/a", "timeout_ms": 0}
    answer = admin.ask("wait", args)
    assert answer["error"]["code"] == "timeout"
    assert answer["error"]["message"] == "backend-up web/a: not so after 0 ms"


def test_wait_for_a_backend_that_is_not_there_ends_at_once(admin: Admin) -> None:
    assert admin.refused("wait", {"condition": "backend-up", "operand": "web/z"}) == "not_found"
