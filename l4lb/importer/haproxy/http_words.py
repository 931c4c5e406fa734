"""Keywords and options that have a meaning in `mode http`, and the settings of listeners and pools
that they become. Sections of `mode tcp` report them."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.importer.draft import Place, Rank, Table
from l4lb.importer.haproxy.proxy import Handler, Proxy
from l4lb.importer.haproxy.words import Line
from l4lb.importer.networks import ALL
from l4lb.importer.quantities import natural

EVER_HEAD, EVER_REST, EVER_ANSWER = "10m", "1d", "1d"  # the longest timeouts
RETRIED = {
    "conn-failure": ("connect",), "empty-response": ("reset",), "junk-response": ("reset",),
    "response-timeout": ("timeout",), "502": ("502",), "503": ("503",), "504": ("504",),
    "all-retryable-errors": ("connect", "reset", "timeout", "502", "503", "504"),
    "none": (), "0rtt-rejected": (),
}  # fmt: skip
SITES = {f"samesite={one}": one for one in ("lax", "strict", "none")}


def _cookie(proxy: Proxy, line: Line) -> None:
    name, words = line[1], list(line.words[2:])
    if "insert" not in words:
        why = "l4lb sets a cookie of its own only: clients do not stick to their backends"
        proxy.leave(Rank.MISSING, why)
        return
    cookie = proxy.pool.table("sticky", line.place).table("cookie", line.place)
    cookie.put("name", name, line.place)
    cookie.put("http_only", "httponly" in words, line.place)
    lost = []
    while words:
        word = words.pop(0)
        value = words.pop(0) if word in ("domain", "maxidle", "maxlife", "attr") and words else ""
        if word == "secure":
            cookie.put("secure", True, line.place)
        elif word == "attr" and value.lower().replace(" ", "") in SITES:
            cookie.put("same_site", SITES[value.lower().replace(" ", "")], line.place)
        elif word in ("domain", "maxidle", "maxlife", "attr", "preserve"):
            lost.append(f"{word} {value}".strip())
    if lost:
        proxy.leave(Rank.DIFFERENT, f"{', '.join(lost)}: not carried over")
    proxy.leave(Rank.NOTE, "cookies that clients have are replaced: their first request may move")


def _redirect(proxy: Proxy, line: Line) -> None:
    line[2]
    proxy.rules.append(line)


def _reuse(proxy: Proxy, line: Line) -> None:
    found = {"never": "never", "always": "always"}.get(line[1], "safe")
    proxy.put(proxy.pool.table("http", line.place), "reuse", found)
    if line[1] not in ("never", "always", "safe"):
        proxy.leave(Rank.NOTE, 'reuse = "safe": first requests that may be repeated reuse too')


def _retry(proxy: Proxy, line: Line) -> None:
    found = ["reuse"]
    for word in line.rest:
        if word in RETRIED:
            found += RETRIED[word]
        else:
            proxy.leave(Rank.DIFFERENT, f"a request is not sent again after {word}")
    table = proxy.pool.table("http", line.place)
    proxy.put(table, "retry_on", list(dict.fromkeys(found)))


def _monitor(proxy: Proxy, line: Line) -> None:
    line[1]
    proxy.monitor = line


def _identifier(proxy: Proxy, line: Line) -> None:
    proxy.put(proxy.listener.table("http", line.place), "request_id", line[1])


def _filter(proxy: Proxy, line: Line) -> None:
    if line[1] not in ("cache", "compression"):
        proxy.leave(Rank.OPEN, "no other program looks at requests here")


KEYWORDS: Mapping[str, tuple[Handler, bool, bool, Rank]] = {
    "cookie": (_cookie, False, True, Rank.MISSING),
    "redirect": (_redirect, True, True, Rank.CLEAR),
    "http-reuse": (_reuse, False, True, Rank.DIFFERENT),
    "retry-on": (_retry, False, True, Rank.DIFFERENT),
    "monitor-uri": (_monitor, True, False, Rank.DIFFERENT),
    "filter": (_filter, True, True, Rank.OPEN),
    "unique-id-header": (_identifier, True, False, Rank.DIFFERENT),
}
PAGES = (Rank.DIFFERENT, "pages are files of a folder: see http.errors of a listener")
LEFT: Mapping[str, tuple[Rank, str]] = {
    **dict.fromkeys(("errorfile", "errorfiles", "http-error"), PAGES),
    **dict.fromkeys(("errorloc", "errorloc302", "errorloc303"), PAGES),
    "compression": (Rank.DIFFERENT, "answers are passed on as backends send them"),
    "capture": (Rank.NOTE, "the access log has its own form"),
    "declare": (Rank.NOTE, "the access log has its own form"),
    "http-send-name-header": (Rank.DIFFERENT, "backends are not told their names"),
    "max-keep-alive-queue": (Rank.NOTE, "an idle connection is used where there is one"),
    "max-session-srv-conns": (Rank.NOTE, "see http.idle_connections of a pool"),
    "monitor": (Rank.DIFFERENT, "monitor-uri is always answered"),
    "appsession": (Rank.MISSING, "clients do not stick to their backends by this cookie"),
    **dict.fromkeys(
        ("reqadd", "reqrep", "reqirep", "rspadd", "rsprep", "rspirep", "rspdel", "rspidel",
         "reqallow", "reqiallow"),
        (Rank.DIFFERENT, "write it as http-request or http-response, and import again"),
    ),
    **dict.fromkeys(
        ("reqdel", "reqidel"),
        (Rank.OPEN, "write it as http-request del-header, and import again"),
    ),
}  # fmt: skip
SERVER_LEFT: Mapping[str, tuple[Rank, str]] = {
    "cookie": (Rank.NOTE, "l4lb's cookies name backends in their own way"),
    "proto": (Rank.MISSING, "backends are spoken to in HTTP/1.1"),
    "redir": (Rank.DIFFERENT, "clients are not sent to the server"),
    **dict.fromkeys(("pool-low-conn", "pool-max-conn", "max-reuse", "pool-purge-delay"),
                    (Rank.NOTE, "see http.idle_connections and http.max_requests of the pool")),
}  # fmt: skip
KEPT = (Rank.NOTE, "connections are kept where both sides allow it")
STRICT = (Rank.DIFFERENT, "what two programs could read differently is refused")
OPTIONS_LEFT: Mapping[str, tuple[Rank, str]] = {
    "http-keep-alive": KEPT, "http-tunnel": KEPT, "http-pretend-keepalive": KEPT,
    "prefer-last-server": (Rank.DIFFERENT, "each request is balanced by itself"),
    "http-buffer-request": (Rank.DIFFERENT, "a body is passed on as it comes"),
    "accept-invalid-http-request": STRICT, "accept-invalid-http-response": STRICT,
    "accept-unsafe-violations-in-http-request": STRICT,
    "accept-unsafe-violations-in-http-response": STRICT,
    "originalto": (Rank.DIFFERENT, "backends are not told where clients connected to"),
    "checkcache": (Rank.OPEN, "l4lb does not look for cookies in answers that may be kept"),
    "http-restrict-req-hdr-names": (Rank.NOTE, "see http.underscores of a listener"),
    "http-use-proxy-header": (Rank.NOTE, "Proxy-Connection is never passed on"),
}  # fmt: skip


def option(proxy: Proxy, line: Line) -> bool:
    """Reads an option of HTTP; returns whether it is one."""
    name = line[1]
    if name == "forwardfor":
        proxy.forwards = line
        more = [word for word in line.words[2:] if word != "if-none"]
        if more:
            why = f"{' '.join(more)}: X-Forwarded-For tells of all clients"
            proxy.leave(Rank.DIFFERENT, why)
    elif name in ("httpclose", "forceclose"):
        proxy.put(proxy.listener.table("http", line.place), "max_requests", 1)
        proxy.put(proxy.pool.table("http", line.place), "reuse", "never")
    elif name == "http-server-close":
        proxy.put(proxy.pool.table("http", line.place), "reuse", "never")
    elif name in OPTIONS_LEFT:
        proxy.leave(*OPTIONS_LEFT[name])
    else:
        return False
    return True


# ---- settings ------------------------------------------------------------------------------------


def serve(proxy: Proxy, forwards: Line | None) -> None:
    """Sets how a listener takes requests; HAProxy's defaults are written out."""
    place, times = proxy.place, proxy.times
    table = proxy.listener.table("http", place)
    slow = times.get("http-request") or times.get("client")
    _time(proxy, table, "head_timeout", slow, EVER_HEAD)
    rest = times.get("http-keep-alive") or slow
    _time(proxy, table, "rest_timeout", rest, EVER_REST)
    for key, value in (("max_body", "0B"), ("max_requests", 0), ("request_id", "off"),
                       ("underscores", "pass"), ("hide", [])):  # fmt: skip
        table.default(key, value, place)
    if forwards is None:
        table.default("forwarded", "off", place)
    if proxy.believes is not None:
        table.put("trusted", list(map(str, ALL)), proxy.believes.place)
        why = "whoever connects is believed, as by HAProxy: put your proxies in http.trusted"
        proxy.leave(Rank.DIFFERENT, why, proxy.believes)
    elif forwards is not None:
        why = "X-Forwarded-* that clients send are dropped: put your proxies in http.trusted"
        proxy.leave(Rank.DIFFERENT, why, forwards)


def answer(proxy: Proxy) -> None:
    """Sets how long backends may take for an answer."""
    table = proxy.pool.table("http", proxy.place)
    _time(proxy, table, "answer_timeout", proxy.times.get("server"), EVER_ANSWER)


def _time(proxy: Proxy, table: Table, key: str, said: tuple[str, Place] | None, ever: str) -> None:
    if said is None:
        table.default(key, ever, proxy.place)
        return
    value, moved = natural(said[0], "ms", key)
    table.default(key, value, said[1])
    if moved:
        proxy.world.draft.leave(said[1], Rank.DIFFERENT, moved)
