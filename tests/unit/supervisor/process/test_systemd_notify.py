"""Messages to a service manager, over a real datagram socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.supervisor.process.systemd_notify import Notifier

PID = 4711


class Manager:
    """The service manager's socket at an address, and the messages that came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + address[1:] if address[0] == "@" else address)
        self.sock.settimeout(20)

    def hears(self) -> list[str]:
        return self.sock.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    one = Manager(f"@{path}" if request.param == "abstract" else path)
    yield one
    one.sock.close()


def test_each_word_is_one_datagram(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address}, PID)
    notifier.ready("serving:\n2 connections")
    assert manager.hears() == ["READY=1", "STATUS=serving: 2 connections"]
    before = time.monotonic_ns() // 1_000
    notifier.reloading()
    word, stamp = manager.hears()
    assert word == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1_000
    notifier.stopping()
    assert manager.hears() == ["STOPPING=1"]


def test_it_beats_twice_in_the_watchdogs_time(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000"}
    notifier = Notifier(environ, PID)
    timers: list[tuple[int, object]] = []
    notifier.beat(lambda delay_ms, call: timers.append((delay_ms, call)))
    assert manager.hears() == ["WATCHDOG=1"]
    ((delay_ms, again),) = timers
    assert delay_ms == 2_000
    assert callable(again)
    again()
    assert manager.hears() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "4000000"},
        {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/n"},
        {},
    ],
)
def test_nobody_who_asks_not_is_told(environ: dict[str, str]) -> None:
    notifier = Notifier(environ, PID)
    timers: list[object] = []
    notifier.beat(lambda *what: timers.append(what))
    assert not timers


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket", "@nobody", "vsock:1:2"])
def test_a_manager_that_is_not_there_costs_nothing(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}, PID).ready()


def test_children_do_not_inherit_the_right_to_speak_and_a_successor_does(
    manager: Manager,
) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000", "HOME": "/"}
    notifier = Notifier(environ, PID)
    assert environ == {"HOME": "/"}
    Notifier(notifier.environment(), os.getpid()).ready()
    assert manager.hears() == ["READY=1"]


def test_a_manager_that_is_behind_is_waited_for_where_it_matters(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address}, PID)
    for _ in range(1_000):  # more messages than its queue holds
        notifier.alive()
    timer = threading.Timer(0.2, lambda: [manager.hears() for _ in range(3)])
    timer.start()
    notifier.ready("serving")
    timer.join()
    heard = []
    while heard[-1:] != [["READY=1", "STATUS=serving"]]:
        heard.append(manager.hears())
