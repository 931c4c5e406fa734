"""The admin server over a real unix socket: what it answers, and what it survives."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4lb.control import channel, server, views
from l4lb.control.client import AdminClient
from l4lb.control.commands import COMMANDS
from l4lb.control.peer import Peer, may_ask
from l4lb.control.protocol import FRAME_MAX
from l4lb.errors import AdminError, NoBalancerError
from tests.e2e.harness.deadline import until

from .conftest import PATIENCE_S, Admin

OPEN = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def test_status_is_answered_with_the_number_of_the_request(admin: Admin) -> None:
    answer = admin.ask("status", number="mine")
    assert (answer["id"], answer["ok"]) == ("mine", True)
    result = answer["result"]
    assert (result["version"], result["pid"], result["generation"]) == ("9.9", 42, 1)


@pytest.mark.parametrize("command", [name for name, row in COMMANDS.items() if row.reads])
def test_every_command_that_reads_is_answered_without_the_supervisor(
    admin: Admin, command: str
) -> None:
    assert admin.ask(command)["ok"]


def test_many_requests_on_one_connection_are_answered_in_order(admin: Admin) -> None:
    peer = admin.peer()
    for number in range(50):
        peer.frame({"id": number, "command": "backends", "args": {}})
    assert [peer.answer()["id"] for _ in range(50)] == list(range(50))


def test_a_command_nobody_knows_is_refused_and_the_connection_stays(admin: Admin) -> None:
    peer = admin.peer()
    peer.frame({"id": 1, "command": "dance"})
    refused = peer.answer()
    assert refused["error"]["code"] == "unknown_command"
    assert refused["error"]["message"].startswith("no command 'dance'; one of status, ")
    peer.frame({"id": 2, "command": "pools"})
    assert peer.answer()["ok"]


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("status", {"colour": "red"}),
        ("drain", {}),
        ("drain", {"backend": 7}),
        ("weight", {"backend": "web/a", "weight": "7"}),
        ("weight", {"backend": "web/a", "weight": 257}),
        ("sessions", {"limit": 0}),
        ("kill", {}),
        ("kill", {"session": "0.0.1", "backend": "web/a"}),
        ("wait", {"condition": "weather", "operand": "fine"}),
        ("wait", {"condition": "generation", "operand": "x"}),
    ],
)
def test_a_wrong_argument_is_refused_without_asking_the_supervisor(
    admin: Admin, command: str, args: dict[str, Any]
) -> None:
    assert admin.refused(command, args) == "bad_argument"


@pytest.mark.parametrize("key", ["x" * 900_000, b"bytes"])
def test_an_argument_of_any_name_is_refused_with_few_words(admin: Admin, key: str | bytes) -> None:
    answer = admin.ask("status", {key: 1, "colour": 2})
    assert answer["error"]["code"] == "bad_argument"
    assert len(answer["error"]["message"]) < 500


@pytest.mark.parametrize("command", [None, 7, ["status"], {"status": 1}, b"status", "", "x" * 9999])
def test_a_command_that_is_no_word_is_refused(admin: Admin, command: object) -> None:
    assert admin.refused(command) == "unknown_command"


@pytest.mark.parametrize(
    "request_", [{"id": [1]}, {"id": 1.5}, {"id": "x" * 65}, {"id": 1, "args": 7}]
)
def test_a_request_of_another_shape_ends_the_connection_with_a_word(
    admin: Admin, request_: dict[str, Any]
) -> None:
    peer = admin.peer()
    peer.frame({"command": "status", **request_})
    answer = peer.answer()
    assert (answer["id"], answer["error"]["code"]) == (None, "protocol")
    assert peer.is_closed()


def test_bytes_that_are_no_frame_end_the_connection_with_a_word(admin: Admin) -> None:
    peer = admin.peer()
    peer.send(b"\x00\x00\x00\x01\xc1")
    assert peer.answer()["error"]["code"] == "protocol"
    assert peer.is_closed()


@OPEN
@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_never_keep_others_from_their_answer(admin: Admin, data: bytes) -> None:
    peer = admin.peer()
    peer.send(data)
    peer.close()
    assert admin.ask("pools")["ok"]


def test_a_length_beyond_the_limit_is_refused_at_once(admin: Admin) -> None:
    peer = admin.peer()
    peer.send(struct.pack(">I", FRAME_MAX + 1))
    assert "at most" in peer.answer()["error"]["message"]
    assert peer.is_closed()


def test_half_a_frame_is_not_waited_for_without_end(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FRAME_TIMEOUT_S", 0.1)
    peer = admin.peer()
    peer.send(b"\x00\x00\x00\x09half")
    assert peer.answer()["error"]["code"] == "timeout"
    assert peer.is_closed()


def test_a_frame_that_comes_in_drips_has_no_longer_than_one_that_stops(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FRAME_TIMEOUT_S", 0.3)
    peer = admin.peer()
    peer.send(struct.pack(">I", FRAME_MAX))
    peer.sock.settimeout(0.02)

    def is_ended() -> bool:
        try:
            peer.send(b"\x00")
            return bool(peer.answer())
        except TimeoutError:
            return False
        except (OSError, EOFError):
            return True

    until(is_ended, "the end of a frame in drips", timeout_s=10)


def test_an_idle_client_between_frames_may_stay(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FRAME_TIMEOUT_S", 0.01)
    peer = admin.peer()
    peer.frame({"id": 1, "command": "pools"})
    assert peer.answer()["ok"]
    assert admin.refused("wait", {"condition": "generation", "operand": "9", "timeout_ms": 60})
    peer.frame({"id": 2, "command": "pools"})
    assert peer.answer()["ok"]


def test_200_idle_peers_do_not_keep_another_from_its_answer(admin: Admin) -> None:
    peers = [admin.peer() for _ in range(200)]
    assert admin.ask("status")["ok"]
    # The idle ones that were first made room, and were told so.
    assert peers[0].answer()["error"]["code"] == "too_many_clients"
    assert peers[0].is_closed()
    assert admin.connected() <= server.MAX_CLIENTS


def test_peers_that_come_all_at_once_make_room_like_others(admin: Admin) -> None:
    with admin.held():
        peers = [admin.peer() for _ in range(200)]
    assert admin.ask("status")["ok"]
    for peer in peers[: 200 - server.MAX_CLIENTS]:
        assert all(not one["ok"] for one in peer.rest())  # to its end, with a word or without


def test_the_idle_make_room_before_one_that_waits(admin: Admin) -> None:
    waiter = admin.peer()
    waiter.frame({"id": 7, "command": "wait", "args": {"condition": "generation", "operand": "2"}})
    for _ in range(server.MAX_CLIENTS * 2):
        assert admin.ask("pools")["ok"]
    admin.table.generation = 2
    assert waiter.answer()["result"]["condition"] == "generation"


def test_a_long_list_comes_in_parts_that_say_more_until_the_last(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": f"0.{n}.1", "client": "192.0.2.1:1"} for n in range(1_234)]
    monkeypatch.setattr(views, "sessions", lambda *_: rows)
    peer = admin.peer()
    peer.frame({"id": 5, "command": "sessions", "args": {"limit": 5_000}})
    parts = [peer.answer() for _ in range(3)]
    assert [len(part["result"]) for part in parts] == [500, 500, 234]
    assert [part.get("more") for part in parts] == [True, True, None]
    assert all(part["id"] == 5 and part["ok"] for part in parts)
    assert admin.client().call("sessions", limit=5_000) == rows


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_list_that_fits_comes_in_one_part(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(views, "sessions", lambda *_: [{}] * count)
    answer = admin.ask("sessions")
    assert (len(answer["result"]), "more" in answer) == (count, False)


def many_rows(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """`sessions` has so many rows of 1 kB: more than a socket's buffers take."""
    monkeypatch.setattr(views, "sessions", lambda *_: [{"text": "x" * 1_000}] * count)


