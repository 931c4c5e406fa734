"""Converts servers into backends. Many settings of a server in HAProxy are settings of a pool in
l4lb: the setting of most servers is used, and servers with another setting are reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from l4lb.importer.draft import Rank, Table, free_name, name_of, word_set
from l4lb.importer.haproxy.http_words import SERVER_LEFT
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.server_tls import server_tls
from l4lb.importer.haproxy.server_words import LEFT, SILENT, options_of
from l4lb.importer.haproxy.words import Line
from l4lb.importer.quantities import natural

ELSEWHERE = ("abns@", "abnsz@", "fd@", "sockpair@", "udp@", "udp4@", "udp6@", "quic4@", "quic6@",
             "rhttp@", "mptcp@", "mptcp4@", "mptcp6@", "stream+", "dgram+")  # fmt: skip


@dataclass
class Server:
    """A server, or a template of servers, with its options."""

    line: Line
    name: str
    address: str
    options: dict[str, str]
    template: bool = False
    entry: Table = field(init=False)

    def __post_init__(self) -> None:
        self.entry = Table(self.line.place)

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0].strip("[]") or self.address

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]


def address_of(text: str) -> str:
    """Returns an address in l4lb's form. Raises ValueError."""
    if text.startswith(ELSEWHERE):
        raise ValueError(f"{text}: l4lb has no such address")
    text = text.removeprefix("ipv4@").removeprefix("ipv6@")
    text = text.removeprefix("tcp@").removeprefix("tcp4@").removeprefix("tcp6@")
    if text.startswith(("unix@", "/")):
        return "unix:" + text.removeprefix("unix@")
    host, colon, port = text.rpartition(":")
    if not colon or not port or port[0] in "+-":
        raise ValueError("a backend has a port of its own here")
    if host in ("", "*", "0.0.0.0", "::", "[::]"):
        raise ValueError("a backend has an address")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def servers_of(proxy: Proxy) -> list[Server]:
    """Returns the servers of a section whose address l4lb supports."""
    found: dict[str, Server] = {}
    for line in proxy.servers:
        proxy.line = line
        at = 3 if line[0] == "server-template" else 2
        try:
            service = at == 3 and line[at].startswith("_")  # its SRV records contain the ports
            address = line[at] if service else address_of(line[at])
            options = options_of([*proxy.server_words, *line.words[at + 1 :]])
        except ValueError as error:
            proxy.leave(Rank.MISSING, str(error), line)
            continue
        name = free_name(name_of(line[1]), found)
        found[name] = Server(line, name, address, options, at == 3)
    return list(found.values())


# ---- what is a backend's own ---------------------------------------------------------------------


def _whole(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{text or 'nothing'} is not a number")
    return int(text)


ENTRY: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "weight": ("weight", _whole),
    "maxconn": ("max_connections", _whole),
    "backup": ("backup", lambda _: True),
}
# Options that POOLWIDE or the pool as a whole uses.
SHARED = word_set(
    """
    check inter fastinter downinter rise fall port addr check-ssl check-sni check-send-proxy
    agent-check agent-port agent-inter agent-send send-proxy send-proxy-v2 send-proxy-v2-ssl
    send-proxy-v2-ssl-cn proxy-v2-options on-marked-down slowstart observe error-limit
    on-error source usesrc interface ssl verify ca-file crt sni verifyhost alpn ciphers
    ciphersuites ssl-min-ver no-ssl-reuse maxqueue resolvers init-addr force-tlsv13 no-tlsv12
    """
)  # fmt: skip


def fill(proxy: Proxy, server: Server) -> None:
    """Fills a backend's entry with the options of its server, and reports options without an
    equivalent."""
    place, entry = server.line.place, server.entry
    entry.put("name", server.name, place)
    entry.put("address", server.address, place)
    for option, value in server.options.items():
        if option in ENTRY:
            key, make = ENTRY[option]
            try:
                entry.put(key, make(value), place)
            except ValueError as error:
                proxy.leave(Rank.DIFFERENT, f"{option}: not understood: {error}", server.line)
        elif option == "disabled":
            entry.put("weight", 0, place)
            proxy.leave(Rank.DIFFERENT, "disabled: weight 0 until an operator says", server.line)
        elif option in LEFT and (option, value) != ("proto", "tcp"):
            rank, why = (SERVER_LEFT.get(option) if proxy.http else None) or LEFT[option]
            proxy.leave(rank, f"{option}: {why}", server.line)
        elif option not in SHARED and option not in SILENT:
            proxy.leave(_guess(option), f"{option}: not known to this import", server.line)
    if "disabled" in server.options:
        entry.put("weight", 0, place)
    if not entry.get("max_connections", 1):
        del entry["max_connections"]


