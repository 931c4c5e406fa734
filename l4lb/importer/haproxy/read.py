"""Converts a whole haproxy.cfg into a draft."""

from __future__ import annotations

import os

from l4lb.errors import UsageError
from l4lb.importer.draft import NAME_MAX, Draft, Place, Rank, Table, free_name, name_of
from l4lb.importer.haproxy.binds import listeners
from l4lb.importer.haproxy.caches import read_cache
from l4lb.importer.haproxy.conditions import cut
from l4lb.importer.haproxy.http_rules import Requests
from l4lb.importer.haproxy.http_words import serve
from l4lb.importer.haproxy.keywords import KEYWORDS, LEFT, Row, guess, left, row_of
from l4lb.importer.haproxy.pools import finish, served_apart
from l4lb.importer.haproxy.proxy import Proxy, World
from l4lb.importer.haproxy.routes import routes
from l4lb.importer.haproxy.rules import access, lost, unused
from l4lb.importer.haproxy.sections import OTHERS, PROXIES, READ, Section, sections_of
from l4lb.importer.haproxy.words import Line, lines
from l4lb.importer.haproxy.world import GLOBAL, read_global, read_resolvers
from l4lb.importer.haproxy.world import LEFT as GLOBAL_LEFT
from l4lb.importer.haproxy.world import SILENT as GLOBAL_SILENT
from l4lb.importer.quantities import natural

# Sections that are not read, by the rank of their loss.
UNREAD = {"userlist": Rank.NOTE, "mailers": Rank.NOTE, "http-errors": Rank.NOTE,
          "program": Rank.DIFFERENT, "log-forward": Rank.MISSING,
          "healthcheck": Rank.NOTE, "acme": Rank.DIFFERENT}  # fmt: skip


def read(text: str, file: str) -> Draft:
    """Reads haproxy.cfg. Raises UsageError if it has no section of HAProxy's."""
    known = (*KEYWORDS, *LEFT, *GLOBAL, *GLOBAL_LEFT, *GLOBAL_SILENT)
    sections = sections_of(lines(text, file), known)
    if not any(one.kind in READ for one in sections):
        raise UsageError(f"{file}: no section of HAProxy's is in it (global, frontend, ...)")
    world = World(
        Draft(Place(file, 1, text.partition("\n")[0].strip())),
        os.path.dirname(os.path.abspath(file)),
    )
    for one in sections:
        if one.kind == "global":
            read_global(world, one)
        elif one.kind == "resolvers":
            read_resolvers(world, one)
        elif one.kind == "cache":
            read_cache(world, one)
        elif one.kind not in READ:
            _unread(world, one)
    proxies = [_proxy(world, one) for one in sections if one.kind in PROXIES or _idle(one)]
    for proxy in proxies:
        if proxy.disabled:
            proxy.leave(Rank.NOTE, "the section is off", proxy.section.line)
    proxies = [one for one in proxies if one.section.kind != "defaults" and not one.disabled]
    _pools(proxies)
    for proxy in proxies:
        if proxy.front:
            _listeners(proxy, proxies)
    for proxy in proxies:
        if not proxy.front and not proxy.reached:
            lost(proxy, proxy.rules)
            unused(proxy, _asked(proxy, [*proxy.rules, *proxy.picks]))
    _names(world)
    return world.draft


def _idle(section: Section) -> bool:
    """True for defaults that no section uses; their lines are still examined."""
    return section.kind == "defaults" and not section.used


def _unread(world: World, section: Section) -> None:
    rank = UNREAD.get(section.kind, Rank.DIFFERENT)
    what = "sections of this kind are not read" if section.kind else "it is in no section"
    if section.kind:
        world.draft.leave(section.line.place, rank, what)
    for line in section.lines:
        known = section.kind in OTHERS
        world.draft.leave(line.place, Rank.NOTE if known else guess(line), what)


