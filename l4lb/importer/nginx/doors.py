"""The settings of a listener besides its pool: access list, limits, TLS, PROXY headers."""

from __future__ import annotations

from l4lb.importer.draft import Rank, Table
from l4lb.importer.networks import ALL, first_match
from l4lb.importer.nginx.addresses import Address
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.settings import speed

# nginx's timeouts for the data that it needs before it proxies.
PREREAD, PROXIED, HANDSHAKE = "30s", "30s", "60s"


def finish(server: Server) -> None:
    speed(server)
    if server.per_source is not None and server.listens:
        key = "connections_per_source"
        if any("udp" not in one.args for one in server.listens):
            limits = server.listener.table("limits", server.per_source.place)
            limits.put(key, server.per_source, server.per_source.place)
    if server.rules:
        place = server.rules[-1][2].place
        allow, deny = first_match([(allowed, one) for allowed, one, _ in server.rules])
        table = Table(place)
        for key, value in (("allow", allow), ("deny", deny)):
            if value:
                table.put(key, value, place)
        if table:
            server.listener.put("access", table, place)


def fill(
    server: Server, address: Address, table: Table, others: list[Server], routes: list[Table]
) -> None:
    for key, value in {**server.listener, **address.options}.items():
        if key not in ("ssl", "proxy_protocol", "http2"):
            place = server.listener.places.get(key) or address.options.places[key]
            table.put(key, value.twin() if isinstance(value, Table) else value, place)
    for one in others:
        for key in {*one.listener, *server.listener}:
            if one.listener.get(key) != server.listener.get(key):
                why = f"{key} is a listener's: that of the address's default server is used"
                one.leave(one.node, Rank.OPEN, why)
    waits = {
        "preread": any("sni" in r or "alpn" in r for r in routes),
        "proxy": False,
        "tls": False,
    }
    if "ssl" in address.options:
        waits["tls"] = _secure(server, others, address, table)
    if "proxy_protocol" in address.options:
        waits["proxy"] = True
        _proxied(server, address, table)
    if address.protocol == "udp":
        _for_datagrams(server, table)
        return
    usual = {"preread": PREREAD, "proxy": PROXIED, "tls": HANDSHAKE}
    for kind in ("tls", "preread", "proxy"):
        if waits[kind]:
            time, place = server.handshakes.get(kind, (usual[kind], server.node.place))
            table.default("handshake_timeout", time, place)


def _proxied(server: Server, address: Address, table: Table) -> None:
    place = address.options.places["proxy_protocol"]
    table.put("proxy_protocol", "require", place)
    table.put("trusted", server.trusted or list(map(str, ALL)), place)
    if server.trusted:
        why = "whoever is not trusted is refused, not taken for the client"
    else:
        why = "whoever connects is believed: nginx believes nobody without set_real_ip_from"
    server.lost.append((place, Rank.DIFFERENT, why))


def _for_datagrams(server: Server, table: Table) -> None:
    """Moves settings to those of UDP, and removes those that UDP does not have."""
    if server.per_source is not None:
        place = server.per_source.place
        table.put("max_sessions_per_source", server.per_source["limit"], place)
    for name, one in table.get("limits", {}).items():
        if name != "connections_per_source":
            rank = Rank.DIFFERENT if name == "bandwidth_per_session" else Rank.OPEN
            why = f"{name}: there is no such limit of datagrams here"
            server.lost.append((getattr(one, "place", table.places["limits"]), rank, why))
    for key in ("keepalive", "proxy_protocol", "tls", "mptcp"):
        if key in table:
            rank = Rank.CLEAR if key == "tls" else Rank.DIFFERENT
            server.lost.append((table.places[key], rank, f"{key}: not of datagrams here"))
    table.drop(["limits", "keepalive", "proxy_protocol", "trusted", "tls", "mptcp"])


def _secure(server: Server, others: list[Server], address: Address, table: Table) -> bool:
    """Sets TLS of a listener: the certificates of all its servers."""
    place = address.options.places["ssl"]
    tls = server.secure.twin()
    made: list[Table] = []
    for one in (server, *others):
        for index, (node, cert) in enumerate(one.certificates):
            row = Table(node.place)
            row.put("cert", cert, node.place)
            if index < len(one.keys) and one.keys[index] != cert:
                row.put("key", one.keys[index], node.place)
            if row not in made:
                made.append(row)
        if one is not server and one.secure != server.secure:
            why = "TLS of an address is that of its default server"
            one.leave(one.node, Rank.CLEAR, why)
    if not made:
        server.lost.append(
            (place, Rank.CLEAR, "ssl: no certificate: clients are not asked for TLS")
        )
        return False
    if "verify" not in tls:
        tls.drop(["ca"])
    elif "ca" not in tls:
        assert server.verify is not None
        server.leave(server.verify, Rank.OPEN, "who signs clients' certificates is not said")
        tls.drop(["verify"])
    whole = Table(place)
    for key, value in {"certificates": made, **tls}.items():
        whole.put(key, value, tls.places.get(key, place))
    table.put("tls", whole, place)
    return True
