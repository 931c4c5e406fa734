"""Converts a section with servers into a pool; HAProxy's defaults are written out where l4lb's
differ."""

from __future__ import annotations

from l4lb.importer.draft import Rank, Table, free_name, scale_weights
from l4lb.importer.haproxy.checks import converse
from l4lb.importer.haproxy.http_words import answer
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.servers import Server, fill, servers_of, share
from l4lb.importer.haproxy.words import Line, pairs
from l4lb.importer.quantities import milliseconds, natural
from l4lb.importer.request_keys import is_request_key

BALANCE = {
    "roundrobin": "round_robin", "static-rr": "round_robin", "leastconn": "least_connections",
    "source": "ip_hash", "first": "first", "random": "random",
}  # fmt: skip
HASHED = {"src": "source_ip", "req.ssl_sni": "sni", "req_ssl_sni": "sni", "ssl_fc_sni": "sni"}
FETCHED = {  # what HAProxy reads of a request by a name, and what hash_key calls that
    "req.hdr": "header", "hdr": "header", "req.fhdr": "header",
    "req.cook": "cookie", "cook": "cookie", "url_param": "query", "urlp": "query",
}  # fmt: skip
WHOLE = {"path": "path"}
WITH_MORE = {"uri": 2, "hdr": 2, "url_param": 3}  # words of `balance` before its options
WITH_MORE_WHY = {"uri": "the whole path is hashed, without its query"}
EVER_IDLE = "7d"  # the longest timeout; without one HAProxy waits for ever
EVER_CONNECT = "10m"
EVER_STICKY = "20d"
RETRIES = 3  # HAProxy's default
QUEUE_MAX = 65_536


def finish(proxy: Proxy, fronts: list[Proxy]) -> None:
    """Makes the pool of a section, if it has a server; fronts are the sections that use it."""
    converse(proxy)
    servers = servers_of(proxy)
    if not servers:
        return
    _times(proxy, fronts)
    if proxy.http:
        answer(proxy)
    _sticky(proxy)
    _balance(proxy)
    for server in servers:
        fill(proxy, server)
    share(proxy, servers)
    _jitter(proxy)
    _queue(proxy, servers)
    pool = proxy.pool
    place = proxy.place
    backends = _backends(proxy, servers)
    if backends:
        scale_weights(proxy.world.draft, backends, proxy.where)
        pool.put("backends", backends, place)
    _below_last(pool)
    proxy.world.draft.pools[proxy.name] = pool


def _below_last(pool: Table) -> None:
    """Moves tables behind values, as TOML requires, and backends to the end of the values."""
    if "backends" in pool:
        backends = pool.pop("backends")
        pool["backends"] = backends


def _times(proxy: Proxy, fronts: list[Proxy]) -> None:
    times, pool, place = proxy.times, proxy.pool, proxy.place
    _put(proxy, "connect_timeout", times.get("connect"), EVER_CONNECT)
    idle = _idle(proxy, fronts)
    _put(proxy, "idle_timeout", idle, EVER_IDLE)
    fins = [times[key] for key in ("client-fin", "server-fin") if key in times]
    fins += [one.times["client-fin"] for one in fronts if "client-fin" in one.times]
    longest = max(fins, key=lambda one: milliseconds(one[0], "ms"), default=None)
    _put(proxy, "half_closed_timeout", longest or idle, EVER_IDLE)
    pool.default("retries", RETRIES, place)
    if "check" in times:
        _put(proxy, "timeout", times["check"], "", proxy.check, "check")


def _put(
    proxy: Proxy, key: str, said: tuple[str, object] | None, ever: str, table: Table | None = None,
    kind: str = "",
) -> None:  # fmt: skip
    table = proxy.pool if table is None else table
    if said is None:
        table.put(key, ever, proxy.place)
        return
    text, place = said
    value, moved = natural(text, "ms", kind or key)
    table.put(key, value, place)  # type: ignore[arg-type]
    if moved:
        proxy.world.draft.leave(place, Rank.DIFFERENT, moved)  # type: ignore[arg-type]


def _sticky(proxy: Proxy) -> None:
    """Converts a stick-table; without `expire` its entries do not expire."""
    if "sticky" in proxy.pool and "cookie" not in proxy.pool["sticky"]:
        line = proxy.sticky
        expires = (pairs(line.rest)["expire"], line.place) if line else None
        _put(proxy, "ttl", expires, EVER_STICKY, proxy.pool["sticky"])


def _idle(proxy: Proxy, fronts: list[Proxy]) -> tuple[str, object] | None:
    """Returns the idle timeout: the shorter of both sides' timeouts, unless `timeout tunnel`
    replaces them."""
    if "tunnel" in proxy.times:
        return proxy.times["tunnel"]
    clients = [one.times["client"] for one in fronts or [proxy] if "client" in one.times]
    for one in clients[1:]:
        if milliseconds(one[0], "ms") != milliseconds(clients[0][0], "ms"):
            why = "a pool has one idle_timeout here, for all listeners"
            proxy.world.draft.leave(one[1], Rank.DIFFERENT, why)
    sides = [max(clients, key=lambda one: milliseconds(one[0], "ms"))] if clients else []
    sides += [proxy.times["server"]] if "server" in proxy.times else []
    return min(sides, key=lambda one: milliseconds(one[0], "ms"), default=None)


