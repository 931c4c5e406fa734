"""The words of haproxy.cfg: how a line is cut, and what each keyword becomes. Each is a row of a
table; what has no row is left."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from l4lb.importer.draft import Draft, Place

BALANCE = {
    "roundrobin": "round_robin",
    "static-rr": "round_robin",
    "leastconn": "least_connections",
    "source": "ip_hash",
    "first": "first",
    "random": "random",
}
TIME = re.compile(r"(\d{1,12})(us|ms|s|m|h|d|)")
WORD = re.compile(r"""(?:[^\s"'\\#]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+|#.*""")
NOTHING = {  # said in other words, always so, or of no use here
    "option": ("redispatch", "tcplog", "dontlognull", "httplog", "log-health-checks",
               "splice-auto", "splice-request", "splice-response", "tcp-smart-accept",
               "tcp-smart-connect"),
    "daemon": (), "mode tcp": (),
}  # fmt: skip


def words_of(line: str) -> list[str]:
    """A line's words without quotes and escapes; what follows a # is a comment."""
    found = []
    for match in WORD.finditer(line):
        if match[0].startswith("#"):
            break
        found.append(re.sub(r"""\\(.)|["']""", lambda one: one[1] or "", match[0]))
    return found


def duration(text: str) -> str:
    """A time as this program writes it; bare numbers are milliseconds. Raises ValueError."""
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not a time")
    number, unit = int(match[1]), match[2] or "ms"
    return f"{max(1, number // 1_000)}ms" if unit == "us" else f"{number}{unit}"


@dataclass
class Settings:
    """What defaults and a section say of a pool, its health checks, and a listener's sockets."""

    pool: dict[str, Any] = field(default_factory=dict)
    listener: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    server: list[str] = field(default_factory=list)  # words of default-server
    idle_ms: dict[str, int] = field(default_factory=dict)  # by timeout client and server

    def copy(self) -> Settings:
        return Settings(
            dict(self.pool), dict(self.listener), dict(self.health), list(self.server),
            dict(self.idle_ms),
        )  # fmt: skip


@dataclass
class Section:
    """One section: its settings, and what it binds, names and serves."""

    kind: str
    name: str
    settings: Settings
    binds: list[str] = field(default_factory=list)
    proxy: bool = False
    pool: str = ""
    servers: list[tuple[Place, list[str]]] = field(default_factory=list)
    at: Place | None = None  # the line that is read


def address_of(text: str) -> str:
    if text.startswith("unix@"):
        return "unix:" + text.removeprefix("unix@")
    if text.startswith("/"):
        return "unix:" + text
    host, _, port = text.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


TAKES_VALUE = (
    "weight", "maxconn", "inter", "fastinter", "downinter", "rise", "fall", "port", "addr",
    "cookie", "id", "slowstart", "source", "track", "ca-file", "crt", "sni", "verify", "alpn",
    "agent-port", "observe", "error-limit", "on-error", "maxqueue", "init-addr", "resolvers",
    "on-marked-down", "check-sni",
)  # fmt: skip


def options_of(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value; the later of two counts."""
    rest = iter(words)
    for word in rest:
        yield word, next(rest, "") if word in TAKES_VALUE else ""


SEND_PROXY = {"send-proxy": "v1", "send-proxy-v2": "v2"}  # of all servers of a pool

ServerOption = Callable[[dict[str, Any], dict[str, Any], str], None]


def _of_entry(key: str, make: Callable[[str], Any]) -> ServerOption:
    return lambda entry, _, value: entry.__setitem__(key, make(value))


def _of_health(key: str, make: Callable[[str], Any]) -> ServerOption:
    return lambda _, health, value: health.__setitem__(key, make(value))


SERVER: dict[str, ServerOption] = {
    "weight": _of_entry("weight", int),
    "maxconn": _of_entry("max_connections", int),
    "backup": _of_entry("backup", lambda _: True),
    "inter": _of_health("interval", duration),
    "rise": _of_health("rise", int),
    "fall": _of_health("fall", int),
    "port": _of_health("port", int),
    "addr": _of_health("address", str),
}

HTTP_SEND = {"meth": "method", "uri": "path"}

Keyword = Callable[[Draft, Section, list[str]], str]  # why it is left, or ""


def is_nothing(words: list[str]) -> bool:
    return words[0] in NOTHING and (not NOTHING[words[0]] or words[1:2] == [])


BIND: dict[str, tuple[str, Callable[[str], Any]]] = {  # words of bind that take a value
    "interface": ("interface", str),
    "tcp-ut": ("user_timeout", duration),
}
KEEPALIVE = {"clitcpka": ("listener",), "srvtcpka": ("pool",), "tcpka": ("listener", "pool")}


def _bind(_draft: Draft, section: Section, words: list[str]) -> str:
    for one in words[1].split(","):
        text = one.removeprefix("ipv4@")
        if text.startswith("ipv6@"):
            host, _, port = text.removeprefix("ipv6@").rpartition(":")
            text = f"[{host if host not in ('', '*') else '::'}]:{port}"
        section.binds.append(address_of(text) if text[:1] not in (":", "*", "[") else text)
    if "accept-proxy" in words:
        section.proxy = True
    known = ("accept-proxy", "v4v6", "tfo", "defer-accept")
    more = []
    rest = iter(words[2:])
    for word in rest:
        if word in BIND:
            key, make = BIND[word]
            section.settings.listener[key] = make(next(rest))
        elif word == "transparent":
            section.settings.listener["transparent"] = True
        elif word not in known:
            more.append(word)
    if words[1].startswith(("[::]", ":::")) and "v4v6" in words:
        section.binds.append("0.0.0.0:" + words[1].rpartition(":")[2])
    return f"{' '.join(more)}: not carried over" if more else ""


def _mode(_: Draft, _section: Section, words: list[str]) -> str:
    return "" if words[1] == "tcp" else "relayed as TCP; whatever looks into HTTP is left out"


def _balance(_: Draft, section: Section, words: list[str]) -> str:
    name = words[1].partition("(")[0]
    if name not in BALANCE:
        return "not an algorithm for TCP here; round_robin is used"
    section.settings.pool["balance"] = BALANCE[name]
    return ""


def _hash_type(_: Draft, section: Section, words: list[str]) -> str:
    if words[1] == "consistent" and section.settings.pool.get("balance") == "ip_hash":
        section.settings.pool["balance"] = "maglev"
    return ""


def _timeout(_: Draft, section: Section, words: list[str]) -> str:
    text = duration(words[2])
    match words[1]:
        case "connect":
            section.settings.pool["connect_timeout"] = text
        case "check":
            section.settings.health["timeout"] = text
        case "client" | "server" | "tunnel":
            section.settings.idle_ms[words[1]] = _milliseconds(text)
        case "client-fin" | "server-fin":
            section.settings.pool["half_closed_timeout"] = text
        case _:
            return "there is no such timeout here"
    return ""


def _milliseconds(text: str) -> int:
    match = TIME.fullmatch(text)
    assert match is not None
    units = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    return int(match[1]) * units[match[2]]


def _option(_: Draft, section: Section, words: list[str]) -> str:
    if words[1] in NOTHING["option"] or words[1] == "tcp-check":
        return ""
    if words[1] in KEEPALIVE:
        for side in KEEPALIVE[words[1]]:
            getattr(section.settings, side)["keepalive"] = True
        return ""
    if words[1] != "httpchk":
        return "there is no such option here"
    said = words[2:] if len(words) > 3 else ["OPTIONS", *words[2:]]
    path = said[1] if len(said) > 1 else "/"
    section.settings.health |= {"type": "http", "method": said[0], "path": path}
    return "the HTTP version and what follows it are not carried over" if said[2:] else ""


def _http_check(_: Draft, section: Section, words: list[str]) -> str:
    health = section.settings.health
    if words[1:3] == ["expect", "status"] and len(words) == 4:
        health["status"] = words[3].split(",")
        return ""
    left = []
    if words[1] == "send":
        found = dict(itertools.pairwise(words[2:]))
        health |= {key: found[word] for word, key in HTTP_SEND.items() if word in found}
        left = [word for word in found if word in ("hdr", "body", "ver")]
    return "" if words[1] == "send" and not left else "not carried over; see docs/health.md"


def _server(_: Draft, section: Section, words: list[str]) -> str:
    if len(words) < 3:
        return "a server has a name and an address"
    assert section.at is not None
    section.servers.append((section.at, words))
    return ""


def _stick(_: Draft, section: Section, words: list[str]) -> str:
    if words[1:3] != ["on", "src"]:
        return "only `stick on src` can be carried over"
    section.settings.pool.setdefault("sticky", {})["key"] = "source_ip"
    return ""


def _stick_table(_: Draft, section: Section, words: list[str]) -> str:
    found = dict(itertools.pairwise(words[1:]))
    if found.get("type") not in ("ip", "ipv6"):
        return "only tables of source addresses can be carried over"
    if "expire" in found:
        section.settings.pool.setdefault("sticky", {})["ttl"] = duration(found["expire"])
    return "its store is not carried over" if "store" in found else ""


def _retries(_: Draft, section: Section, words: list[str]) -> str:
    section.settings.pool["retries"] = min(8, int(words[1]))
    return ""


def _default_backend(_: Draft, section: Section, words: list[str]) -> str:
    section.pool = words[1]
    return ""


def _default_server(_: Draft, section: Section, words: list[str]) -> str:
    section.settings.server += words[1:]
    return ""


def _source(_: Draft, section: Section, words: list[str]) -> str:
    pool = section.settings.pool
    address = words[1].rpartition(":")[0] or words[1]
    if address not in ("*", "0.0.0.0", "[::]"):
        pool["source"] = address.strip("[]")
    said = dict(itertools.pairwise(words[2:]))
    if said.get("usesrc") in ("client", "clientip"):
        pool["transparent"] = True
    if "interface" in said:
        pool["interface"] = said["interface"]
    left = [word for word in words[2::2] if word not in ("usesrc", "interface")]
    if said.get("usesrc") not in (None, "client", "clientip"):
        left.append(f"usesrc {said['usesrc']}")
    return f"{' '.join(left)}: not carried over" if left else ""


KEYWORDS: dict[str, Keyword] = {
    "bind": _bind,
    "mode": _mode,
    "balance": _balance,
    "hash-type": _hash_type,
    "timeout": _timeout,
    "option": _option,
    "http-check": _http_check,
    "server": _server,
    "stick": _stick,
    "stick-table": _stick_table,
    "retries": _retries,
    "default_backend": _default_backend,
    "default-server": _default_server,
    "source": _source,
}


def _maxconn(draft: Draft, _: Section, words: list[str]) -> str:
    draft.limits["max_connections"] = int(words[1])
    return ""


def _threads(draft: Draft, _: Section, words: list[str]) -> str:
    draft.process["workers"] = min(64, int(words[1]))
    return ""


def _user(draft: Draft, _: Section, words: list[str]) -> str:
    draft.process["user"] = words[1]
    return ""


def _hard_stop(draft: Draft, _: Section, words: list[str]) -> str:
    draft.process["drain_timeout"] = duration(words[1])
    return ""


GLOBAL: dict[str, Keyword] = {
    "maxconn": _maxconn,
    "nbthread": _threads,
    "nbproc": _threads,
    "user": _user,
    "hard-stop-after": _hard_stop,
}
