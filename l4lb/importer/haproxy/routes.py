"""Converts use_backend and default_backend into a listener's routes."""

from __future__ import annotations

from l4lb.importer.branches import UnsaidError
from l4lb.importer.draft import Rank, Table, name_of
from l4lb.importer.haproxy.conditions import CHANCE, Alternatives, Test, condition, cut
from l4lb.importer.haproxy.proxy import Proxy
from l4lb.importer.haproxy.words import Line


def routes(
    proxy: Proxy, pools: set[str], refused: list[tuple[Alternatives, Line]]
) -> tuple[list[Table], str]:
    """Returns a listener's routes, and the pool of all other clients ("": none)."""
    nobody = proxy.world.draft.nobody
    found = [
        one
        for alternatives, line in refused
        for one in _routes(proxy, alternatives, nobody(line.place), line)
    ]
    for line in proxy.uses:
        words, asked = cut(line.words)
        pool = name_of(words[1]) if len(words) > 1 else ""
        if pool not in pools:
            proxy.leave(Rank.MISSING, _absent(words), line)
            continue
        try:
            alternatives = condition(asked, proxy.acls)
        except UnsaidError as error:
            proxy.leave(Rank.MISSING, f"l4lb cannot express it: {error}", line)
            continue
        if [] in alternatives:
            return found, pool
        found += _routes(proxy, alternatives, pool, line)
    return found, _rest(proxy, pools, found)


def _absent(words: tuple[str, ...]) -> str:
    if len(words) > 1 and "%[" in words[1]:
        return "a backend cannot be named by what a client says"
    return "this backend has no server that is carried over"


def _rest(proxy: Proxy, pools: set[str], found: list[Table]) -> str:
    """Returns the pool of clients that match no route; if HAProxy refuses them, `nobody`."""
    if proxy.target is not None:
        name = name_of(proxy.target[1])
        if name in pools:
            return name
        proxy.leave(Rank.MISSING, "this backend has no server that is carried over", proxy.target)
    elif proxy.back and proxy.servers:
        return proxy.name if proxy.name in pools else ""
    return proxy.world.draft.nobody(proxy.place) if found else ""


def _routes(proxy: Proxy, alternatives: Alternatives, pool: str, line: Line) -> list[Table]:
    made = []
    for tests in alternatives:
        route = Table(line.place)
        try:
            for test in tests:
                _condition(proxy, test, route, line)
        except ValueError as error:
            proxy.leave(Rank.MISSING, f"not as a route: {error}", line)
            continue
        if any(test.kind == "hello" for test in tests) and "sni" not in route:
            route.put("sni", ["*"], line.place)
            proxy.leave(Rank.DIFFERENT, "of TLS clients, only those that ask for a name", line)
        route.put("pool", pool, line.place)
        made.append(route)
    return made


def _condition(proxy: Proxy, test: Test, route: Table, line: Line) -> None:
    """Adds a test to a route as a condition. Raises ValueError."""
    if test.kind == "hello" and not test.negated:
        return
    if test.negated:
        raise UnsaidError("a route cannot say who it is not for")
    if test.kind == "chance":
        route.put("percent", percent(test), line.place)
        return
    if test.files:
        raise UnsaidError(
            f"the names in {test.files[0]} would have to be written into the configuration"
        )
    match test.kind:
        case "sni":
            values = [name for one in test.patterns for name in sni_names(proxy, test, one, line)]
        case "alpn":
            values = list(test.patterns)
        case "source":
            values = [str(one) for one in test.networks()]
        case _:
            raise UnsaidError(f"l4lb has no test for {test.text}")
    if test.kind == "sni" and test.method == "found":
        values = ["*"]
    if test.kind in route or not values:
        raise UnsaidError("several conditions of one kind")
    route.put(test.kind, values, line.place)


def sni_names(proxy: Proxy, test: Test, pattern: str, line: Line) -> list[str]:
    """Returns the server names that a pattern matches. Raises UnsaidError."""
    below = pattern.lower().lstrip(".")
    match test.method:
        case "" | "str":
            return [pattern.lower()]
        case "end" if pattern.startswith("."):
            return [f"*.{below}"]
        case "end" | "dom":
            proxy.leave(Rank.DIFFERENT, f"{below} in l4lb matches the names below it too", line)
            return [below, f"*.{below}"]
        case "found":
            return []
    raise UnsaidError(f"server names are compared whole or by their end, not by -m {test.method}")


def percent(test: Test) -> float:
    match = CHANCE.fullmatch(test.text)
    words = test.patterns
    if match is None or len(words) != 2 or words[0] not in ("lt", "le") or not words[1].isdigit():
        raise UnsaidError("a share is rand(100) lt N")
    share = 100 * (int(words[1]) + (words[0] == "le")) / max(1, int(match[1]))
    if not 0 < share <= 100:
        raise UnsaidError("no share of all clients")
    return int(share) if share == int(share) else round(share, 6)
