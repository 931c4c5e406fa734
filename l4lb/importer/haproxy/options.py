"""The table of `option` lines; options without an equivalent have the rank of their loss."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.importer.draft import Rank, word_set
from l4lb.importer.haproxy import http_words
from l4lb.importer.haproxy.checks import CHECKS
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.words import Line

# Options that describe l4lb's behaviour anyway, or that mean nothing for relayed bytes.
SILENT = word_set(
    """
    tcplog redispatch dontlognull splice-auto splice-request splice-response tcp-smart-accept
    tcp-smart-connect httplog log-health-checks
    """
)
LOOKS_INTO_HTTP = (Rank.DIFFERENT, "it looks into HTTP, which is relayed as it is")
HTTP = (Rank.NOTE, "it looks into HTTP, which is relayed as it is")
LEFT: Mapping[str, tuple[Rank, str]] = {
    "forwardfor": (Rank.DIFFERENT, "it looks into HTTP; send_proxy tells who the client is"),
    "originalto": LOOKS_INTO_HTTP, "checkcache": LOOKS_INTO_HTTP,
    "http-ignore-probes": HTTP, "httpclose": HTTP, "forceclose": HTTP, "http-server-close": HTTP,
    "http-keep-alive": HTTP, "http-tunnel": HTTP,
    "http-pretend-keepalive": HTTP, "http-use-htx": HTTP,
    "http-buffer-request": HTTP, "http-no-delay": HTTP, "http-use-proxy-header": HTTP,
    "http_proxy": (Rank.MISSING, "clients cannot say where they go"),
    "accept-invalid-http-request": HTTP, "accept-invalid-http-response": HTTP,
    "accept-unsafe-violations-in-http-request": HTTP,
    "accept-unsafe-violations-in-http-response": HTTP,
    "h1-case-adjust-bogus-client": HTTP, "h1-case-adjust-bogus-server": HTTP,
    "disable-h2-upgrade": HTTP, "idle-close-on-response": HTTP, "http-restrict-req-hdr-names": HTTP,
    "http-drop-request-trailers": HTTP, "http-drop-response-trailers": HTTP,
    "httpslog": (Rank.NOTE, "the access log has its own form"),
    "logasap": (Rank.NOTE, "a session has its line when it ends"),
    "log-separate-errors": (Rank.NOTE, "see access_errors_only"),
    "socket-stats": (Rank.NOTE, "each listener is counted"),
    "contstats": (Rank.NOTE, "counters are always up to date"),
    "nolinger": (Rank.DIFFERENT, "l4lb closes connections in order"),
    "abortonclose": (Rank.NOTE, "a client that leaves leaves the queue"),
    "persist": (Rank.DIFFERENT, "a backend that is down gets no clients in l4lb"),
    "prefer-last-server": HTTP,
    "independent-streams": (Rank.DIFFERENT, "bytes in either direction keep a session alive"),
    "transparent": (Rank.MISSING, "clients cannot say where they go: no server, no pool"),
    "spop-check": (Rank.UNCHECKED, "there is no such check here"),
    "clitcpka-cnt": HTTP,
}  # fmt: skip
KEEPALIVE = {"clitcpka": ("listener",), "srvtcpka": ("pool",), "tcpka": ("listener", "pool")}


def option(proxy: Proxy, line: Line) -> None:
    name = line[1]
    if proxy.http and http_words.option(proxy, line):
        return
    if name in CHECKS:
        CHECKS[name](proxy, line)
    elif name in KEEPALIVE:
        for side in KEEPALIVE[name]:
            getattr(proxy, side).table("keepalive", line.place)
    elif name == "allbackups":
        proxy.put(proxy.pool, "all_backups", True)
    elif name == "dontlog-normal":
        proxy.world.draft.process.table("log", line.place).put(
            "access_errors_only", True, line.place
        )
    elif name in LEFT:
        proxy.leave(*LEFT[name])
    elif name not in SILENT:
        guess = Rank.UNCHECKED if "check" in name or "chk" in name else Rank.DIFFERENT
        proxy.leave(guess, "not known to this import")


def no(proxy: Proxy, line: Line) -> None:
    """Reads a line with `no`, which has removed a line of the defaults; what counts is l4lb's
    behaviour then."""
    if line[1] == "option" and line[2] == "redispatch":
        proxy.leave(Rank.DIFFERENT, "other backends are tried, up to `retries`")


def keepalive(proxy: Proxy, line: Line) -> None:
    """Reads clitcpka-idle and similar options."""
    side, _, what = line[0].partition("-")
    table = (proxy.listener if side == "clitcpka" else proxy.pool).table("keepalive", line.place)
    if what == "cnt":
        proxy.put(table, "probes", int(line[1]))
    else:
        proxy.time(table, {"idle": "idle", "intvl": "interval"}[what], line[1], "keepalive")
