"""Builds a configuration from the flags of `l4lb run`, with the model that files use.

--listen tcp://HOST:PORT[-PORT], udp://..., http://... or unix:/PATH; without a scheme it is tcp
--forward HOST:PORT
--backend ADDRESS[,weight=N][,name=TEXT][,max_connections=N][,backup=true|false]
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from l4lb.config.bounds import UNIX_PATH_BYTES_MAX
from l4lb.config.build import build
from l4lb.config.model import Backend, Config
from l4lb.config.origin import Origin
from l4lb.config.position import Path
from l4lb.config.schema import did_you_mean
from l4lb.config.units import shown
from l4lb.errors import ConfigError, Problem, UsageError

POOL = "main"
PROXY = "proxy"
SCHEMES = ("tcp", "udp", "http")
OPTIONS = tuple(name for name in Backend.model_fields if name not in ("address", "server_id"))
TEXT_OPTIONS = ("name",)
DEMO_HOST, DEMO_PORT = "127.0.0.1", 8080
DEMO_PATH = "/hello"  # l4lb answers it itself


def from_flags(listens: Sequence[str], backends: Sequence[str], balance: str | None) -> Config:
    """The configuration of flags: a listener for each protocol, named after it, and one pool.

    Raises ConfigError whose problems have the flag as their key."""
    reader = _Reader()
    for text in listens:
        reader.listen(text)
    for text in backends:
        reader.backend(text)
    if balance is not None:
        reader.pool["balance"] = balance
        reader.flags["pools", POOL, "balance"] = "--balance"
    for flag, given, example in (
        ("--listen", listens, "tcp://0.0.0.0:8080"),
        ("--backend", backends, "10.0.0.1:80"),
    ):
        if not given:
            reader.wrong(flag, "at least one is needed", f"such as {flag} {example}")
    if reader.problems:
        raise ConfigError(reader.problems)
    data = {"listeners": reader.listeners, "pools": {POOL: reader.pool}}
    return build(data, Origin(flags=reader.flags))


def forward_proxy(address: str) -> Config:
    """The configuration of --forward: a forward proxy for the clients of this host. Raises
    ConfigError whose problems have the flag as their key."""
    listener = {"bind": [address], "protocol": "http", "forward": PROXY}
    path = ("listeners", PROXY)
    flag = f"--forward {address}"
    flags: dict[Path, str] = {
        (*path, "bind"): flag,
        (*path, "bind", 0): flag,
        (*path, "forward"): flag,
    }
    return build({"listeners": {PROXY: listener}, "forward": {PROXY: {}}}, Origin(flags=flags))


def demo(backend_ports: Sequence[int], port: int = DEMO_PORT, http_port: int = 0) -> Config:
    """Returns the demonstration: a local port that speaks HTTP, with a route, a pool of local
    backends on these ports, and health checks. http_port: port of the dashboard; 0: no
    dashboard."""
    backends = [
        {"name": f"demo-{number}", "address": f"127.0.0.1:{port}"}
        for number, port in enumerate(backend_ports, 1)
    ]
    pool = {"backends": backends, "health": {"type": "tcp", "interval": "1s"}}
    hello = {"name": "hello", "path": DEMO_PATH, "respond": {"body": "hello from l4lb\n"}}
    listener = {"bind": [f"{DEMO_HOST}:{port}"], "protocol": "http", "pool": "demo"}
    listeners = {"demo": {**listener, "routes": [hello]}}
    process = {"http": f"{DEMO_HOST}:{http_port}"} if http_port else {}
    tables = {"process": process, "listeners": listeners, "pools": {"demo": pool}}
    return build(tables, Origin())


class _Reader:
    def __init__(self) -> None:
        self.listeners: dict[str, Any] = {}
        self.pool: dict[str, Any] = {"backends": []}
        self.flags: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def wrong(self, flag: str, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(None, None, flag, message, hint))

    def listen(self, text: str) -> None:
        scheme, separator, address = text.partition("://")
        if not separator:
            scheme, address = "tcp", text
        if scheme not in SCHEMES:
            hint = did_you_mean(scheme, SCHEMES) or "tcp://, udp:// or http://"
            self.wrong(f"--listen {text}", f"{shown(scheme)} is not a protocol", hint)
            return
        listener = self.listeners.setdefault(scheme, {"bind": [], "protocol": scheme, "pool": POOL})
        for path in (("bind", len(listener["bind"])), ("protocol",)):
            self.flags.setdefault(("listeners", scheme, *path), f"--listen {text}")
        listener["bind"].append(address)

    def backend(self, text: str) -> None:
        address, *options = text.split(",")
        table: dict[str, Any] = {}
        for option in options:
            name, separator, value = option.partition("=")
            if not separator or name not in OPTIONS or name in table:
                self._wrong_option(text, option, table)
                continue
            table[name] = value if name in TEXT_OPTIONS else _value(value)
        self.flags["pools", POOL, "backends", len(self.pool["backends"])] = f"--backend {text}"
        self.pool["backends"].append({"address": address, **table} if options else address)

    def _wrong_option(self, text: str, option: str, table: dict[str, Any]) -> None:
        name, separator, _ = option.partition("=")
        if name in table:
            self.wrong(f"--backend {text}", f"{name} is given twice")
        elif name in OPTIONS and not separator:
            self.wrong(f"--backend {text}", f"{name} has no value", f"write {name}=VALUE")
        else:
            hint = did_you_mean(name, OPTIONS) or "known: " + ", ".join(OPTIONS)
            self.wrong(f"--backend {text}", f"unknown option {shown(name)}", hint)


def _value(text: str) -> object:
    """Reads a value as TOML would. Any other text stays text, and the model reports it."""
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        return int(text)
    return {"true": True, "false": False}.get(text, text)


def override(config: Config, workers: int | None, admin: str | None) -> Config:
    """Returns the configuration with the options of the command line in place of its own
    settings."""
    path = os.path.abspath(admin) if admin else None
    if path and len(os.fsencode(path)) > UNIX_PATH_BYTES_MAX:
        raise UsageError(
            f"--admin: {path} has more than {UNIX_PATH_BYTES_MAX} bytes; take a shorter"
        )
    said = {"workers": workers, "admin": path}
    changes = {key: value for key, value in said.items() if value is not None}
    return config.model_copy(update={"process": config.process.model_copy(update=changes)})