def _guess(option: str) -> Rank:
    """Guesses the effect of losing an unknown option."""
    if option.startswith("check") or "health" in option:
        return Rank.UNCHECKED
    return Rank.CLEAR if "ssl" in option or "tls" in option or "cert" in option else Rank.DIFFERENT


# ---- what is a pool's ----------------------------------------------------------------------------


def send_proxy(_: Proxy, server: Server) -> dict[str, Any] | None:
    words = server.options
    version = "v1" if "send-proxy" in words else ""
    tlvs: list[str] = []
    for word in ("send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"):
        if word in words:
            version, tlvs = "v2", (["ssl"] if "ssl" in word else [])
    known = {"ssl": "ssl", "cert-cn": "ssl", "ssl-cipher": "ssl", "authority": "authority",
             "crc32c": "crc32c", "unique-id": "unique_id"}  # fmt: skip
    said = words.get("proxy-v2-options", "").split(",") if version == "v2" else []
    tlvs = list(dict.fromkeys([*tlvs, *(known[one] for one in said if one in known)]))
    if not version:
        return None
    return {"send_proxy": version} | ({"proxy_tlvs": tlvs} if tlvs else {})


def on_down(_: Proxy, server: Server) -> dict[str, Any] | None:
    closes = server.options.get("on-marked-down") == "shutdown-sessions"
    return {"on_down": "close"} if closes else None


def _time(proxy: Proxy, server: Server, option: str, kind: str) -> str:
    value, moved = natural(server.options[option], "ms", kind)
    if moved:
        proxy.leave(Rank.DIFFERENT, f"{option}: {moved}", server.line)
    return value


def slow_start(proxy: Proxy, server: Server) -> dict[str, Any] | None:
    if "slowstart" not in server.options:
        return None
    return {"slow_start": _time(proxy, server, "slowstart", "slow_start")}


def source(_: Proxy, server: Server) -> dict[str, Any] | None:
    words = server.options
    if "source" not in words:
        return None
    host = words["source"].rpartition(":")[0] or words["source"]
    found: dict[str, Any] = {}
    if host not in ("*", "0.0.0.0", "::", "[::]"):
        found["source"] = host.strip("[]")
    if words.get("usesrc") in ("client", "clientip"):
        found["transparent"] = True
    if "interface" in words:
        found["interface"] = words["interface"]
    return found or None


def passive(proxy: Proxy, server: Server) -> dict[str, Any] | None:
    words = server.options
    if "observe" not in words:
        return None
    limit = max(1, min(10_000, _whole(words.get("error-limit", "10"))))
    proxy.leave(Rank.DIFFERENT, "observe: failures in a row eject a backend, checks go on",
                server.line)  # fmt: skip
    return {"passive": {"failures": limit, "max_ejected": "100%"}}


def agent(proxy: Proxy, server: Server) -> dict[str, Any] | None:
    words = server.options
    if "agent-check" not in words:
        return None
    found: dict[str, Any] = {"port": _whole(words.get("agent-port", ""))}
    if "agent-inter" in words:
        found["interval"] = _time(proxy, server, "agent-inter", "interval")
    if "agent-send" in words:
        found["send"] = words["agent-send"]
    return {"agent": found}


def health(proxy: Proxy, server: Server) -> dict[str, Any] | None:
    words = server.options
    if "check" not in words:
        return None
    found: dict[str, Any] = {"type": "tcp", **proxy.check}
    for option, key in (("inter", "interval"), ("fastinter", "fast_interval"),
                        ("downinter", "down_interval")):  # fmt: skip
        if option in words:
            found[key] = _time(proxy, server, option, "interval")
    for option in ("rise", "fall", "port"):
        if option in words:
            found[option] = _whole(words[option])
    if "addr" in words:
        _checked_at(words["addr"].removeprefix("ipv4@").removeprefix("ipv6@"), found)
    found.setdefault("timeout", found.get("interval", "2s"))
    secure = "check-ssl" in words or ("ssl" in words and not {"port", "address"} & set(found))
    if secure and "no-check-ssl" not in words:
        found["type"] = {"tcp": "tls", "http": "https"}.get(found["type"], found["type"])
        if "check-sni" in words:
            found["sni"] = words["check-sni"]
        if "ssl" not in words or {"port", "address"} & set(found):
            tls = server_tls(proxy, server.options, server.line) or {}
            found |= {key: tls[key] for key in ("verify", "ca") if key in tls}
    if "check-send-proxy" in words:
        said = send_proxy(proxy, server)
        found["send_proxy"] = said["send_proxy"] if said else "v1"
    return {"health": {"type": found.pop("type"), **found}}


