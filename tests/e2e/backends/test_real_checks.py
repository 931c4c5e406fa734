"""Checks of real servers: one balancer, with a pool for each server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.checker.servers import Authority

from ..harness import PORTS, Balancer, run, until

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{http}; location = /up {{ return 200 "all is well"; }}
            location = /busy {{ return 503; }} }}
  server {{ listen 127.0.0.1:{good} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};
            location = /up {{ return 200 "all is well"; }} }}
  server {{ listen 127.0.0.1:{expired} ssl; ssl_certificate {old}; ssl_certificate_key {old}; }}
}}
"""


def binary(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def folder() -> Iterator[Path]:
    # why: nginx's worker and redis may run as another user, who cannot enter pytest's folder
    # (0700).
    made = Path(tempfile.mkdtemp(prefix="l4lb-real-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def pool(port: int, **health: Any) -> dict[str, Any]:
    rest = {"interval": "200ms", "timeout": "5s", "rise": 1, "fall": 2}
    return {
        "backends": [{"name": "a", "address": f"127.0.0.1:{port}"}],
        "health": {**rest, **health},
    }


def balancer(pools: dict[str, dict[str, Any]]) -> Balancer:
    listeners = {name: {"bind": [f"127.0.0.1:{PORTS.take()}"], "pool": name} for name in pools}
    return Balancer({"process": {"workers": 1}, "listeners": listeners, "pools": pools})


def health_of(lb: Balancer) -> dict[str, Any]:
    return {row["pool"]: row["health"] for row in lb.ask("backends")}


def expect(lb: Balancer, due: dict[str, str]) -> dict[str, str]:
    """Waits for this health of the pools; a failure shows the results of their last checks."""
    until(lambda: health_of(lb) == due, f"{due}", timeout_s=40)
    return {row["pool"]: row["last_check"]["text"] for row in lb.ask("backends")}


def test_nginx_over_http_and_https(folder: Path) -> None:
    good, old = folder / "good", folder / "old"
    good.mkdir()
    old.mkdir()
    authority, expired = Authority(good, "web.test"), Authority(old, "web.test", days=-2)
    ports = {name: PORTS.take() for name in ("http", "good", "expired")}
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, pem=authority.key, old=expired.key, **ports))
    tls = {"sni": "web.test", "ca": authority.ca}
    pools = {
        "up": pool(ports["http"], type="http", path="/up", status=[200], body="all is w.ll"),
        "busy": pool(ports["http"], type="http", path="/busy"),
        "tls": pool(ports["good"], type="https", path="/up", **tls),
        "wrong_name": pool(ports["good"], type="https", sni="other.test", ca=authority.ca),
        "expired": pool(ports["expired"], type="tls", sni="web.test", ca=expired.ca),
        "blind": pool(ports["expired"], type="tls", verify=False),
    }
    with running(binary("nginx"), "-p", str(folder), "-c", str(conf)), balancer(pools) as lb:
        said = expect(
            lb,
            {"up": "up", "busy": "down", "tls": "up", "wrong_name": "down", "expired": "down",
             "blind": "up"},
        )  # fmt: skip
        assert said["up"] == "200 OK"
        assert "503" in said["busy"]
        assert "mismatch" in said["wrong_name"]
        assert "expired" in said["expired"]
        assert "certificate ended 2 days ago" in said["blind"]
        row = next(row for row in lb.ask("backends") if row["pool"] == "tls")
        assert row["last_check"]["certificate_days"] == 30
        shown = run("admin", "--socket", lb.socket, "backends", "-v").stdout
        assert "certificate ended 2 days ago" in shown


def test_redis_answers_ping(folder: Path) -> None:
    port = PORTS.take()
    server = (binary("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
              "--dir", str(folder))  # fmt: skip
    steps = [
        {"send": "PING\r\n", "expect": "+PONG"},
        {"send": "INFO replication\r\n", "expect": "role:master"},
    ]
    pools = {
        "ping": pool(port, send="PING\r\n", expect="+PONG"),
        "steps": pool(port, steps=steps),
        "wrong": pool(port, send="PING\r\n", expect="regex:^-ERR", timeout="300ms"),
    }
    with running(*server), balancer(pools) as lb:
        expect(lb, {"ping": "up", "steps": "up", "wrong": "down"})


def test_dnsmasq_answers_by_udp() -> None:
    port = PORTS.take()
    server = (
        binary("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts",
        "--conf-file=/dev/null",
        f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root",
        "--pid-file=", "--address=/known.test/192.0.2.1",
    )  # fmt: skip
    pools = {
        "known": pool(port, type="dns", query="known.test", record="A"),
        "refused": pool(port, type="dns", query="example.org", record="A"),
        "expected": pool(
            port, type="dns", query="example.org", record="A", rcode=["REFUSED", "NXDOMAIN"]
        ),
    }
    with running(*server), balancer(pools) as lb:
        expect(lb, {"known": "up", "refused": "down", "expected": "up"})


def test_pg_isready_says_that_nobody_is_there() -> None:
    port = PORTS.take()
    program = [binary("pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    with balancer({"db": pool(port, type="exec", command=program)}) as lb:
        said = expect(lb, {"db": "down"})
        assert "no response" in said["db"]
        assert lb.ask("backends")[0]["last_check"]["code"] == 2
