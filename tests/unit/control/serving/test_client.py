"""Clients that may ask the admin server, and the results of the client class."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from l4lb.control.serving import admin_socket
from l4lb.control.serving.client import AdminClient
from l4lb.control.serving.peer import Peer, is_own, may_ask
from l4lb.errors import AdminError, NoBalancerError
from tests.unit.control.conftest import PATIENCE_S, Admin

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


def test_a_process_of_the_service_may_not_ask(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = Peer(os.getpid(), os.getuid(), frozenset())
    assert is_own(parent, os.getppid())
    assert not is_own(parent, os.getpid())
    assert not is_own(Peer(1 << 22, 0, frozenset()), os.getppid())
    monkeypatch.setattr(admin_socket, "is_own", lambda peer, _: peer.pid == os.getpid())
    peer = admin.peer()
    assert peer.answer()["error"]["code"] == "denied"
    assert peer.is_closed()


def test_a_peer_is_known_with_all_its_groups() -> None:
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(sock) for sock in socket.socketpair(socket.AF_UNIX)]
        groups = frozenset({os.getegid(), *os.getgroups()})
        assert Peer.of(ends[0]) == Peer(os.getpid(), os.geteuid(), groups)


def test_one_who_may_not_ask_is_told_so_and_closed(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "may_ask", lambda *_: False)
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
    monkeypatch.setattr(admin_socket, "may_ask", lambda *_: False)
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
