"""The admin server over a real unix socket: its answers, and input that it must survive."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from l4lb.control.commands import COMMANDS
from l4lb.control.serving import admin_socket
from l4lb.control.serving.protocol import FRAME_MAX
from l4lb.control.views import overview
from tests.e2e.harness.deadline import until
from tests.unit.control.conftest import PATIENCE_S, Admin

OPEN = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)

# Commands that need no argument.
READING = [
    name
    for name, row in COMMANDS.items()
    if row.reads
    and row.by.who != "supervisor"
    and name != "certs"
    and not any(one.required for one in row.args)
]


def test_status_is_answered_with_the_number_of_the_request(admin: Admin) -> None:
    answer = admin.ask("status", number="mine")
    assert (answer["id"], answer["ok"]) == ("mine", True)
    result = answer["result"]
    assert (result["version"], result["pid"], result["generation"]) == ("9.9", 42, 1)


@pytest.mark.parametrize("command", READING)
def test_every_command_that_reads_is_answered_without_the_supervisor(
    admin: Admin, command: str
) -> None:
    args = {"recent": True} if command == "explain" else {}
    assert admin.ask(command, args)["ok"]


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
    monkeypatch.setattr(admin_socket, "FRAME_TIMEOUT_S", 0.1)
    peer = admin.peer()
    peer.send(b"\x00\x00\x00\x09half")
    assert peer.answer()["error"]["code"] == "timeout"
    assert peer.is_closed()


def test_a_frame_that_comes_in_drips_has_no_longer_than_one_that_stops(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "FRAME_TIMEOUT_S", 0.3)
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
    monkeypatch.setattr(admin_socket, "FRAME_TIMEOUT_S", 0.01)
    peer = admin.peer()
    peer.frame({"id": 1, "command": "pools"})
    assert peer.answer()["ok"]
    assert admin.refused("wait", {"condition": "generation", "operand": "9", "timeout_ms": 60})
    peer.frame({"id": 2, "command": "pools"})
    assert peer.answer()["ok"]


def test_200_idle_peers_do_not_keep_another_from_its_answer(admin: Admin) -> None:
    peers = [admin.peer() for _ in range(200)]
    assert admin.ask("status")["ok"]
    # The oldest idle clients were closed, and were told the reason.
    assert peers[0].answer()["error"]["code"] == "too_many_clients"
    assert peers[0].is_closed()
    assert admin.connected() <= admin_socket.MAX_CLIENTS


def test_peers_that_come_all_at_once_make_room_like_others(admin: Admin) -> None:
    with admin.held():
        peers = [admin.peer() for _ in range(200)]
    assert admin.ask("status")["ok"]
    for peer in peers[: 200 - admin_socket.MAX_CLIENTS]:
        assert all(not one["ok"] for one in peer.rest())  # up to its end, with a reason or without


def test_the_idle_make_room_before_one_that_waits(admin: Admin) -> None:
    waiter = admin.peer()
    waiter.frame({"id": 7, "command": "wait", "args": {"condition": "generation", "operand": "2"}})
    for _ in range(admin_socket.MAX_CLIENTS * 2):
        assert admin.ask("pools")["ok"]
    admin.table.generation = 2
    assert waiter.answer()["result"]["condition"] == "generation"


def test_a_long_list_comes_in_parts_that_say_more_until_the_last(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": f"0.{n}.1", "client": "192.0.2.1:1"} for n in range(1_234)]
    monkeypatch.setattr(overview, "sessions", lambda *_: rows)
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
    monkeypatch.setattr(overview, "sessions", lambda *_: [{}] * count)
    answer = admin.ask("sessions")
    assert (len(answer["result"]), "more" in answer) == (count, False)


def many_rows(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Makes `sessions` return this number of rows of 1 kB: more than socket buffers take."""
    monkeypatch.setattr(overview, "sessions", lambda *_: [{"text": "x" * 1_000}] * count)


def test_a_client_that_does_not_read_keeps_no_one_waiting_and_is_cut_off(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_rows(monkeypatch, 20_000)
    monkeypatch.setattr(admin_socket, "WRITE_TIMEOUT_S", 0.2)
    stuck = admin.peer()
    stuck.frame({"id": 1, "command": "sessions", "args": {}})
    asker = admin.client()
    assert asker.call("pools")
    until(lambda: admin.connected() == 1, "the stuck client is gone")
    # Whole parts come, then one that is cut short. No message may stand in the middle of it.
    assert all(part["ok"] and part["more"] for part in stuck.rest())


def test_long_answers_that_wait_to_be_taken_are_bounded_over_all_clients(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_rows(monkeypatch, 2_000)
    monkeypatch.setattr(admin_socket, "ROWS_HELD_MAX", 3_000)
    stuck = admin.peer()
    stuck.frame({"id": 1, "command": "sessions", "args": {}})
    assert stuck.answer()["more"]
    assert admin.refused("sessions") == "busy"
    many_rows(monkeypatch, admin_socket.ROWS_ALWAYS)
    assert admin.ask("sessions")["ok"]
    many_rows(monkeypatch, 2_000)
    stuck.close()
    until(lambda: admin.ask("sessions")["ok"], "the rows are free again")


def test_a_view_that_takes_long_keeps_no_other_client_waiting(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(overview, "backends", lambda *_: [{"went": go.wait(PATIENCE_S)}])
    slow = admin.peer()
    slow.frame({"id": 1, "command": "backends"})
    assert admin.ask("pools")["ok"]
    go.set()
    assert slow.answer()["result"] == [{"went": True}]


def test_a_wait_of_a_client_that_left_is_given_up(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "HANGUP_POLL_S", 0.02)
    waiter = admin.peer()
    waiter.frame({"id": 1, "command": "wait", "args": {"condition": "generation", "operand": "2"}})
    assert admin.ask("pools")["ok"]
    assert admin.connected() == 2
    waiter.close()
    until(lambda: admin.connected() == 1, "the server forgets the client")


def test_a_client_that_has_no_more_to_ask_still_gets_its_answer(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "HANGUP_POLL_S", 0.01)
    waiter = admin.peer()
    args = {"condition": "generation", "operand": "2", "timeout_ms": 300}
    waiter.frame({"id": 1, "command": "wait", "args": args})
    waiter.sock.shutdown(socket.SHUT_WR)
    assert waiter.answer()["error"]["code"] == "timeout"
    assert waiter.is_closed()


def test_a_command_that_fails_by_itself_is_internal_and_says_no_more(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "pools", lambda _: 1 / 0)
    answer = admin.ask("pools")
    assert answer["error"] == {"code": "internal", "message": "the command failed; see the log"}
