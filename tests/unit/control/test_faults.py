"""A fault of our own in any handler: the client is referred to the log, and nothing else
happens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import pytest

from l4lb.control import handlers, toml
from l4lb.control.command import Command
from l4lb.control.commands import COMMANDS
from l4lb.control.serving import admin_socket
from l4lb.control.views import plan

from .conftest import Admin

FAULTS: list[BaseException] = [
    KeyError("name"), ZeroDivisionError("x"), OSError(24, "y"), TimeoutError("z"),
    RecursionError("deep"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
]  # fmt: skip


def given(command: Command) -> dict[str, Any]:
    """Returns valid values for all required arguments."""
    return {
        arg.name: arg.minimum if arg.type is int else "web/a" if arg.of == "backend" else "web"
        for arg in command.args
        if arg.required
    }


def fails(fault: BaseException) -> Callable[[Any], NoReturn]:
    def handler(_: Any) -> NoReturn:
        raise fault

    return handler


def inject(admin: Admin, command: str, handler: Callable[[Any], Any]) -> None:
    """Replaces a command's handler."""
    running = admin.server._handlers
    for table in (running._views, running._handlers):
        if command in table:
            table[command] = handler
            return
    raise AssertionError(f"{command} has no handler")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_fault_in_any_handler_is_internal_and_asks_nothing_of_the_supervisor(
    admin: Admin, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    inject(admin, command, fails(KeyError("a fault that was put in")))
    peer = admin.peer()
    peer.frame({"id": 1, "command": command, "args": given(COMMANDS[command])})
    error = {"code": "internal", "message": "the command failed; see the log"}
    assert peer.answer() == {"id": 1, "ok": False, "error": error}
    peer.frame({"id": 2, "command": "workers"})  # on the same connection
    assert "id" in peer.answer()
    logged = capfd.readouterr()
    assert "a fault that was put in" in logged.out + logged.err
    if COMMANDS[command].is_recorded({}):  # the supervisor records it
        told = admin.question()
        assert (told["op"], told["args"]) == ("refused", error)
    admin.supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        admin.supervisor.recv(1)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_of_any_kind_is_internal(admin: Admin, fault: BaseException) -> None:
    inject(admin, "pools", fails(fault))
    assert admin.refused("pools") == "internal"
    assert admin.ask("status")["ok"]


@pytest.mark.parametrize(
    ("command", "place", "result"),
    [
        ("plan", (plan, "told"), {"changes": []}),
        ("save", (toml, "written"), {"file": "/f", "plain": {}}),
        ("why", (handlers, "why"), None),
    ],
)
def test_a_fault_after_the_supervisors_answer_is_internal_too(
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    place: tuple[Any, str],
    result: object,
) -> None:
    monkeypatch.setattr(*place, lambda *_: {}["name"])
    admin.supervise(lambda _: {"ok": True, "result": result})
    assert admin.refused(command, given(COMMANDS[command])) == "internal"
    assert admin.ask("status")["ok"]


def test_a_fault_in_the_middle_of_an_answer_that_goes_on_ends_it_with_a_word(admin: Admin) -> None:
    async def parts() -> AsyncIterator[list[Any]]:
        yield [{"kind": "x"}]
        raise KeyError("kind")

    async def follow(_: Any) -> AsyncIterator[list[Any]]:
        return parts()

    inject(admin, "events", follow)
    peer = admin.peer()
    peer.frame({"id": 1, "command": "events", "args": {"follow": True}})
    assert peer.answer()["result"] == [{"kind": "x"}]
    assert peer.answer()["error"]["code"] == "internal"
    peer.frame({"id": 2, "command": "status"})
    assert peer.answer()["ok"]


@pytest.mark.parametrize("result", [object(), {"n": 1 << 70}, [{"row": {1, 2}}]])
def test_a_result_that_no_frame_can_hold_is_internal(admin: Admin, result: object) -> None:
    inject(admin, "pools", lambda _: result)
    assert admin.refused("pools") == "internal"
    assert admin.ask("status")["ok"]


def test_rows_that_are_too_large_for_one_frame_come_in_more_of_them(admin: Admin) -> None:
    rows = [{"text": "x" * 100_000, "n": n} for n in range(25)]
    inject(admin, "sessions", lambda _: rows)
    assert admin.client().call("sessions") == rows
    inject(admin, "sessions", lambda _: [*rows, {"text": "x" * (2 << 20)}])
    peer = admin.peer()
    peer.frame({"id": 1, "command": "sessions"})
    last = next(answer for answer in iter(peer.answer, None) if not answer.get("more"))
    assert last["error"]["code"] == "failed"
    assert "too large" in last["error"]["message"]


def test_a_fault_outside_of_handlers_costs_its_client_and_no_other(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = admin.client()
    assert other.call("status")
    peer = admin.peer()
    monkeypatch.setattr(admin_socket.Request, "of", lambda _: {}["id"])
    peer.frame({"id": 1, "command": "status"})
    answer = peer.answer()
    assert (answer["id"], answer["error"]["code"]) == (None, "internal")
    assert peer.is_closed()
    monkeypatch.undo()
    assert other.call("status")


def test_a_message_of_the_supervisor_that_cannot_be_used_keeps_no_other_from_being_heard(
    admin: Admin,
) -> None:
    admin.tell({"event": 7})
    admin.tell({"op": "sources", "pools": 3})
    admin.supervisor.send(b"\xc1")  # no msgpack
    admin.tell({"event": {"kind": "x", "n": 1}})
    admin.supervise(lambda _: {"ok": True, "result": {"done": 1}})
    assert admin.ask("drain", {"backend": "web/a"})["result"] == {"done": 1}
    assert admin.client().call("events") == [{"kind": "x", "n": 1}]
    with contextlib.closing(admin.peer()) as peer:
        peer.frame({"id": 1, "command": "status"})
        assert peer.answer()["ok"]
