"""Converts upstreams into backends. nginx's defaults are written out where l4lb's differ: nginx
does not use a backend that failed once for ten seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from l4lb.importer.draft import Path, Rank, Table, free_name, name_of, scale_weights
from l4lb.importer.nginx.tree import Node
from l4lb.importer.nginx.world import World
from l4lb.importer.request_keys import is_request_key

DEFAULT_FAILS, DEFAULT_FAIL_TIME = 1, "10s"
SOURCE = ("$remote_addr", "$binary_remote_addr")
WHOLE = {
    "$request_uri": "path", "$uri": "path", "$document_uri": "path", "$host": "host",
    "$http_host": "host",
}  # fmt: skip
NAMED = {"$http_": "header", "$cookie_": "cookie", "$arg_": "query"}
HASHED = {
    "$remote_addr$remote_port": "source_ip_port",
    "$binary_remote_addr$remote_port": "source_ip_port",
    "$remote_addr:$remote_port": "source_ip_port", "$ssl_preread_server_name": "sni",
    "$ssl_server_name": "sni",
}  # fmt: skip


@dataclass
class Upstream:
    """An upstream block while it is read."""

    world: World
    node: Node
    pool: Table = field(init=False)
    backends: dict[str, Table] = field(default_factory=dict)  # by name
    fails: list[tuple[Node, int, str]] = field(default_factory=list)
    resolver: Node | None = None
    http: bool = False  # of an http block

    def __post_init__(self) -> None:
        self.pool = Table(self.node.place)

    @property
    def where(self) -> Path:
        return ("pools", name_of(self.node.args[0] if self.node.args else ""))

    def leave(self, node: Node, rank: Rank, why: str) -> None:
        self.world.draft.leave(node.place, rank, why, self.where)


def upstream(world: World, node: Node, http: bool = False) -> Table:
    """Returns the pool of an upstream, without the settings of its servers."""
    made = Upstream(world, node, http=http)
    made.resolver = next((one for one in node.block if one.name == "resolver"), world.resolver)
    for one in node.block:
        try:
            if http and one.name in OF_HTTP:
                OF_HTTP[one.name](made, one)
            elif one.name in ROWS:
                ROWS[one.name](made, one)
            elif one.name in LEFT:
                made.leave(one, *LEFT[one.name])
            elif one.name not in SILENT:
                made.leave(one, Rank.DIFFERENT, "not known to this import")
        except ValueError as error:
            made.leave(one, Rank.MISSING, f"not understood: {error}")
    backends = list(made.backends.values())
    scale_weights(world.draft, backends, made.where)
    _passive(made)
    if sum(bool(one.get("backup")) for one in backends) > 1:
        made.pool.put("all_backups", True, node.place)
    if backends:
        made.pool.put("backends", backends, node.place)
    return made.pool


def _server(made: Upstream, node: Node) -> None:
    address = node.arg()
    options = [word.partition("=")[::2] for word in node.args[1:]]
    ported = address.startswith("unix:") or address.rpartition(":")[2].isdigit()
    if made.http and not ported and "service" not in dict(options):
        address, ported = f"{address}:80", True
    if not ported and "service" not in dict(options):
        made.leave(node, Rank.MISSING, "a backend has a port of its own here")
        return
    entry = Table(node.place)
    entry.put("address", address, node.place)
    fails, fail_time = DEFAULT_FAILS, DEFAULT_FAIL_TIME
    for key, value in options:
        match key:
            case "weight":
                entry.put("weight", int(value), node.place)
            case "max_conns" if int(value):
                entry.put("max_connections", int(value), node.place)
            case "backup":
                entry.put("backup", True, node.place)
            case "max_fails":
                fails = min(10_000, int(value))
            case "fail_timeout":
                fail_time = made.world.time(node, value, "eject")
            case "slow_start":
                made.pool.put("slow_start", made.world.time(node, value, "slow_start"), node.place)
            case "down":
                entry.put("weight", 0, node.place)
                made.leave(node, Rank.DIFFERENT, "down: weight 0 until an operator says")
            case "resolve" | "service" | "max_conns":
                pass
            case _:
                made.leave(node, Rank.DIFFERENT, f"{key}: not known to this import")
    if any(key == "down" for key, _ in options):
        entry.put("weight", 0, node.place)
    if any(key in ("resolve", "service") for key, _ in options) and _follow(
        made, node, address, dict(options)
    ):
        return
    again = "backup" in entry and name_of(address) in made.backends
    wanted = f"{name_of(address)}-backup" if again else name_of(address)
    name = free_name(wanted, made.backends)
    if name != address:
        entry.put("name", name, node.place)
    made.backends[name] = entry
    made.fails.append((node, fails, fail_time))
    _one_address(made, node, address)


def _one_address(made: Upstream, node: Node, address: str) -> None:
    host = address.rpartition(":")[0]
    if any(c.isalpha() for c in host) and not address.startswith(("unix:", "[")):
        why = "of the addresses of a name one is used: `discovery` follows all"
        made.leave(node, Rank.DIFFERENT, why)


def _follow(made: Upstream, node: Node, address: str, options: dict[str, str]) -> bool:
    """Converts a name that is looked up repeatedly into discovery, which a pool can have once.
    Returns whether it could."""
    others = [one for one in made.node.block if one.name == "server" and one is not node]
    host, _, port = address.rpartition(":")
    service = options.get("service", "")
    if others:
        why = "resolve: the name is looked up once, at start: a pool follows one name alone"
        made.leave(node, Rank.MISSING if service else Rank.DIFFERENT, why)
        return bool(service)
    table = made.pool.table("discovery", node.place)
    table.put("type", "dns", node.place)
    if service:
        name = host or address
        prefix = service if "." in service else f"_{service}._tcp"
        table.put("name", f"{prefix}.{name}", node.place)
        table.put("record", "srv", node.place)
    else:
        table.put("name", host, node.place)
        table.put("port", int(port), node.place)
    for key, value in resolver(made.world, made.resolver).items():
        table.put(key, value, node.place)
    lost = [key for key, _ in options.items() if key not in ("resolve", "service")]
    if lost:
        made.leave(node, Rank.DIFFERENT, f"{', '.join(lost)}: what is found has none of it")
    return True


def resolver(world: World, node: Node | None) -> dict[str, object]:
    """Converts name servers into keys of a pool's discovery."""
    found: dict[str, object] = {}
    servers = [one for one in node.args if "=" not in one] if node else []
    if servers:
        found["servers"] = [one if _has_port(one) else f"{one}:53" for one in servers]
    for word in node.args if node else ():
        key, _, value = word.partition("=")
        if value == "off" and key in ("ipv4", "ipv6"):
            found["family"] = {"ipv4": "ipv6", "ipv6": "ipv4"}[key]
        elif key == "valid" and node:
            found["min_ttl"] = found["max_ttl"] = world.time(node, value, "dns")
    return found


