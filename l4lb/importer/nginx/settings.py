"""Directives of stream and server about listeners and pools: a row for each. Those of a server
replace those of stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from l4lb.importer.draft import RETRIES_MAX, Rank, Table, word_set
from l4lb.importer.networks import network
from l4lb.importer.nginx import tls
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node
from l4lb.importer.quantities import size, written_size

CLIENT = ("$binary_remote_addr", "$remote_addr")
WHOLE = ("$server_addr", "$server_port", "$server_name", "$server_addr:$server_port")


Row = Callable[[Server, Node], None]
TAKES_OVER = {
    "allow": "deny",
    "deny": "allow",
}  # a server's replaces both of stream


def read(server: Server, common: list[Node]) -> None:
    """Reads all directives that apply to a server."""
    own = {one.name for one in server.node.block}
    own |= {TAKES_OVER[name] for name in own if name in TAKES_OVER}
    nodes = [one for one in common if one.name not in own] + list(server.node.block)
    for node in nodes:
        row = ROWS.get(node.name) or tls.ROWS.get(node.name)
        try:
            if row is not None:
                row(server, node)
            elif node.name in LEFT or node.name in tls.LEFT:
                rank, why = LEFT.get(node.name) or tls.LEFT[node.name]
                if node.args[:1] != ("off",):
                    server.leave(node, rank, why)
            elif node.name not in SILENT:
                server.leave(node, guess(node), "not known to this import")
        except ValueError as error:
            server.leave(node, guess(node), f"not understood: {error}")


def guess(node: Node) -> Rank:
    """Guesses the worst effect of losing a directive, by its name."""
    if any(word in node.name for word in ("access", "limit", "deny", "allow", "auth", "verify")):
        return Rank.OPEN
    if "ssl" in node.name or "tls" in node.name:
        return Rank.CLEAR
    if node.name in ("listen", "proxy_pass", "pass", "server_name"):
        return Rank.MISSING
    return Rank.UNCHECKED if "health" in node.name else Rank.DIFFERENT


# ---- rows ----------------------------------------------------------------------------------------


def _listen(server: Server, node: Node) -> None:
    node.arg()
    server.listens.append(node)


def _target(server: Server, node: Node) -> None:
    node.arg()
    server.target = node


def _names(server: Server, node: Node) -> None:
    server.names += [(one, node) for one in node.args]


def _time(key: str) -> Row:
    return lambda server, node: server.pool.put(
        key, server.world.time(node, node.arg(), key), node.place
    )


def _tries(server: Server, node: Node) -> None:
    count = int(node.arg())
    if count > RETRIES_MAX + 1:
        server.leave(node, Rank.DIFFERENT, f"{RETRIES_MAX} other backends are tried here")
    server.pool.default(
        "retries", min(RETRIES_MAX, count - 1) if count else RETRIES_MAX, node.place
    )


def _next(server: Server, node: Node) -> None:
    if node.arg() == "off":
        server.pool.put("retries", 0, node.place)


def _bind(server: Server, node: Node) -> None:
    match node.args:
        case ("off",):
            return
        case ("$remote_addr" | "$remote_addr:$remote_port", "transparent"):
            server.pool.put("transparent", True, node.place)
        case (address, *more) if not address.startswith("$"):
            server.pool.put("source", address, node.place)
            if more:
                server.leave(node, Rank.DIFFERENT, f"{' '.join(more)}: not carried over")
        case _:
            server.leave(node, Rank.DIFFERENT, "the address must be written here")


def _keepalive(server: Server, node: Node) -> None:
    if node.arg() == "on":
        server.pool.table("keepalive", node.place)


def _drop(server: Server, node: Node) -> None:
    if node.arg() == "on":
        server.pool.put("on_down", "close", node.place)


def _proxy(server: Server, node: Node) -> None:
    server.proxy = node if node.arg() == "on" else None


def _count(key: str) -> Row:
    def put(server: Server, node: Node) -> None:
        count = int(node.arg())
        if count:
            server.pool.put(key, min(count, 1_000_000), node.place)
        elif key == "responses":
            server.leave(node, Rank.DIFFERENT, "sessions whose backend never answers last their "
                         "idle_timeout")  # fmt: skip

    return put


def _half_close(server: Server, node: Node) -> None:
    server.half_closes = node.arg() == "on"


def _handshake(kind: str) -> Row:
    def put(server: Server, node: Node) -> None:
        value = server.world.time(node, node.arg(), "handshake_timeout")
        server.handshakes[kind] = (value, node.place)

    return put


def _preread(server: Server, node: Node) -> None:
    server.preread = node.arg() == "on"


def _ssl(server: Server, node: Node) -> None:
    server.old_ssl = node if node.arg() == "on" else None


def _rule(server: Server, node: Node) -> None:
    word = node.arg()
    if word == "unix:":
        server.leave(node, Rank.DIFFERENT, "clients of unix sockets are known by the file's mode")
        return
    server.rules.append((node.name == "allow", None if word == "all" else network(word), node))


def _trust(server: Server, node: Node) -> None:
    if node.arg() == "unix:":
        return
    server.trusted.append(str(network(node.arg())))


def _rate(server: Server, node: Node) -> None:
    if "$" in node.arg():
        server.leave(node, Rank.DIFFERENT, "the rate of a session must be written here")
    elif size(node.arg()):
        server.rates.append((size(node.arg()), node))


def _limit(server: Server, node: Node) -> None:
    zone = server.zones.get(node.arg())
    count = int(node.arg(1))
    if zone is None:
        raise ValueError(f"no limit_conn_zone is named {node.arg()}")
    key = zone.arg()
    if key in CLIENT:
        table = Table(node.place)
        table.put("limit", count, node.place)
        server.per_source = table
    elif key in WHOLE:
        table = Table(node.place)
        table.put("limit", count, node.place)
        server.listener.table("limits", node.place).put("connections", table, node.place)
    else:
        server.leave(node, Rank.OPEN, f"connections are counted by source or listener, not {key}")


def _dry(server: Server, node: Node) -> None:
    if node.arg() == "on" and server.per_source is not None:
        server.per_source.put("dry_run", True, node.place)


def _check(server: Server, node: Node) -> None:
    server.health = node


def _check_time(server: Server, node: Node) -> None:
    server.handshakes["check"] = (server.world.time(node, node.arg(), "check"), node.place)


def _log(server: Server, node: Node) -> None:
    target = node.arg()
    if target == "off":
        return
    log = server.world.draft.process.table("log", node.place)
    found = {"access": server.world.path(target)}
    if target.startswith("syslog:"):
        said = dict(one.partition("=")[::2] for one in target.removeprefix("syslog:").split(","))
        to = said.get("server", "")
        unix = to.startswith("unix:")
        found = {"access": "syslog", "syslog": to if unix else f"udp://{_with_port(to)}"}
        if "facility" in said:
            found["syslog_facility"] = said["facility"]
    if log.get("access", found["access"]) != found["access"]:
        server.leave(node, Rank.NOTE, "l4lb has one destination for its access log")
        return
    for key, value in found.items():
        log.default(key, value, node.place)
    if "$" in target:
        server.leave(node, Rank.NOTE, "l4lb has one destination for its access log")
        log.drop(["access"])


def _with_port(text: str) -> str:
    return text if ":" in text.rpartition("]")[2] else f"{text}:514"


def _nodelay(server: Server, node: Node) -> None:
    if node.arg() == "off":
        server.leave(node, Rank.NOTE, "small segments are never held back here")


def _nothing(_server: Server, _node: Node) -> None:
    """The directive was read before."""


ROWS: Mapping[str, Row] = {
    "listen": _listen,
    "proxy_pass": _target,
    "server_name": _names,
    "proxy_connect_timeout": _time("connect_timeout"),
    "proxy_timeout": _time("idle_timeout"),
    "proxy_next_upstream": _next,
    "proxy_next_upstream_tries": _tries,
    "proxy_bind": _bind,
    "proxy_socket_keepalive": _keepalive,
    "proxy_session_drop": _drop,
    "proxy_protocol": _proxy,
    "proxy_responses": _count("responses"),
    "proxy_requests": _count("requests"),
    "proxy_half_close": _half_close,
    "preread_timeout": _handshake("preread"),
    "proxy_protocol_timeout": _handshake("proxy"),
    "ssl_preread": _preread,
    "ssl": _ssl,
    "allow": _rule,
    "deny": _rule,
    "set_real_ip_from": _trust,
    "proxy_download_rate": _rate,
    "proxy_upload_rate": _rate,
    "limit_conn": _limit,
    "limit_conn_dry_run": _dry,
    "health_check": _check,
    "health_check_timeout": _check_time,
    "access_log": _log,
    "tcp_nodelay": _nodelay,
    **dict.fromkeys(
        ("set", "map", "geo", "split_clients", "limit_conn_zone", "match", "upstream", "resolver"),
        _nothing,
    ),
}
SILENT = word_set(
    """
    map_hash_max_size map_hash_bucket_size variables_hash_max_size
    variables_hash_bucket_size server_names_hash_max_size server_names_hash_bucket_size zone
    limit_conn_log_level status_zone
    """
)
LEFT: Mapping[str, tuple[Rank, str]] = {
    "proxy_next_upstream_timeout": (Rank.DIFFERENT, "see connect_timeout and retries"),
    "resolver_timeout": (Rank.NOTE, "see `timeout` of a pool's discovery"),
    "preread_buffer_size": (Rank.NOTE, "what is looked at stays in the kernel"),
    "proxy_buffer_size": (Rank.NOTE, "bytes are relayed in the kernel where they are many"),
    "log_format": (Rank.NOTE, "the access log has its own form"),
    "open_log_file_cache": (Rank.NOTE, "the access log is one open file"),
    "error_log": (Rank.NOTE, "see [process.log]"),
    "return": (Rank.MISSING, "nothing is answered here but by a backend"),
    "pass": (Rank.MISSING, "there is no other server here to pass to"),
    "js_access": (Rank.OPEN, "there is no JavaScript here"),
    "js_preread": (Rank.MISSING, "there is no JavaScript here"),
    "js_filter": (Rank.DIFFERENT, "there is no JavaScript here"),
    "zone_sync": (Rank.DIFFERENT, "balancers do not tell each other"),
}


def speed(server: Server) -> None:
    """Converts the rates of the two directions into one of both together."""
    if not server.rates:
        return
    total = sum(count for count, _ in server.rates)
    limits = server.listener.table("limits", server.rates[0][1].place)
    limits.put("bandwidth_per_session", written_size(max(1 << 10, total)), limits.place)
    for _, node in server.rates:
        server.leave(node, Rank.DIFFERENT, "both directions of a session share one rate here")