def test_a_client_that_does_not_read_keeps_no_one_waiting_and_is_cut_off(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_rows(monkeypatch, 20_000)
    monkeypatch.setattr(server, "WRITE_TIMEOUT_S", 0.2)
    stuck = admin.peer()
    stuck.frame({"id": 1, "command": "sessions", "args": {}})
    asker = admin.client()
    assert asker.call("pools")
    until(lambda: admin.connected() == 1, "the stuck client is gone")
    # Whole parts, then one that is cut short: no last word in the middle of it.
    assert all(part["ok"] and part["more"] for part in stuck.rest())


def test_long_answers_that_wait_to_be_taken_are_bounded_over_all_clients(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_rows(monkeypatch, 2_000)
    monkeypatch.setattr(server, "ROWS_HELD_MAX", 3_000)
    stuck = admin.peer()
    stuck.frame({"id": 1, "command": "sessions", "args": {}})
    assert stuck.answer()["more"]
    assert admin.refused("sessions") == "busy"
    many_rows(monkeypatch, server.ROWS_ALWAYS)
    assert admin.ask("sessions")["ok"]
    many_rows(monkeypatch, 2_000)
    stuck.close()
    until(lambda: admin.ask("sessions")["ok"], "the rows are free again")


def test_a_view_that_takes_long_keeps_no_other_client_waiting(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(views, "backends", lambda *_: [{"went": go.wait(PATIENCE_S)}])
    slow = admin.peer()
    slow.frame({"id": 1, "command": "backends"})
    assert admin.ask("pools")["ok"]
    go.set()
    assert slow.answer()["result"] == [{"went": True}]


def test_a_wait_of_a_client_that_left_is_given_up(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANGUP_POLL_S", 0.02)
    waiter = admin.peer()
    waiter.frame({"id": 1, "command": "wait", "args": {"condition": "generation", "operand": "2"}})
    assert admin.ask("pools")["ok"]
    assert admin.connected() == 2
    waiter.close()
    until(lambda: admin.connected() == 1, "the server forgets the client")


def test_a_client_that_has_no_more_to_ask_still_gets_its_answer(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANGUP_POLL_S", 0.01)
    waiter = admin.peer()
    args = {"condition": "generation", "operand": "2", "timeout_ms": 300}
    waiter.frame({"id": 1, "command": "wait", "args": args})
    waiter.sock.shutdown(socket.SHUT_WR)
    assert waiter.answer()["error"]["code"] == "timeout"
    assert waiter.is_closed()


def test_a_command_that_fails_by_itself_is_internal_and_says_no_more(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "pools", lambda _: 1 / 0)
    answer = admin.ask("pools")
    assert answer["error"] == {"code": "internal", "message": "the command failed; see the log"}


# ---- what the supervisor is asked --------------------------------------------------------------


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
    error = {"code": "not_found", "message": "no backend is named web/z"}
    admin.supervise(lambda _: {"ok": False, "error": error})
    assert admin.ask("drain", {"backend": "web/z"})["error"] == error


def test_a_supervisor_that_does_not_answer_is_a_timeout(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "ANSWER_TIMEOUT_S", 0.1)
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    admin.question()


def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_question(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "ANSWER_TIMEOUT_S", 0.1)
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    late = admin.question()
    monkeypatch.setattr(channel, "ANSWER_TIMEOUT_S", 20.0)

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        admin.tell({"id": late["id"], "ok": True, "result": "late"})
        return {"ok": True, "result": "right"}

    admin.supervise(answer)
    assert admin.ask("ready", {"backend": "web/a"})["result"] == "right"


def test_a_supervisor_that_is_gone_is_a_timeout_at_once(admin: Admin) -> None:
    admin.supervisor.close()
    started = time.monotonic()
    assert admin.refused("drain", {"backend": "web/a"}) == "timeout"
    assert time.monotonic() - started < channel.ANSWER_TIMEOUT_S


def test_what_the_supervisor_tells_is_shown_newest_last_and_bounded(admin: Admin) -> None:
    told = [{"kind": "backend_up", "n": n} for n in range(channel.EVENTS_KEPT + 3)]
    client = admin.client()
    for event in told:
        # In step with the reader: the channel keeps only so many messages.
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


# ---- who may ask -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uid", "groups", "may"),
    [
        (0, {0}, True),
        (1000, {5}, True),
        (1001, {5, 2000}, True),
        (1002, {2000}, True),
        (1002, {5}, False),
        (65534, {65534}, False),
    ],
)
def test_root_the_services_user_and_its_group_may_ask(
    monkeypatch: pytest.MonkeyPatch, uid: int, groups: set[int], may: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 2000)
    assert may_ask(Peer(1, uid, frozenset(groups))) is may


def test_a_peer_is_known_with_all_its_groups() -> None:
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(sock) for sock in socket.socketpair(socket.AF_UNIX)]
        groups = frozenset({os.getegid(), *os.getgroups()})
        assert Peer.of(ends[0]) == Peer(os.getpid(), os.geteuid(), groups)


def test_one_who_may_not_ask_is_told_so_and_closed(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "may_ask", lambda *_: False)
    peer = admin.peer()
    answer = peer.answer()
    assert answer["error"]["code"] == "denied"
    assert f"uid {os.getuid()}" in answer["error"]["message"]
    assert peer.is_closed()


# ---- the client --------------------------------------------------------------------------------


def test_the_client_raises_the_code_of_a_refusal(admin: Admin) -> None:
    with pytest.raises(AdminError) as caught:
        admin.client().call("dance")
    assert caught.value.code == "unknown_command"


def test_the_client_says_where_nobody_answers(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    with pytest.raises(NoBalancerError, match=f"no balancer answers on {path}") as caught:
        AdminClient(path)
    assert caught.value.exit_status == 3


def test_the_client_tells_a_refusal_that_came_before_its_request(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "may_ask", lambda *_: False)
    with pytest.raises(AdminError) as caught:
        admin.client().call("status")
    assert caught.value.code == "denied"


def test_the_client_says_when_something_else_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()
        client = AdminClient(listener.getsockname())
        other, _ = listener.accept()
        with client, other:
            other.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            with pytest.raises(NoBalancerError, match="not l4lb answers on"):
                client.call("status")


def test_an_answer_that_came_too_late_is_not_taken_for_the_next(admin: Admin) -> None:
    client = AdminClient(admin.path, timeout_s=0.05)
    with client:
        with pytest.raises(TimeoutError):
            client.call("wait", condition="generation", operand="9", timeout_ms=200)
        client._sock.settimeout(PATIENCE_S)
        assert client.call("status")["version"] == "9.9"


def test_text_that_is_no_text_is_not_sent(admin: Admin) -> None:
    with pytest.raises(AdminError, match="cannot be sent") as caught:
        admin.client().call("drain", backend="web/\udcff")
    assert caught.value.code == "bad_argument"