def _checked_at(text: str, found: dict[str, Any]) -> None:
    """Reads another address, optionally with a port."""
    host, _, port = text.rpartition(":")
    if port.isdigit() and (host.startswith("[") or host.count(":") == 0) and host:
        found["address"] = host.strip("[]")
        found.setdefault("port", int(port))
    else:
        found["address"] = text.strip("[]")


def tls(proxy: Proxy, server: Server) -> dict[str, Any] | None:
    return server_tls(proxy, server.options, server.line) if "ssl" in server.options else None


@dataclass(frozen=True)
class Wide:
    """A setting that all backends of a pool share in l4lb."""

    what: str
    of: Callable[[Proxy, Server], dict[str, Any] | None]
    lost: Rank  # rank if a server has another value than the others
    some: bool  # true if the value of some servers is used for servers without one
    added: Rank = Rank.DIFFERENT  # rank if it is then used for a server without one


POOLWIDE = (
    Wide("send-proxy", send_proxy, Rank.MISSING, some=False),
    Wide("on-marked-down", on_down, Rank.DIFFERENT, some=True),
    Wide("slowstart", slow_start, Rank.DIFFERENT, some=True),
    Wide("source", source, Rank.MISSING, some=False),
    Wide("check", health, Rank.UNCHECKED, some=True),
    Wide("agent-check", agent, Rank.UNCHECKED, some=True),
    Wide("observe", passive, Rank.DIFFERENT, some=True),
    Wide("ssl", lambda p, s: {"tls": t} if (t := tls(p, s)) is not None else None,
         Rank.CLEAR, some=True, added=Rank.MISSING),
)  # fmt: skip


def share(proxy: Proxy, servers: list[Server]) -> None:
    """Converts the shared settings into settings of the pool."""
    for wide in POOLWIDE:
        said: list[tuple[Server, dict[str, Any] | None]] = []
        for server in servers:
            try:
                said.append((server, wide.of(proxy, server)))
            except ValueError as error:
                proxy.leave(wide.lost, f"{wide.what}: not understood: {error}", server.line)
        _one_for_all(proxy, wide, said)


def _one_for_all(
    proxy: Proxy, wide: Wide, said: list[tuple[Server, dict[str, Any] | None]]
) -> None:
    votes = Counter(repr(one) for _, one in said if one is not None or not wide.some)
    if not votes:
        return
    maximum = votes.most_common(1)[0][0]
    first = next(server for server, one in said if repr(one) == maximum)
    chosen = next(one for _, one in said if repr(one) == maximum)
    for server, one in said:
        if repr(one) == maximum:
            continue
        if one is None and chosen is not None:
            proxy.leave(wide.added, f"it has no {wide.what}, and gets that of its pool",
                        server.line)  # fmt: skip
        else:
            rank, keys = _weight_of_difference(wide, one or {}, chosen or {})
            text = f"{wide.what}: all servers of a pool have one here; {keys} of this one is lost"
            proxy.leave(rank, text, server.line)
    for key, value in (chosen or {}).items():
        if isinstance(value, dict):
            table = proxy.pool.table(key, first.line.place)
            held = proxy.check.places if key == "health" else {}
            for inner, text in value.items():
                table.put(inner, text, held.get(inner, first.line.place))
        else:
            proxy.pool.put(key, value, first.line.place)


def _weight_of_difference(
    wide: Wide, mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> tuple[Rank, str]:
    """Returns the rank of a difference, and the keys that differ. Other intervals of checks are
    less serious than another check."""
    one: Any = next(iter(mine.values()), {})
    other: Any = next(iter(theirs.values()), {})
    if not isinstance(one, dict) or not isinstance(other, dict):
        return wide.lost, wide.what
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    paces = {"interval", "fast_interval", "down_interval", "rise", "fall", "timeout"}
    mild = wide.what in ("check", "agent-check") and set(keys) <= paces
    return (Rank.DIFFERENT if mild else wide.lost), ", ".join(keys)