def _proxy(world: World, section: Section) -> Proxy:
    """Reads the lines of a section."""
    proxy = Proxy(world, section, section.line)
    modes = [line.words[1] for line in section.effective() if line.words[0] == "mode" and line.rest]
    proxy.http = modes[-1:] == ["http"]
    words = section.line.words
    if len(words) > 2 and words[2] not in ("from", "if") and proxy.front and words[0] != "defaults":
        proxy.binds.append(Line(section.line.place, ("bind", *words[2:])))
    for line in section.effective():
        proxy.line = line
        row, known = row_of(proxy, line.words[0]), left(proxy, line.words[0])
        try:
            if row is not None:
                _apply(proxy, line, row)
            elif known is not None:
                proxy.leave(*known)
            else:
                proxy.leave(guess(line), "not known to this import")
        except ValueError as error:
            proxy.leave(row.lost if row else Rank.DIFFERENT, f"not understood: {error}")
    return proxy


def _apply(proxy: Proxy, line: Line, row: Row) -> None:
    if row.concerns(proxy):
        row.handler(proxy, line)
    elif line.place.line in proxy.section.own:
        proxy.leave(Rank.NOTE, f"it means nothing in a {proxy.section.kind}")


# ---- sections to tables --------------------------------------------------------------------------


def _pools(proxies: list[Proxy]) -> None:
    named: dict[str, list[Proxy]] = {}
    for proxy in proxies:
        for line in ([proxy.target] if proxy.target else []) + proxy.uses:
            if len(line.words) > 1:
                named.setdefault(name_of(line[1]), []).append(proxy)
        if proxy.front and proxy.back:
            named.setdefault(proxy.name, []).append(proxy)
    for proxy in proxies:
        if proxy.back:
            finish(proxy, [one for one in named.get(proxy.name, []) if one.front])


def _listeners(proxy: Proxy, proxies: list[Proxy]) -> None:
    draft = proxy.world.draft
    if _is_statistics(proxy):
        return
    if proxy.stats is not None:
        proxy.leave(Rank.DIFFERENT, "[process] http shows what goes on", proxy.stats)
    made = listeners(proxy)
    if not made:
        if proxy.section.kind == "frontend":
            proxy.leave(Rank.NOTE, "it binds no address", proxy.section.line)
        return
    if proxy.http:
        _serve(proxy, proxies)
        return
    rules, behind = list(proxy.rules), _behind(proxy, proxies)
    if behind is not None:
        behind.reached = True
        proxy.acls.update({name: proxy.acls.get(name, one) for name, one in behind.acls.items()})
        rules += behind.rules
    scratch = Table(proxy.place)
    refused = access(proxy, rules, scratch)
    _tarpit(proxy)
    found, pool = routes(proxy, set(draft.pools), refused)
    picked = _picks(proxy if proxy.picks else behind, pool)
    if not pool:
        why = "no backend that is carried over serves it: the listener was left out"
        proxy.leave(Rank.MISSING, why, proxy.section.line)
        return
    unused(proxy, _asked(proxy, [*rules, *proxy.uses, *proxy.picks]))
    _put(proxy, made, scratch, pool, [*found, *picked])


def _serve(proxy: Proxy, proxies: list[Proxy]) -> None:
    """Makes the listeners of a section that looks into HTTP."""
    layered = [line for line in proxy.rules if line[0].startswith("tcp-")]
    scratch = Table(proxy.place)
    refused = access(proxy, layered, scratch)
    _tarpit(proxy)
    requests = Requests(proxy, {one.name: one for one in proxies if one.back})
    found, pool = requests.routes(refused)
    serve(proxy, requests.forwards)
    for line in proxy.picks:
        proxy.leave(Rank.MISSING, "l4lb cannot express which server serves which clients", line)
    unused(proxy, _asked(proxy, [*proxy.rules, *proxy.uses]))
    _put(proxy, listeners(proxy), scratch, pool, found)


def _put(proxy: Proxy, made: list[Table], scratch: Table, pool: str, routes: list[Table]) -> None:
    """Adds the listeners of a section to the draft."""
    draft = proxy.world.draft
    for table in made:
        listener = Table(table.place)
        listener.put("bind", table["bind"], table.place)
        if proxy.http:
            listener.put("protocol", "http", table.place)
        listener.put("pool", pool, table.place)
        for key, value in {**table, **scratch}.items():
            if key == "limits" and key in table:
                value = _joined(table[key], scratch.get(key))
            if key not in ("bind", "pool"):
                listener.put(key, value, scratch.places.get(key) or table.places[key])
        if routes:
            listener.put("routes", routes, table.place)
        draft.listeners[free_name(proxy.name, draft.listeners)] = listener