def _has_port(text: str) -> bool:
    return text.rpartition("]")[2].startswith(":") if text.startswith("[") else ":" in text


def _asked(variable: str) -> str | None:
    """Returns a variable about a request as hash_key says it; None: it cannot."""
    if variable in WHOLE:
        return WHOLE[variable]
    for prefix, kind in NAMED.items():
        if variable.startswith(prefix):
            name = variable.removeprefix(prefix)
            key = f"{kind}:{name.replace('_', '-') if kind == 'header' else name}"
            return key if is_request_key(key) else None
    return None


def _hash(made: Upstream, node: Node) -> None:
    key, consistent = node.arg(), "consistent" in node.args
    made.pool.put("balance", "maglev" if consistent else "ip_hash", node.place)
    asked = _asked(key) if made.http else None
    if key in HASHED or asked:
        made.pool.put("hash_key", HASHED.get(key) or asked, node.place)
        if key == "$request_uri":
            made.leave(node, Rank.DIFFERENT, "the path is hashed, without its query")
    elif key not in SOURCE:
        made.leave(node, Rank.DIFFERENT, "clients are hashed by their address")


def _balance(name: str) -> Callable[[Upstream, Node], None]:
    return lambda made, node: made.pool.put("balance", name, node.place)


def _passive(made: Upstream) -> None:
    """Sets passive health checks; nginx never ejects an only server."""
    if len(made.fails) < 2:
        return
    (fails, fail_time), _ = Counter((f, t) for _, f, t in made.fails).most_common(1)[0]
    for node, mine, time in made.fails:
        if (mine, time) != (fails, fail_time):
            why = f"a pool has one rule here: max_fails={fails} fail_timeout={fail_time}"
            made.leave(node, Rank.DIFFERENT, why)
    if not fails or fail_time == "0s":
        return
    place = made.node.place
    table = made.pool.table("passive", place)
    for key, value in (("failures", fails), ("eject", fail_time), ("max_eject", fail_time),
                       ("max_ejected", "100%")):  # fmt: skip
        table.put(key, value, place)


ROWS: dict[str, Callable[[Upstream, Node], None]] = {
    "server": _server,
    "least_conn": _balance("least_connections"),
    "random": _balance("random"),
    "least_time": _balance("least_response_time"),
    "hash": _hash,
}


def _idle(made: Upstream, node: Node) -> None:
    made.pool.table("http", node.place).put("idle_connections", int(node.arg()), node.place)


def _idle_time(made: Upstream, node: Node) -> None:
    value = made.world.time(node, node.arg(), "rest_timeout")
    made.pool.table("http", node.place).put("idle_timeout", value, node.place)


def _sticky(made: Upstream, node: Node) -> None:
    if node.arg() != "cookie":
        made.leave(node, Rank.MISSING, "clients stick by a cookie that l4lb sets")
        return
    cookie = made.pool.table("sticky", node.place).table("cookie", node.place)
    cookie.put("name", node.arg(1), node.place)
    cookie.put("http_only", "httponly" in node.args, node.place)
    for word in node.args[2:]:
        key, _, value = word.partition("=")
        if key == "expires" and value != "max":
            cookie.put("max_age", made.world.time(node, value, "rest_timeout"), node.place)
        elif key in ("secure", "path", "samesite"):
            found = {"secure": True, "path": value, "samesite": value.lower()}[key]
            cookie.put({"samesite": "same_site"}.get(key, key), found, node.place)
        elif key != "httponly":
            made.leave(node, Rank.DIFFERENT, f"{word}: not carried over")


OF_HTTP: dict[str, Callable[[Upstream, Node], None]] = {
    "ip_hash": _balance("ip_hash"),
    "keepalive": _idle,
    "keepalive_timeout": _idle_time,
    "keepalive_requests": lambda made, node: made.pool.table("http", node.place).put(
        "max_requests", int(node.arg()), node.place
    ),
    "sticky": _sticky,
}
SILENT = ("zone", "resolver", "resolver_timeout")
LEFT = {
    "state": (Rank.MISSING, "servers that are kept in a file are not read: see `discovery`"),
    "sticky": (Rank.DIFFERENT, "clients stick by their address or server name: see `sticky`"),
    "queue": (Rank.DIFFERENT, "see `queue` of a pool"),
    "ip_hash": (Rank.DIFFERENT, "it is about HTTP; see balance = \"ip_hash\""),
    "keepalive": (Rank.NOTE, "l4lb does not reuse a connection to a backend for another session"),
}  # fmt: skip
