"""HTTP proxies that are compared, with as many workers each, in front of three servers with
keep-alive.

All of them reuse connections to the servers, choose a server for each request, and tell it the
client's address. Each is configured for throughput as its documentation recommends. With `logs`
each writes a line for every request to a file, in its usual format: l4lb as text, HAProxy with
`option httplog` by its standard output, nginx as "combined" with a buffer.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.lib.targets import Haproxy, L4lb, Nginx, Target, _wait_until_served, end, free_port

SIZES = {"/64": 64, "/16k": 16 << 10, "/1m": 1 << 20}
_MANY = 100_000_000  # requests of one connection


def second_port(folder: Path) -> int:
    """Returns the port at which the proxy that runs in this folder also listens, for clients that
    speak HTTP/2 without TLS."""
    chosen = folder / "second-port"
    if not chosen.exists():
        chosen.write_text(str(free_port()))
    return int(chosen.read_text())


@dataclass(frozen=True)
class Proxy(Target):
    """One proxy. servers: the ports that it balances."""

    servers: tuple[int, ...] = ()
    workers: int = 1
    logs: bool = False
    speaks_http2: ClassVar[bool] = True

    def _addresses(self, form: str) -> str:
        return "".join(
            form.format(name=f"s{number}", address=f"127.0.0.1:{port}")
            for number, port in enumerate(self.servers)
        )


class HttpL4lb(Proxy):
    """l4lb, with a listener of HTTP."""

    version = L4lb.version
    more = '\n            protocol = "http"\n            http = { max_requests = 0 }'

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        config = folder / "l4lb.toml"
        config.write_text(
            f"""
            [process]
            workers = {self.workers}
            admin = "{folder}/admin.sock"
            log = {{ access = "{f"{folder}/access.log" if self.logs else "off"}" }}
            [listeners.bench]
            bind = ["127.0.0.1:{port}", "127.0.0.1:{second_port(folder)}"]
            pool = "bench"{self.more}
            [pools.bench]
            backends = [{self._addresses('"{address}", ')}]
            """
        )
        return [self.program, "run", "-c", str(config)]


class TcpL4lb(HttpL4lb):
    """l4lb, with a listener of TCP: it looks into no byte, and balances connections."""

    more = ""
    speaks_http2 = False


class HttpHaproxy(Proxy):
    """HAProxy in http mode: http-reuse always, option splice-auto."""

    version = Haproxy.version

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        config = folder / "haproxy.cfg"
        servers = self._addresses("    server {name} {address}\n")
        log = "log stdout format raw local0 info" if self.logs else ""
        config.write_text(
            f"""
global
    {log}
    nbthread {self.workers}
    maxconn 8500
    maxpipes 1000
    tune.pipesize 262144
    tune.maxpollevents 256
defaults
    mode http
    option splice-auto
    {"log global" if self.logs else ""}
    {"option httplog" if self.logs else ""}
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 2s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10m
frontend bench
    bind 127.0.0.1:{port} backlog 4096
    bind 127.0.0.1:{second_port(folder)} backlog 4096 proto h2
    default_backend bench
backend bench
    balance roundrobin
{servers}"""
        )
        command = [self.program, "-q", "-db", "-f", str(config)]
        if not self.logs:
            return command
        return ["sh", "-c", f"exec {shlex.join(command)} > {folder}/access.log"]


_NGINX = """
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 18000; multi_accept on; }}
http {{
    access_log {log}; sendfile on; tcp_nopush on; keepalive_requests {many}; keepalive_timeout 10m;
    open_file_cache max=100; open_file_cache_valid 10m;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {rest}
}}
"""


def _nginx(folder: Path, rest: str, workers: int = 1, *, log: str = "off") -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(
        _NGINX.format(
            folder=folder, rest=rest, many=_MANY, user="user root;", workers=workers, log=log
        )
    )
    return ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]


class HttpNginx(Proxy):
    """nginx's proxy_pass with `keepalive` in the upstream."""

    version = Nginx.version

    def command(self, folder: Path, port: int, _: int) -> list[str]:
        servers = self._addresses("server {address}; ")
        return _nginx(
            folder,
            f"""
    upstream bench {{ {servers} keepalive 256; keepalive_requests {_MANY}; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        listen 127.0.0.1:{second_port(folder)} backlog=4096 reuseport http2;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}""",
            self.workers,
            log=f"{folder}/access.log combined buffer=64k" if self.logs else "off",
        )


@contextmanager
def ended_with(command: list[str], folder: Path, ports: Iterable[int]) -> Iterator[None]:
    """Runs a server for the time of the block, from when it serves at all these ports."""
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        for port in ports:
            _wait_until_served(process, port)
        yield
    finally:
        end(process)


@contextmanager
def serving(count: int = 3) -> Iterator[tuple[int, ...]]:
    """Runs the servers, each on a port of its own, for the time of the block; yields their
    ports."""
    with tempfile.TemporaryDirectory(prefix="l4lb-bench-http-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path, size in SIZES.items():
            (folder / path.strip("/")).write_bytes(b"x" * size)
        ports = tuple(free_port() for _ in range(count))
        listen = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
        with ended_with(_nginx(folder, f"server {{ {listen} root {folder}; }}"), folder, ports):
            yield ports
