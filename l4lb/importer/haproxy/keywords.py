"""The table of keywords of a proxy's section. A keyword without a row is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from l4lb.importer.draft import Rank
from l4lb.importer.haproxy import http_words
from l4lb.importer.haproxy.logs import log
from l4lb.importer.haproxy.options import keepalive, no, option
from l4lb.importer.haproxy.proxy import Handler, Proxy
from l4lb.importer.haproxy.words import Line, pairs
from l4lb.importer.haproxy.world import UNJUDGED
from l4lb.importer.quantities import milliseconds

FRONT, BACK, BOTH = (True, False), (False, True), (True, True)


@dataclass(frozen=True)
class Row:
    """The effect of a keyword, the sections in which it has a meaning, and the rank of its loss."""

    handler: Handler
    sides: tuple[bool, bool] = BOTH
    lost: Rank = Rank.DIFFERENT

    def concerns(self, proxy: Proxy) -> bool:
        return (self.sides[0] and proxy.front) or (self.sides[1] and proxy.back)


TIMEOUTS = ("connect", "client", "server", "tunnel", "client-fin", "server-fin", "check", "queue",
            "tarpit", "client-hs")  # fmt: skip
HTTP_TIMEOUTS = ("http-request", "http-keep-alive")
OLD_TIMEOUTS = {"clitimeout": "client", "srvtimeout": "server", "contimeout": "connect"}


def _timeout(proxy: Proxy, line: Line) -> None:
    old = OLD_TIMEOUTS.get(line[0])
    name, text = (old, line[1]) if old else (line[1], line[2])
    if name not in TIMEOUTS and not (proxy.http and name in HTTP_TIMEOUTS):
        proxy.leave(Rank.NOTE, "it looks into HTTP, which is relayed as it is")
    elif milliseconds(text, "ms"):
        proxy.times[name] = (text, line.place)
    else:
        proxy.times.pop(name, None)  # 0: no limit, as without it


def _mode(proxy: Proxy, line: Line) -> None:
    if line[1] not in ("http", "tcp"):
        proxy.leave(Rank.MISSING, f"there is no mode {line[1]} here")
        proxy.disabled = True


def _listen(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.binds.append(line)


def _server(proxy: Proxy, line: Line) -> None:
    line[2]
    proxy.servers.append(line)


def _dispatch(proxy: Proxy, line: Line) -> None:
    proxy.servers.append(Line(line.place, ("server", "dispatch", line[1])))


def _default_server(proxy: Proxy, line: Line) -> None:
    proxy.server_words += line.rest


def _balance(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.balance = line


def _hash_type(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.hashes = line
    if len(line.words) > 2:
        proxy.leave(Rank.NOTE, "l4lb hashes clients with SipHash")


def _hash_balance(proxy: Proxy, line: Line) -> None:
    factor = int(line[1])
    if factor > 100:
        proxy.put(proxy.pool, "hash_balance_factor", f"{factor}%")


def _retries(proxy: Proxy, line: Line) -> None:
    count = int(line[1])
    proxy.put(proxy.pool, "retries", min(8, max(0, count)))
    if count > 8:
        proxy.leave(Rank.DIFFERENT, "l4lb allows 8 at most")


def _source(proxy: Proxy, line: Line) -> None:
    said = pairs(line.words[2:])
    words = {key: value for key, value in said.items() if key in ("usesrc", "interface")}
    proxy.server_words += ["source", line[1], *(one for pair in words.items() for one in pair)]
    more = [key for key in said if key not in words]
    if said.get("usesrc") not in (None, "client", "clientip"):
        more.append(f"usesrc {said['usesrc']}")
    if more:
        proxy.leave(Rank.DIFFERENT, f"{' '.join(more)}: not carried over")


def _stick(proxy: Proxy, line: Line) -> None:
    action, pattern = line[1], line[2]
    if action in ("on", "match", "store-request") and pattern in ("src", "req.ssl_sni",
                                                                 "req_ssl_sni"):  # fmt: skip
        sticky = proxy.pool.table("sticky", line.place)
        proxy.put(sticky, "key", "source_ip" if pattern == "src" else "sni")
        more = line.words[3:]
        if more:
            proxy.leave(Rank.DIFFERENT, f"{' '.join(more)}: all clients of the pool stick to it")
    else:
        proxy.leave(Rank.DIFFERENT, "sticky sessions in l4lb use a client's address or server name")


def _stick_table(proxy: Proxy, line: Line) -> None:
    said = pairs(line.rest)
    for one in said.get("store", "").split(","):
        name, _, period = one.partition("(")
        if period:
            proxy.rates[name.strip()] = milliseconds(period.rstrip(")"), "ms")
    proxy.world.rates.update(proxy.rates)
    if said.get("type") not in ("ip", "ipv6"):
        proxy.leave(Rank.DIFFERENT, "there are tables of source addresses only")
    elif "expire" in said:
        milliseconds(said["expire"], "ms")
        proxy.sticky = line
    if "peers" in said:
        proxy.leave(Rank.DIFFERENT, "peers: balancers do not tell each other")


def _acl(proxy: Proxy, line: Line) -> None:
    line[2]
    proxy.acls.setdefault(line[1], []).append(line)


def _rule(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.rules.append(line)


def _use(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.uses.append(line)


def _use_server(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.picks.append(line)


def _target(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.target = line


def _talk(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.talks.append(line)


def _maxconn(proxy: Proxy, line: Line) -> None:
    count = int(line[1])
    if count:
        limits = proxy.listener.table("limits", line.place)
        proxy.put(limits, "connections", count)
        proxy.leave(Rank.DIFFERENT, "more clients are turned away instead of waiting")


def _rate(proxy: Proxy, line: Line) -> None:
    if line[1] != "sessions":
        raise ValueError(f"a limit of {line[1]}")
    proxy.put(proxy.listener.table("limits", line.place), "rate", int(line[2]))
    proxy.leave(Rank.DIFFERENT, "more clients are turned away instead of waiting")


def _disabled(proxy: Proxy, line: Line) -> None:
    proxy.disabled = line[0] == "disabled"


def _stats(proxy: Proxy, line: Line) -> None:
    if line[1] in ("enable", "uri") and proxy.front:
        proxy.stats = proxy.stats or line
    else:
        proxy.leave(Rank.NOTE, "see [process] http, http_admin and http_token_file")


KEYWORDS: Mapping[str, Row] = {
    "bind": Row(_listen, FRONT, Rank.MISSING),
    "mode": Row(_mode),
    "server": Row(_server, BACK, Rank.MISSING),
    "server-template": Row(_server, BACK, Rank.MISSING),
    "dispatch": Row(_dispatch, BACK, Rank.MISSING),
    "default-server": Row(_default_server, BACK),
    "balance": Row(_balance, BACK),
    "hash-type": Row(_hash_type, BACK),
    "hash-balance-factor": Row(_hash_balance, BACK),
    "timeout": Row(_timeout),
    **dict.fromkeys(OLD_TIMEOUTS, Row(_timeout)),
    "retries": Row(_retries, BACK),
    "source": Row(_source, BACK),
    "option": Row(option),
    "no": Row(no),
    "stick": Row(_stick, BACK),
    "stick-table": Row(_stick_table),
    "acl": Row(_acl),
    "tcp-request": Row(_rule, lost=Rank.OPEN),
    "http-request": Row(_rule, lost=Rank.OPEN),
    "tcp-response": Row(_rule, lost=Rank.OPEN),
    "http-response": Row(_rule, lost=Rank.OPEN),
    "http-after-response": Row(_rule),
    "block": Row(lambda p, line: _rule(p, Line(line.place, ("http-request", "deny", *line.rest))),
                 lost=Rank.OPEN),
    "use_backend": Row(_use, FRONT, Rank.MISSING),
    "use-server": Row(_use_server, BACK),
    "default_backend": Row(_target, FRONT, Rank.MISSING),
    "tcp-check": Row(_talk, BACK, Rank.UNCHECKED),
    "http-check": Row(_talk, BACK, Rank.UNCHECKED),
    "external-check": Row(_talk, BACK, Rank.UNCHECKED),
    "maxconn": Row(_maxconn, FRONT),
    "rate-limit": Row(_rate, FRONT, Rank.OPEN),
    "log": Row(log),
    "disabled": Row(_disabled),
    "enabled": Row(_disabled),
    "stats": Row(_stats),
    **dict.fromkeys(
        (f"{side}tcpka-{what}" for side in ("cli", "srv") for what in ("cnt", "idle", "intvl")),
        Row(keepalive),
    ),
}  # fmt: skip

OF_HTTP: Mapping[str, Row] = {
    word: Row(handler, (front, back), lost)
    for word, (handler, front, back, lost) in http_words.KEYWORDS.items()
}
HTTP = (Rank.DIFFERENT, "it looks into HTTP, which is relayed as it is")
HTTP_NOTE = (Rank.NOTE, "it looks into HTTP, which is relayed as it is")
SAID = (Rank.NOTE, "it is said by HAProxy when it starts")
OWN_FORM = (Rank.NOTE, "the access log has its own form")
# Keywords that are known and not converted.
LEFT: Mapping[str, tuple[Rank, str]] = {
    **dict.fromkeys((".if", ".elif", ".else", ".endif"), UNJUDGED),
    **dict.fromkeys((".notice", ".diag", ".warning", ".alert"), SAID),
    "cookie": (Rank.DIFFERENT, "it looks into HTTP; `sticky` keeps clients by their address"),
    "appsession": (Rank.DIFFERENT, "it looks into HTTP; `sticky` keeps clients by their address"),
    "redirect": (Rank.CLEAR, "it looks into HTTP: clients are not sent elsewhere, to https say"),
    "capture": HTTP_NOTE, "declare": HTTP_NOTE, "compression": HTTP_NOTE, "filter": HTTP,
    "errorfile": HTTP_NOTE, "errorfiles": HTTP_NOTE,
    "errorloc": HTTP_NOTE, "errorloc302": HTTP_NOTE,
    "errorloc303": HTTP_NOTE, "http-error": HTTP_NOTE, "http-reuse": HTTP_NOTE,
    "http-send-name-header": HTTP_NOTE, "monitor-uri": HTTP, "monitor": HTTP, "retry-on": HTTP,
    "reqadd": HTTP, "reqrep": HTTP, "reqirep": HTTP,
    "rspadd": HTTP, "rsprep": HTTP, "rspirep": HTTP,
    "reqdel": HTTP, "reqidel": HTTP, "rspdel": HTTP, "rspidel": HTTP,
    "reqdeny": (Rank.OPEN, "it looks into HTTP"), "reqideny": (Rank.OPEN, "it looks into HTTP"),
    "reqtarpit": (Rank.OPEN, "it looks into HTTP"), "rspdeny": (Rank.OPEN, "it looks into HTTP"),
    "reqitarpit": (Rank.OPEN, "it looks into HTTP"), "reqallow": HTTP, "reqiallow": HTTP,
    "monitor-net": (Rank.DIFFERENT, "these clients are served like others"),
    "use-fcgi-app": (Rank.MISSING, "l4lb does not speak FastCGI"),
    "quic-initial": (Rank.OPEN, "there is no such rule here"),
    "email-alert": (Rank.DIFFERENT, "see `alert` of a pool: a program at each change of health"),
    "force-persist": (Rank.DIFFERENT, "a backend that is down gets no clients in l4lb"),
    "ignore-persist": (Rank.DIFFERENT, "stickiness holds for all clients"),
    "persist": (Rank.DIFFERENT, "sticky sessions in l4lb use a client's address or server name"),
    "fullconn": (Rank.NOTE, "max_connections does not move with load here"),
    "max-keep-alive-queue": HTTP_NOTE, "max-session-srv-conns": HTTP_NOTE,
    "backlog": (Rank.NOTE, "the host's somaxconn holds"),
    "bind-process": (Rank.NOTE, "every worker serves every listener"),
    "grace": (Rank.NOTE, "see drain_timeout"),
    "description": (Rank.NOTE, "only HAProxy shows it"),
    "id": (Rank.NOTE, "l4lb identifies objects by their names"),
    "guid": (Rank.NOTE, "l4lb identifies objects by their names"),
    "log-format": OWN_FORM, "log-format-sd": OWN_FORM, "error-log-format": OWN_FORM,
    "log-tag": OWN_FORM, "unique-id-format": OWN_FORM, "unique-id-header": HTTP_NOTE,
    "log-steps": OWN_FORM,
    "load-server-state-from-file": (Rank.NOTE, "an upgrade keeps health here"),
    "server-state-file-name": (Rank.NOTE, "an upgrade keeps health here"),
    "force-be-switch": (Rank.NOTE, "it is about backends that are off"),
    "hash-preserve-affinity": (Rank.NOTE, "a backend that is full is passed by"),
}  # fmt: skip


def row_of(proxy: Proxy, word: str) -> Row | None:
    """Returns the row of a keyword in a section."""
    return (OF_HTTP.get(word) if proxy.http else None) or KEYWORDS.get(word)


def left(proxy: Proxy, word: str) -> tuple[Rank, str] | None:
    """Returns what is said of a keyword that is known and not converted."""
    return (http_words.LEFT.get(word) if proxy.http else None) or LEFT.get(word)


def guess(line: Line) -> Rank:
    """Guesses the worst effect of losing an unknown line, by its words."""
    words = " ".join(line.words)
    if any(word in words for word in ("deny", "reject", "auth", "acl", "limit")):
        return Rank.OPEN
    if any(word in words for word in ("ssl", "tls", "crt")):
        return Rank.CLEAR
    if line.words[0] in KEYWORDS:
        return KEYWORDS[line.words[0]].lost
    return Rank.UNCHECKED if "check" in line[0] else Rank.DIFFERENT
