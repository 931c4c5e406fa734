"""The command line as users meet it: run by flags, --demo, check, admin, and exit statuses."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import PORTS, Backends, Balancer, greet, held, names, one_pool, program, run, until
from ..harness.program import python
from ..harness.servers import accepts

LINES_TO_TRY = re.compile(r"^  (\S.*)$", re.MULTILINE)
VALID = """
[listeners.web]
bind = ["127.0.0.1:1"]
pool = "web"

[pools.web]
backends = ["127.0.0.1:2"]
"""


@pytest.fixture
def port() -> Iterator[int]:
    """Returns a port that nothing else uses."""
    with PORTS.taken() as taken:
        yield taken


def by_flags(port: int, *more: str) -> Balancer:
    bind = f"127.0.0.1:{port}"
    return Balancer(args=["run", "--listen", f"tcp://{bind}", *more], bind=bind)


def test_run_balances_by_flags_alone_with_weights(three: Backends, port: int) -> None:
    a, b, c = three.addresses
    flags = ["--backend", a, "--backend", f"{b},weight=3", "--backend", c]
    with by_flags(port, *flags) as lb:
        assert names(lb, 50) == {"a": 10, "b": 30, "c": 10}
        assert lb.backends()[b]["weight"] == 3


def test_run_takes_the_algorithm_by_flag(three: Backends, port: int) -> None:
    flags = [part for address in three.addresses for part in ("--backend", address)]
    with by_flags(port, *flags, "--balance", "least_connections") as lb:
        for _ in range(3):
            with held(lb, 30) as clients:
                assert sorted(name for _, name in clients) == sorted("abc" * 10)
            until(lambda: lb.total("active") == 0, "all sessions ended")


def test_admin_finds_a_running_balancer_without_being_told_where(
    three: Backends, port: int
) -> None:
    with by_flags(port, "--backend", three.address("a")) as lb:
        done = subprocess.run(
            [*program(), "admin", "status", "--json"],
            env=lb.environment(),
            capture_output=True,
            check=True,
            timeout=30,
        )
        assert json.loads(done.stdout)["pid"] == lb.process.pid


def test_the_demo_prints_lines_that_work_as_they_are(port: int) -> None:
    """Each line is given to a shell whose PATH does not lead to l4lb."""
    lb = Balancer(args=["run", "--demo", "--port", str(port)], bind=f"127.0.0.1:{port}")
    with lb:
        lines = until(lambda: LINES_TO_TRY.findall(lb.out()), "the demo prints lines to try")
        assert len({_http_get(lb) for _ in range(9)}) == 3, "three backends say who they are"
        assert any(line.startswith("curl ") for line in lines)
        assert any(" admin " in line for line in lines)
        path = {"PATH": "/usr/bin:/bin"}
        for line in lines:
            done = subprocess.run(
                ["/bin/sh", "-c", line], env=lb.environment() | path, capture_output=True,
                timeout=30, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stderr)
        (page,) = re.findall(r"^Dashboard: (http://\S+)$", lb.out(), re.MULTILINE)
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert "l4lb" in answer.read().decode()


def _http_get(lb: Balancer) -> bytes:
    with lb.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head
    return body


def test_python_dash_m_l4lb_is_the_same_program(three: Backends, port: int) -> None:
    command = [python(), "-m", "l4lb"]
    with Balancer(one_pool(f"127.0.0.1:{port}", three.rows()), command=command) as lb:
        assert greet(lb)[1] in "abc"
        assert lb.admin("status")["pid"] == lb.process.pid


def test_check_accepts_a_good_file_with_status_0(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(VALID)
    done = run("check", "-c", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    told = run("check", "-c", str(path), "--json")
    assert told.returncode == 0
    json.loads(told.stdout)


def test_check_starts_nothing(tmp_path: Path, port: int) -> None:
    path = tmp_path / "good.toml"
    path.write_text(VALID.replace("127.0.0.1:1", f"127.0.0.1:{port}"))
    assert run("check", "-c", str(path)).returncode == 0
    assert not accepts(port)


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-command"],
        ["--no-such-flag"],
        ["run"],
        ["run", "--no-such-flag"],
        ["run", "-c"],
        ["run", "--listen", "tcp://127.0.0.1:1"],
        ["run", "--listen", "nonsense", "--backend", "127.0.0.1:2"],
        ["run", "--listen", "tcp://127.0.0.1:1", "--backend", "nonsense"],
        ["run", "--listen", "tcp://127.0.0.1:1", "--backend", "127.0.0.1:2,weight=many"],
        ["run", "--listen", "tcp://127.0.0.1:1", "--backend", "127.0.0.1:2", "--balance", "best"],
        ["run", "--demo", "-c", "l4lb.toml"],
        ["check"],
        ["admin"],
        ["admin", "no-such-command"],
        ["admin", "drain"],
        ["admin", "weight", "web/a", "many"],
    ],
    ids=" ".join,
)
def test_a_usage_error_exits_2_and_says_so_on_stderr(args: list[str], tmp_path: Path) -> None:
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_missing_configuration_file_exits_2_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    for command in ("check", "run"):
        done = run(command, "-c", str(path))
        assert done.returncode == 2
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [["status"], ["backends", "--json"], ["drain", "web/a"]])
def test_admin_without_a_balancer_exits_3(args: list[str], tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    done = run("admin", "--socket", str(path), *args)
    assert done.returncode == 3, done.stderr
    assert str(path) in done.stderr
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    assert run("admin", "--socket", str(path), *args).returncode == 3


def test_admin_on_what_does_not_exist_exits_1_in_one_line(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        for args in (["drain", "web/zebra"], ["weight", "no/pool", "1"], ["kill", "1.2.3"]):
            done = run("admin", "--socket", lb.socket, *args)
            assert done.returncode == 1, (args, done.stderr)
            assert len(done.stderr.strip().splitlines()) == 1


def test_every_reading_command_answers_in_json_and_as_text(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, held(lb, 3):
        for command in ("status", "listeners", "pools", "backends", "workers", "sessions"):
            assert lb.admin(command), command
            done = run("admin", "--socket", lb.socket, command)
            assert done.returncode == 0
            assert done.stdout.strip(), command
            assert "\x1b" not in done.stdout, "terminal codes in a pipe"


def test_the_fields_of_status_and_backends_are_those_of_the_contract(three: Backends) -> None:
    status_fields = {"version", "pid", "uptime_s", "generation", "workers", "listeners"}
    worker_fields = {"index", "pid", "active", "accepted"}
    listener_fields = {"name", "bind", "protocol", "pool", "active", "accepted"}
    backend_fields = {"pool", "name", "address", "weight", "state", "health", "active", "total"}
    backend_fields |= {"connect_errors", "bytes_in", "bytes_out", "response_time_ms", "last_check"}
    with Balancer.before(three.rows()) as lb, held(lb, 3):
        status = lb.admin("status")
        assert status_fields <= set(status)
        assert all(worker_fields <= set(row) for row in status["workers"])
        assert all(listener_fields <= set(row) for row in status["listeners"])
        assert all(backend_fields <= set(row) for row in lb.admin("backends"))


def test_an_address_in_use_exits_1_and_says_which(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        path = lb.folder / "second.toml"
        text = (lb.folder / "l4lb.toml").read_text()
        path.write_text(text.replace("admin.sock", "second.sock"))
        done = run("run", "-c", str(path))
        assert done.returncode == 1
        assert lb.binds()[0] in done.stderr
        assert "Traceback" not in done.stderr
        assert greet(lb)[1] in "abc"


def test_a_second_balancer_on_one_admin_socket_exits_1_and_the_first_goes_on(
    three: Backends, port: int
) -> None:
    with Balancer.before(three.rows()) as lb:
        path = lb.folder / "second.toml"
        text = (lb.folder / "l4lb.toml").read_text()
        path.write_text(text.replace(lb.binds()[0], f"127.0.0.1:{port}"))
        done = run("run", "-c", str(path))
        assert done.returncode == 1
        assert lb.socket in done.stderr
        assert lb.admin("status")["pid"] == lb.process.pid


def test_admin_wait_returns_when_its_condition_holds_and_1_when_time_is_over(
    three: Backends,
) -> None:
    with Balancer.before(three.rows()) as lb:
        client, name = greet(lb)
        wait = ["admin", "--socket", lb.socket, "wait", "backend-drained", f"web/{name}"]
        lb.admin("drain", f"web/{name}")
        assert run(*wait, "--timeout", "500ms").returncode == 1
        waiting = subprocess.Popen([*program(), *wait, "--timeout", "30s"])
        client.close()
        assert waiting.wait(timeout=30) == 0
        lb.signal(signal.SIGINT)
