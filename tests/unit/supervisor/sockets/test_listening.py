"""Listening sockets: which can be opened, the error for those that cannot, and when each is
closed."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.config.model import Bind
from l4lb.errors import L4lbError
from l4lb.supervisor.sockets.listening import Listening, open_admin, open_listening, open_unix
from l4lb.supervisor.sockets.options import SocketOptions
from tests.e2e.harness.ports import PORTS

LOOPBACK = "127.0.0.1"


@pytest.fixture
def port() -> Iterator[int]:
    """Returns a port that only this test uses, on both families."""
    with PORTS.taken() as one:
        yield one


def opened(bind: Bind, workers: int = 2) -> Listening:
    return open_listening(bind, "web", 5, range(workers), SocketOptions())


def connects(family: int, where: object) -> bool:
    with socket.socket(family) as sock:
        sock.settimeout(20)
        return sock.connect_ex(where) == 0


def refusal(bind: Bind) -> str:
    with pytest.raises(L4lbError) as caught:
        opened(bind)
    assert caught.value.exit_status == 1
    return caught.value.message


# ---- TCP ---------------------------------------------------------------------------------------


def test_each_worker_has_a_socket_of_its_own_on_the_one_port(port: int) -> None:
    listening = opened(Bind(LOOPBACK, port), workers=3)
    assert [sock.getsockname() for sock in listening.sockets.values()] == [(LOOPBACK, port)] * 3
    assert [listening.of_worker(n) for n in range(3)] == list(listening.sockets.values())
    assert (listening.row, listening.shared) == (5, False)
    listening.close()


def test_sockets_do_not_block_and_are_not_handed_to_other_programs(port: int) -> None:
    listening = opened(Bind(LOOPBACK, port))
    for sock in listening.sockets.values():
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listening.close()


def test_both_families_may_have_the_same_port(port: int) -> None:
    listening = opened(Bind("0.0.0.0", port))
    try:
        other = opened(Bind("::", port))
    except L4lbError as error:
        listening.close()
        pytest.skip(f"no IPv6 on this host: {error}")
    assert connects(socket.AF_INET, (LOOPBACK, port))
    listening.close()
    # [::] is IPv6 only.
    assert not connects(socket.AF_INET, (LOOPBACK, port))
    assert connects(socket.AF_INET6, ("::1", port))
    other.close()


def test_a_port_in_use_is_told_with_the_remedy(port: int) -> None:
    with socket.create_server((LOOPBACK, port)):
        assert refusal(Bind(LOOPBACK, port)) == (
            f"cannot listen on {LOOPBACK}:{port}: Address already in use (another program listens"
            " there; stop it or choose another address)"
        )


def test_a_second_service_does_not_share_a_port_in_silence(port: int) -> None:
    listening = opened(Bind(LOOPBACK, port))
    assert "Address already in use" in refusal(Bind(LOOPBACK, port))
    listening.close()
    opened(Bind(LOOPBACK, port)).close()


def test_a_port_whose_old_connections_still_linger_can_be_had(port: int) -> None:
    listening = opened(Bind(LOOPBACK, port), workers=1)
    sock = listening.of_worker(0)
    sock.settimeout(20)
    with socket.create_connection((LOOPBACK, port)) as client:
        server, _ = sock.accept()
        server.close()  # closed first, so that this side gets the TIME_WAIT
        assert client.recv(1) == b""
    listening.close()
    opened(Bind(LOOPBACK, port)).close()


def test_an_address_of_another_host_is_told_as_such(port: int) -> None:
    assert refusal(Bind("192.0.2.1", port)).endswith("(no interface of this host has that address)")


def test_a_refusal_leaves_no_descriptor(port: int) -> None:
    with socket.create_server((LOOPBACK, port)):
        before = len(os.listdir("/proc/self/fd"))
        refusal(Bind(LOOPBACK, port))
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_worker_that_is_released_takes_no_one_elses_socket(port: int) -> None:
    listening = opened(Bind(LOOPBACK, port), workers=2)
    listening.release(0, range(2))
    assert list(listening.sockets) == [1]
    assert all(connects(socket.AF_INET, (LOOPBACK, port)) for _ in range(8))
    listening.release(1, range(2))
    assert not connects(socket.AF_INET, (LOOPBACK, port))
    listening.close()


# ---- unix --------------------------------------------------------------------------------------


def test_a_unix_path_has_one_socket_for_all_workers(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    listening = opened(Bind("", 0, path), workers=3)
    assert len(listening.sockets) == 1
    assert listening.shared
    assert {listening.of_worker(n) for n in range(3)} == set(listening.sockets.values())
    assert connects(socket.AF_UNIX, path)
    listening.close()
    assert not (tmp_path / "a.sock").exists()


def test_a_unix_socket_stays_until_the_last_worker_is_released(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    listening = opened(Bind("", 0, path), workers=2)
    listening.release(1, range(2))
    listening.release(1, range(2))  # called twice: when drained, and when ended
    assert connects(socket.AF_UNIX, path)
    listening.release(0, range(2))
    assert not (tmp_path / "a.sock").exists()
    listening.close()


def test_a_successors_file_is_not_removed_by_a_second_close(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    first = opened(Bind("", 0, path), workers=1)
    first.release(0, range(1))
    second = opened(Bind("", 0, path), workers=1)
    first.close()
    assert connects(socket.AF_UNIX, path)
    second.close()


def test_a_dead_services_file_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with open_unix(path):
        assert connects(socket.AF_UNIX, path)


def test_a_living_services_file_is_not_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(path)
        living.listen()
        assert "Address already in use" in refusal(Bind("", 0, path))
        assert connects(socket.AF_UNIX, path)


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "a.sock"
    file.write_text("precious")
    assert "Address already in use" in refusal(Bind("", 0, str(file)))
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "a.sock")
    assert refusal(Bind("", 0, path)) == f"cannot listen on unix:{path}: No such file or directory"


# ---- the admin socket --------------------------------------------------------------------------


def test_the_admin_socket_is_0660_in_a_folder_of_0750(tmp_path: Path) -> None:
    path = tmp_path / "run" / "admin.sock"
    admin = open_admin(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert connects(socket.AF_UNIX, str(path))
    admin.close()
    assert not path.exists()


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        open_admin(str(tmp_path / "admin.sock")).close()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_second_service_on_one_admin_socket_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    admin = open_admin(path)
    with pytest.raises(
        L4lbError, match=rf"another l4lb \(pid {os.getpid()}\) runs on the admin socket"
    ):
        open_admin(path)
    assert connects(socket.AF_UNIX, path)
    admin.close()
    open_admin(path).close()


def test_an_admin_socket_whose_service_died_is_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    dead = open_admin(path)
    dead.sock.close()
    os.close(dead.lock_fd)
    taken = open_admin(path)
    assert connects(socket.AF_UNIX, path)
    taken.close()


def test_an_admin_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(L4lbError, match=r"cannot make the admin socket .*choose another path"):
        open_admin(str(tmp_path / "file" / "admin.sock"))
