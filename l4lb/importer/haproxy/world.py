"""Reads the global section and resolvers, which apply to all proxies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from l4lb.importer.draft import WORKERS_MAX, Rank, Table, word_set
from l4lb.importer.haproxy.logs import FACILITIES
from l4lb.importer.haproxy.proxy import World
from l4lb.importer.haproxy.sections import Section
from l4lb.importer.haproxy.words import Line
from l4lb.importer.quantities import natural

Handler = Callable[[World, Line], None]


def _whole(world: World, line: Line, minimum: int, maximum: int) -> int:
    """Returns the number in a line; reports it if it was moved into the bounds."""
    number = int(line[1])
    near = min(maximum, max(minimum, number))
    if near != number:
        world.draft.leave(line.place, Rank.DIFFERENT, f"it is {near} here")
    return near


def _maxconn(world: World, line: Line) -> None:
    world.draft.limits.put("max_connections", _whole(world, line, 1, 64 << 20), line.place)


def _threads(world: World, line: Line) -> None:
    world.draft.process.put("workers", _whole(world, line, 1, WORKERS_MAX), line.place)


def _hard_stop(world: World, line: Line) -> None:
    value, moved = natural(line[1], "ms", "drain_timeout")
    world.draft.process.put("drain_timeout", value, line.place)
    if moved:
        world.draft.leave(line.place, Rank.NOTE, moved, ("process",))


def _user(world: World, line: Line) -> None:
    why = f'[process] user = "{line[1]}" is for you to add, where that user exists'
    world.draft.leave(line.place, Rank.NOTE, why, ("process",))


def _log(world: World, line: Line) -> None:
    line[1]
    if world.log is None and any(word in FACILITIES for word in line.words[2:]):
        world.log = line
    else:
        why = "l4lb has one destination for its access log"
        world.draft.leave(line.place, Rank.NOTE, why, ("process",))


def _spread(world: World, line: Line) -> None:
    world.jitter = f"{_whole(world, line, 0, 100)}%"


def _bases(world: World, line: Line) -> None:
    world.bases[line[0]] = line[1]


def _ssl(world: World, line: Line) -> None:
    """Reads ssl-default-bind-options and similar keywords."""
    words = line[0].split("-", 3)
    side = world.bind_tls if words[2] == "bind" else world.server_tls
    if words[3] == "options":
        rest = list(line.rest)
        while rest:
            word = rest.pop(0)
            value = rest.pop(0) if word in ("ssl-min-ver", "ssl-max-ver") and rest else ""
            side[word] = Line(line.place, (word, value))
    elif words[3] in ("ciphers", "ciphersuites"):
        side[words[3]] = Line(line.place, (words[3], line[1]))
    else:
        world.draft.leave(line.place, Rank.NOTE, "OpenSSL's own choice is used here")


def _verify(world: World, line: Line) -> None:
    world.verify_servers = line[1] != "none"


GLOBAL: Mapping[str, Handler] = {
    "maxconn": _maxconn, "nbthread": _threads, "nbproc": _threads, "hard-stop-after": _hard_stop,
    "user": _user, "uid": _user, "log": _log, "spread-checks": _spread, "crt-base": _bases,
    "ca-base": _bases, "ssl-server-verify": _verify,
    **{f"ssl-default-{side}-{what}": _ssl for side in ("bind", "server")
       for what in ("options", "ciphers", "ciphersuites", "curves", "sigalgs", "client-sigalgs")},
}  # fmt: skip
SILENT = word_set(
    """
    daemon quiet master-worker pidfile debug default-path nopoll noepoll nokqueue noevports
    nosplice nogetaddrinfo noreuseport expose-experimental-directives insecure-fork-wanted
    external-check zero-warning
    """
)
UNJUDGED = (Rank.DIFFERENT, "conditions are not looked at: the lines below stand as they are")
LEFT: Mapping[str, tuple[Rank, str]] = {
    **dict.fromkeys((".if", ".elif", ".else", ".endif"), UNJUDGED),
    "group": (Rank.NOTE, "the group is that of [process] user"),
    "gid": (Rank.NOTE, "the group is that of [process] user"),
    "chroot": (Rank.NOTE, "workers stay in the file system they were started in"),
    "stats": (Rank.NOTE, "`l4lb admin` talks to the socket [process] admin"),
    "lua-load": (Rank.DIFFERENT, "there is no Lua here"),
    "lua-load-per-thread": (Rank.DIFFERENT, "there is no Lua here"),
    "setenv": (Rank.DIFFERENT, "environment variables are those of the service"),
    "presetenv": (Rank.DIFFERENT, "environment variables are those of the service"),
    "resetenv": (Rank.DIFFERENT, "environment variables are those of the service"),
    "unsetenv": (Rank.DIFFERENT, "environment variables are those of the service"),
    "maxconnrate": (Rank.DIFFERENT, "see `rate` in a listener's limits"),
    "maxsessrate": (Rank.DIFFERENT, "see `rate` in a listener's limits"),
    "maxsslrate": (Rank.DIFFERENT, "see handshake_rate in a listener's tls"),
    "maxsslconn": (Rank.DIFFERENT, "see max_connections"),
    "fips": (Rank.DIFFERENT, "what the host's OpenSSL allows holds"),
}  # fmt: skip


def read_global(world: World, section: Section) -> None:
    for line in section.lines:
        word = line[0]
        try:
            if word in GLOBAL:
                GLOBAL[word](world, line)
            elif word in LEFT:
                world.draft.leave(line.place, *LEFT[word], ("process",))
            elif word not in SILENT:
                why = "how the process is run is said in [process] and [limits]"
                world.draft.leave(line.place, Rank.NOTE, why, ("process",))
        except ValueError as error:
            why = f"not understood: {error}"
            world.draft.leave(line.place, Rank.DIFFERENT, why, ("process",))


def read_resolvers(world: World, section: Section) -> None:
    """Converts a resolvers section into keys of a pool's discovery."""
    table = Table(section.line.place)
    for line in section.lines:
        try:
            match line.words[:2]:
                case ("nameserver", _):
                    address = line[2].partition("@")[2] or line[2]
                    table.setdefault("servers", []).append(address)
                case ("hold", "valid"):
                    table.put("max_ttl", natural(line[2], "ms", "dns")[0], line.place)
                case ("timeout", "resolve"):
                    table.put("interval", natural(line[2], "ms", "dns")[0], line.place)
                case ("timeout", "retry"):
                    table.put("timeout", natural(line[2], "ms", "lookup")[0], line.place)
                case ("parse-resolv-conf", *_):
                    pass
                case _:
                    world.draft.leave(line.place, Rank.NOTE, "see docs/discovery.md")
        except ValueError as error:
            world.draft.leave(line.place, Rank.DIFFERENT, f"not understood: {error}")
    world.resolvers[section.name] = table