def _joined(one: Table, other: Table | None) -> Table:
    both = one.twin()
    for key, value in (other or {}).items():
        both.put(key, value, (other or both).place)
    return both


def _behind(proxy: Proxy, proxies: list[Proxy]) -> Proxy | None:
    """Returns the backend whose rules apply to all clients of a frontend that has no other."""
    for other in proxies:
        if other is proxy or not (other.rules or other.picks) or other.section.kind != "backend":
            continue
        users = [p for p in proxies if p.target and name_of(p.target[1]) == other.name]
        routed = any(name_of(line[1]) == other.name for p in proxies for line in p.uses
                     if len(line.words) > 1)  # fmt: skip
        if users == [proxy] and not routed and not proxy.uses:
            return other
    return None


def _picks(proxy: Proxy | None, pool: str) -> list[Table]:
    """Converts use-server: a route to a pool in which the other servers are backups."""
    made: list[Table] = []
    for line in proxy.picks if proxy else []:
        assert proxy is not None
        words, _ = cut(line.words)
        held = proxy.world.draft.pools.get(pool)
        backends = held.get("backends", []) if held else []
        if pool != proxy.name or len(words) < 2 or all(one["name"] != words[1] for one in backends):
            proxy.leave(Rank.MISSING, "l4lb cannot express which server serves which clients", line)
            continue
        apart = served_apart(proxy, line, words[1])
        asked = Line(line.place, ("use_backend", apart, *line.words[2:]))
        twin = Proxy(proxy.world, proxy.section, asked)
        twin.acls, twin.uses = proxy.acls, [asked]
        before = len(made)
        made += routes(twin, {apart}, [])[0]
        if len(made) == before:
            del proxy.world.draft.pools[apart]
            proxy.leave(Rank.MISSING, "it cannot be said as a route", line)
    return made


def _asked(proxy: Proxy, rules: list[Line]) -> set[str]:
    """Returns the acls that a rule uses."""
    words = {word.lstrip("!") for line in rules for word in cut(line.words)[1]}
    return {name for name in proxy.acls if name in words}


def _tarpit(proxy: Proxy) -> None:
    if "tarpit" in proxy.times:
        text, place = proxy.times["tarpit"]
        proxy.world.draft.limits.put("tarpit_time", natural(text, "ms", "tarpit_time")[0], place)
    if "client-hs" in proxy.times:
        text, place = proxy.times["client-hs"]
        value = natural(text, "ms", "handshake_timeout")[0]
        proxy.listener.default("handshake_timeout", value, place)


def _is_statistics(proxy: Proxy) -> bool:
    """True for a section that only shows statistics: it becomes the dashboard, unless it needs a
    password."""
    exporter = any("prometheus-exporter" in line.words for line in proxy.rules)
    if not (proxy.stats or exporter) or proxy.servers or proxy.target or proxy.uses:
        return False
    line = proxy.stats or proxy.rules[0]
    process = proxy.world.draft.process
    asks = any(one.words[:2] == ("stats", "auth") for one in proxy.section.effective())
    asks = asks or any("auth" in one.words or "deny" in one.words for one in proxy.rules)
    address = proxy.binds[0][1].split(",")[0] if proxy.binds else ""
    if asks or "http" in process or not address or "ssl" in proxy.binds[0].words:
        why = "`l4lb admin` and [process] http show what goes on"
        proxy.leave(Rank.DIFFERENT, why, line)
    else:
        host, _, port = address.rpartition(":")
        host = "[::]" if host in ("::", "[::]") else host
        process.put("http", f"{'0.0.0.0' if host in ('', '*') else host}:{port}", line.place)
        proxy.leave(Rank.DIFFERENT, "the dashboard and /metrics are at this address", line)
    for one in (*proxy.binds, *proxy.rules):
        proxy.leave(Rank.NOTE, "it is about the page of statistics", one)
    return True


def _names(world: World) -> None:
    """Shortens names so that messages show them whole."""
    assert all(len(name) <= NAME_MAX for name in (*world.draft.pools, *world.draft.listeners))