def _hashed(line: Line | None) -> str:
    """Returns what `balance` hashes, as hash_key says it; "": it cannot."""
    if line is None:
        return ""
    algorithm, _, argument = line[1].partition("(")
    argument = argument.rstrip(")")
    if algorithm == "uri":
        return "path"
    if algorithm == "url_param":
        return f"query:{line[2]}"
    if algorithm == "hdr":
        return "host" if argument.lower() == "host" else f"header:{argument}"
    if algorithm != "hash" or len(line.words) < 3:
        return ""
    fetch, _, argument = line[2].partition("(")
    kind = FETCHED.get(fetch)
    if kind is not None and argument.endswith(")"):
        name = argument[:-1].partition(",")[0]
        return "host" if (kind, name.lower()) == ("header", "host") else f"{kind}:{name}"
    return HASHED.get(line[2]) or WHOLE.get(line[2], "")


def _balance(proxy: Proxy) -> None:
    line, pool = proxy.balance, proxy.pool
    name = "roundrobin" if line is None else line[1].partition("(")[0]
    consistent = proxy.hashes is not None and proxy.hashes[1] == "consistent"
    hashed = _hashed(line)
    if hashed not in HASHED.values() and not (proxy.http and is_request_key(hashed)):
        hashed = ""
    if name in BALANCE:
        found = BALANCE[name]
    elif hashed:
        found = "ip_hash"
        if hashed != "source_ip":
            pool.put("hash_key", hashed, proxy.place)
        if line and name in WITH_MORE and line.words[WITH_MORE[name] :]:
            more = " ".join(line.words[WITH_MORE[name] :])
            proxy.leave(Rank.DIFFERENT, f"{more}: {WITH_MORE_WHY.get(name, 'not used')}", line)
    else:
        found = "ip_hash" if name in ("hash", "rdp-cookie", "hdr", "url_param") else "round_robin"
        proxy.leave(Rank.DIFFERENT, f"l4lb does not hash it: {found} is used", line)
    if found == "ip_hash" and consistent:
        found = "maglev"
    if line is not None:
        pool.put("balance", found, line.place)


def _jitter(proxy: Proxy) -> None:
    if proxy.world.jitter and "health" in proxy.pool:
        proxy.pool["health"].default("jitter", proxy.world.jitter)


def _queue(proxy: Proxy, servers: list[Server]) -> None:
    """Makes the queue: clients above a server's maxconn wait for `timeout queue`, or else for
    `timeout connect`."""
    limited = [one for one in servers if one.entry.get("max_connections")]
    if not limited:
        return
    said = proxy.times.get("queue") or proxy.times.get("connect")
    queue = proxy.pool.table("queue", limited[0].line.place)
    lengths = [int(one.options.get("maxqueue", "0") or 0) for one in servers]
    length = min(QUEUE_MAX, sum(lengths)) if all(lengths) else QUEUE_MAX
    queue.put("length", length, limited[0].line.place)
    _put(proxy, "timeout", said, "1d", queue, "queue")
    for one, longest in zip(servers, lengths, strict=True):
        if longest:
            why = f"maxqueue: the pool has one queue, of {length} clients"
            proxy.leave(Rank.DIFFERENT, why, one.line)


def _backends(proxy: Proxy, servers: list[Server]) -> list[Table]:
    """Returns the backends of a list; one source of backends can be followed."""
    found: list[Table] = []
    for server in servers:
        options = server.options
        followed = server.template or (len(servers) == 1 and _is_name(server))
        if followed and (server.template or "resolvers" in options):
            if "discovery" in proxy.pool:
                why = "a pool follows one name: give it a pool of its own"
                proxy.leave(Rank.MISSING, why, server.line)
            else:
                _discover(proxy, server)
            continue
        if "resolvers" in options and _is_name(server):
            why = "resolvers: the name is looked up once, at start; `discovery` follows one"
            proxy.leave(Rank.DIFFERENT, why, server.line)
        elif "resolvers" in options:
            proxy.leave(Rank.NOTE, "resolvers: an address needs none", server.line)
        if options.get("init-addr", "").startswith("none") and _is_name(server):
            why = "init-addr: a name that has no address at start is an error here"
            proxy.leave(Rank.DIFFERENT, why, server.line)
        elif "init-addr" in options:
            proxy.leave(Rank.NOTE, "init-addr: names are looked up at start", server.line)
        found.append(server.entry)
    return found


def _is_name(server: Server) -> bool:
    return not server.address.startswith(("unix:", "[")) and not (
        server.host.replace(".", "").isdigit()
    )


def _discover(proxy: Proxy, server: Server) -> None:
    table = proxy.pool.table("discovery", server.line.place)
    place = server.line.place
    table.put("type", "dns", place)
    table.put("name", server.host, place)
    if server.host.startswith("_"):
        table.put("record", "srv", place)
    else:
        table.put("port", int(server.port), place)
    known = proxy.world.resolvers.get(server.options.get("resolvers", ""))
    for key, value in (known or {}).items():
        table.put(key, value, place)
    lost = [key for key in server.entry if key not in ("name", "address", "weight")]
    why = "each address of the name is a backend"
    proxy.leave(Rank.DIFFERENT, f"{why}{'; lost: ' + ', '.join(lost) if lost else ''}", server.line)


def served_apart(proxy: Proxy, line: Line, server: str) -> str:
    """Returns the pool for use-server: that server, and the others if it cannot be used."""
    draft = proxy.world.draft
    pool = draft.pools[proxy.name].twin()
    for one in pool["backends"]:
        if one["name"] != server:
            one.put("backup", True, line.place)
    pool.put("all_backups", True, line.place)
    name = free_name(f"{proxy.name}-{server}"[:56], draft.pools)
    draft.pools[name] = pool
    return name
