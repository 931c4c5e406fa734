"""The control process as the supervisor starts it: it answers, and ends with its channel."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.control import main
from l4lb.control.serving.client import AdminClient
from l4lb.supervisor.process.child import Child, channel, fork
from tests.e2e.harness.deadline import until
from tests.unit.supervisor.tables import closed_port, table_of


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "admin.sock"))
        sock.listen()
        yield sock


def started(listener: socket.socket, stack: contextlib.ExitStack) -> tuple[Child, socket.socket]:
    """Starts a control process that is killed and reaped with the stack. Returns our end of its
    channel."""
    ours, theirs = channel()
    setup = main.ControlSetup(
        table_of({"web": {"a": closed_port()}}), listener, theirs, "9.9", os.getpid(), 0
    )
    keep = [listener.fileno(), theirs.fileno()]
    child = fork("control", lambda: main.run(setup), keep=keep, now_ms=0)
    theirs.close()
    stack.callback(ours.close)
    stack.callback(child.reap)
    stack.callback(child.kill)
    return child, ours


def has_ended(child: Child) -> bool:
    return os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_it_answers_from_the_table_it_inherited(listener: socket.socket) -> None:
    with contextlib.ExitStack() as stack:
        started(listener, stack)
        with AdminClient(listener.getsockname()) as client:
            status = client.call("status")
            assert (status["version"], status["pid"]) == ("9.9", os.getpid())
            assert [one["name"] for one in client.call("backends")] == ["a"]


def test_the_end_of_the_channel_ends_it_while_clients_are_connected(
    listener: socket.socket,
) -> None:
    with contextlib.ExitStack() as stack:
        child, ours = started(listener, stack)
        with AdminClient(listener.getsockname()) as client:
            assert client.call("status")
            ours.close()
            until(lambda: has_ended(child), "the end of the process")


def test_a_successor_answers_on_the_same_socket(listener: socket.socket) -> None:
    with contextlib.ExitStack() as first:
        started(listener, first)
        with AdminClient(listener.getsockname()) as client:
            assert client.call("status")
    with contextlib.ExitStack() as second, AdminClient(listener.getsockname()) as client:
        started(listener, second)
        assert client.call("status")
