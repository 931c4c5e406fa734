"""The tcp check against real sockets: every result that a host can be made to give."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.checker import stream
from l4lb.checker.judge import Verdict
from l4lb.checker.members import Member
from l4lb.checker.plan import Plan
from l4lb.checker.types import Outcome, Settings, Way
from l4lb.native.results import Result
from l4lb.native.rows import Address
from tests.unit.supervisor.tables import table_of

from .servers import one_check

SETTINGS = Settings("tcp", interval_ms=1_000, timeout_ms=150, rise=2, fall=3, jitter_percent=10)
PATIENT = Settings("tcp", interval_ms=1_000, timeout_ms=20_000, rise=2, fall=3, jitter_percent=10)

(BACKEND,) = table_of({"web": {"a": Address("127.0.0.1", 1)}}).backends()


def checked(address: Address, settings: Settings = PATIENT) -> Outcome:
    """Runs one check of this address with the checker's timeout and its reading of errors."""
    member = Member(BACKEND._replace(address=address), Plan(settings), Verdict("unknown"))
    return one_check(member.target, settings)


def listening(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, 0), family=family)


def address_of(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(host, port)


@pytest.fixture
def refused() -> Iterator[Address]:
    """Returns a port that is bound, so that nothing else gets it, but does not listen."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield address_of(sock)


def fill(family: int, where: tuple[str, int] | str, stack: contextlib.ExitStack) -> None:
    """Connects until the backlog is full."""
    for _ in range(8):
        client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        client.settimeout(0.1)
        try:
            client.connect(where)
        except (TimeoutError, BlockingIOError):
            return
    pytest.fail("the backlog does not fill")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_port_that_listens_passes() -> None:
    with listening() as sock:
        assert checked(address_of(sock)) == Outcome(Result.OK, 0, "connected")


def test_the_connection_is_let_go_by_a_reset_so_that_no_time_wait_stays() -> None:
    with listening() as sock:
        assert checked(address_of(sock)).passed
        sock.settimeout(20)
        peer, _ = sock.accept()
        with peer, pytest.raises(ConnectionResetError):
            peer.recv(1)


def test_a_port_that_nobody_listens_on_is_refused(refused: Address) -> None:
    outcome = checked(refused)
    assert (outcome.result, outcome.text) == (Result.REFUSED, "Connection refused")
    assert not outcome.passed


def test_a_backlog_that_is_full_is_a_timeout_that_says_how_long() -> None:
    with socket.socket() as sock, contextlib.ExitStack() as stack:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fill(socket.AF_INET, sock.getsockname(), stack)
        outcome = checked(address_of(sock), SETTINGS)
        assert (outcome.result, outcome.text) == (Result.TIMEOUT, "no answer in 150 ms")


def test_a_check_that_times_out_leaves_no_descriptor() -> None:
    with socket.socket() as sock, contextlib.ExitStack() as stack:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        fill(socket.AF_INET, sock.getsockname(), stack)
        before = descriptors()
        assert checked(address_of(sock), SETTINGS).result is Result.TIMEOUT
        assert descriptors() <= before + 1  # one for a table that is not collected yet


def test_a_unix_path_that_listens_passes(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        assert checked(Address("", 0, path)).passed


def test_a_unix_path_without_a_file_is_refused(tmp_path: Path) -> None:
    assert checked(Address("", 0, str(tmp_path / "none"))).result is Result.REFUSED


def test_a_unix_file_whose_program_is_gone_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    assert checked(Address("", 0, path)).result is Result.REFUSED


def test_a_unix_backlog_that_is_full_is_no_pass(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as sock, contextlib.ExitStack() as stack:
        sock.bind(path)
        sock.listen(0)
        fill(socket.AF_UNIX, path, stack)
        assert checked(Address("", 0, path)).result is Result.TIMEOUT


def test_ipv6_is_checked_like_ipv4() -> None:
    try:
        sock = listening("::1")
    except OSError as error:
        pytest.skip(f"no IPv6 on this host: {error}")
    with sock:
        address = address_of(sock)
        assert checked(address).passed
        sock.shutdown(socket.SHUT_RD)  # still bound, no longer listening
        assert checked(address).result is Result.REFUSED


def test_settings_may_send_the_check_to_another_port(refused: Address) -> None:
    with listening() as sock:
        elsewhere = Settings("tcp", 1_000, 20_000, 2, 3, 10, port=address_of(sock).port)
        assert checked(refused, elsewhere).passed


def test_settings_may_send_the_check_to_another_address() -> None:
    with listening("127.0.0.1") as sock:
        port = address_of(sock).port
        elsewhere = Settings("tcp", 1_000, 20_000, 2, 3, 10, address="127.0.0.1")
        assert checked(Address("127.0.0.2", port), elsewhere).passed


def test_the_check_comes_from_the_source_of_the_pool() -> None:
    with listening() as sock:
        assert checked(
            address_of(sock), Settings("tcp", 1_000, 20_000, 2, 3, 10, way=Way(("127.0.0.3",)))
        ).passed
        sock.settimeout(20)
        peer, (host, _) = sock.accept()
        peer.close()
        assert host == "127.0.0.3"


def test_a_source_of_the_other_family_is_left_out() -> None:
    with listening() as sock:
        assert checked(
            address_of(sock), Settings("tcp", 1_000, 20_000, 2, 3, 10, way=Way(("::1",)))
        ).passed


def test_a_source_that_this_host_does_not_have_says_nothing_of_the_backend() -> None:
    with listening() as sock:
        settings = Settings("tcp", 1_000, 20_000, 2, 3, 10, way=Way(("192.0.2.1",)))
        assert checked(address_of(sock), settings).result is Result.NO_SOCKET


@pytest.mark.parametrize("number", sorted(stream.OWN_FAULTS))
def test_a_fault_of_this_host_says_nothing_of_the_backend(number: int) -> None:
    assert stream.outcome_of(OSError(number, "")).result is Result.NO_SOCKET


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    assert stream.outcome_of(OSError("strange")) == Outcome(Result.ERROR, 0, "strange")


def test_a_check_that_raises_what_it_should_not_says_nothing_of_the_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def probe(_: Address, __: Settings) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setattr("l4lb.checker.probes.PROBES", {"tcp": probe})
    assert checked(Address("127.0.0.1", 1)).result is Result.NO_SOCKET
