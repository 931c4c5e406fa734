"""The routes and filters of HTTP listeners that a configuration has, for csrc/shm/http_routes.h."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from l4lb.config.bounds import RESPOND_BYTES_MAX
from l4lb.config.model import Config, Listener
from l4lb.config.tables.admission import CONDITIONS, Route
from l4lb.config.tables.http import ListenerHttp
from l4lb.config.tables.http_route import RequestRate, Respond, RouteLimits
from l4lb.config.values.http import request_key
from l4lb.errors import AdminError, L4lbError
from l4lb.http import routes
from l4lb.native import http as native
from l4lb.native.table import Table
from l4lb.supervisor.table import http_filter, inspections, recordings
from l4lb.supervisor.table.row_settings import key_kind

REDIRECT = 302  # the status of a redirect that names none


Key = tuple[str, str, int]


class Prepared(NamedTuple):
    """Routes that can be put into force: their bytes, where those of each row are, their slots."""

    routes: bytes
    ats: list[int]
    slots: Mapping[Key, int]


class HttpRoutes:
    """Compiles routes, and remembers which slot each has: a route that a reload does not change
    keeps its hits and the state of its limits."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._slots: Mapping[Key, int] = {}

    def prepared(
        self,
        config: Config,
        listener_rows: Mapping[tuple[str, str], int],
        pool_rows: Mapping[str, int],
        cache_rows: Mapping[str, int],
    ) -> Prepared:
        """Compiles all routes. Raises L4lbError if the file of an answer cannot be read, or if they
        are too long together. Nothing has changed yet."""
        slots = self._slots_of(config)
        groups = [
            routes.Its(
                [listener_rows[name, str(bind)] for bind in listener.bind],
                [
                    _compiled(
                        route, pool_rows, slots[key], cache_number(cache_rows, listener, route)
                    )
                    for route, key in zip(
                        listener.routes, _keys(name, listener.routes), strict=True
                    )
                ],
                http_filter.compiled(
                    listener.filter, [slots[key] for key in _rule_keys(name, listener)]
                ),
                inspections.compiled(name, listener, config, slots),
                recordings.compiled(name, listener, config, slots),
            )
            for name, listener in config.listeners.items()
            if listener.protocol == "http"
        ]
        found, ats = routes.compiled(groups, self._table.capacities.listeners)
        if len(found) > native.ROUTES_BYTES:
            limit = native.ROUTES_BYTES >> 20
            raise L4lbError(
                f"the routes and filters of all HTTP listeners have more than {limit} MiB together"
            )
        return Prepared(found, ats, slots)

    def publish(self, prepared: Prepared) -> None:
        """Puts routes into force."""
        for key in prepared.slots.keys() - self._slots.keys():
            native.forget(self._table, prepared.slots[key])
        self._slots = prepared.slots
        native.publish_routes(self._table, prepared.routes, prepared.ats)

    def shown(
        self, listeners: Mapping[str, Listener], args: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Returns the routes of a listener as operators see them. args: `listener`; `hits`: the
        route with the most requests first. Raises AdminError not_found."""
        name = _known(listeners, args)
        its = listeners[name].routes if listeners[name].protocol == "http" else ()
        rows = [
            {
                "listener": name,
                "route": route.name or str(number),
                "when": _when(route),
                "then": _then(route),
                "requests": native.hits(self._table, self._slots[key]),
            }
            for number, (route, key) in enumerate(zip(its, _keys(name, its), strict=True), 1)
        ]
        return sorted(rows, key=lambda row: -int(row["requests"])) if args.get("hits") else rows

    def filter_shown(
        self, listeners: Mapping[str, Listener], args: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Returns the rules of a listener's filter as operators see them. args: `listener`. Raises
        AdminError not_found."""
        name = _known(listeners, args)
        keys = _rule_keys(name, listeners[name])
        return [
            {
                "listener": name,
                "rule": rule,
                "when": when,
                "action": action,
                "dry_run": dry_run,
                "hits": native.hits(self._table, self._slots[key]),
            }
            for key, (rule, when, action, dry_run) in zip(
                keys, http_filter.told(listeners[name].filter), strict=True
            )
        ]

    def inspections_shown(
        self, listeners: Mapping[str, Listener], args: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Returns the rules of a listener about engines as operators see them, with the number of
        each verdict. args: `listener`. Raises AdminError not_found."""
        name = _known(listeners, args)
        return [
            {
                "listener": name,
                "rule": rule.name,
                "when": http_filter.when(rule),
                "engine": rule.icap,
                "what": " ".join(rule.what),
                "on_failure": rule.on_failure,
            }
            | {
                verdict: native.hits(
                    self._table, self._slots[inspections.key_of(name, rule, verdict)]
                )
                for verdict in routes.VERDICTS[1:]
            }
            for rule in inspections.rules_of(listeners[name])
        ]

    def recorded(self, listeners: Mapping[str, Listener]) -> dict[str, int]:
        """Returns how many requests were chosen for each record."""
        found: dict[str, int] = {}
        for name, listener in listeners.items():
            for rule in recordings.rules_of(listener):
                hits = native.hits(self._table, self._slots[recordings.key_of(name, rule)])
                found[rule.record] = found.get(rule.record, 0) + hits
        return found

    def rule_of(self, slot: int) -> tuple[str, str] | None:
        """Returns the listener and the name of the rule about an engine that has this slot; None:
        it was removed."""
        for (listener, text, _), own in self._slots.items():
            if own == slot and text.startswith("inspect "):
                return listener, text.split()[1]
        return None

    def _slots_of(self, config: Config) -> dict[Key, int]:
        """Returns the slot of each route: the one that it has, else a free one."""
        keys = [
            key
            for name, listener in config.listeners.items()
            if listener.protocol == "http"
            for key in (
                *_keys(name, listener.routes),
                *_rule_keys(name, listener),
                *inspections.keys_of(name, listener),
                *recordings.keys_of(name, listener),
            )
        ]
        kept = {key: self._slots[key] for key in keys if key in self._slots}
        used = set(kept.values())
        free = (slot for slot in range(native.ROUTES_MAX) if slot not in used)
        return {key: kept[key] if key in kept else next(free) for key in keys}


def _keys(listener: str, its: tuple[Route, ...]) -> Iterator[Key]:
    """Yields what makes each route the same after a reload: its listener, its name or all that it
    says, and which of several equal routes it is."""
    seen: dict[str, int] = {}
    for route in its:
        text = route.name or route.model_dump_json(exclude_none=True)
        seen[text] = seen.get(text, 0) + 1
        yield listener, text, seen[text]


def _rule_keys(name: str, listener: Listener) -> list[Key]:
    """Returns what makes each rule of a listener's filter the same after a reload: its name. No
    route has a name with a space."""
    return [(name, f"rule {rule}", 1) for rule in http_filter.names_of(listener.filter)]


def _known(listeners: Mapping[str, Listener], args: Mapping[str, Any]) -> str:
    name = str(args.get("listener"))
    if name not in listeners:
        raise AdminError("not_found", f"no listener is named {name}")
    return name


def cache_number(rows: Mapping[str, int], listener: Listener, route: Route | None = None) -> int:
    """Returns the number of the cache of a route, or of a listener; 0: it has none."""
    own = route.cache if route is not None else None
    return row_number(rows, own or (listener.http or ListenerHttp()).cache)


def row_number(rows: Mapping[str, int], name: str) -> int:
    """Returns the number of a cache; 0 for "off"."""
    return 0 if name == "off" else rows[name] + 1


def _compiled(route: Route, pool_rows: Mapping[str, int], slot: int, cache: int) -> routes.Route:
    limits = route.limits or RouteLimits()
    keyed = limits.requests_per_key
    return routes.Route(
        pool=_pool(route, pool_rows),
        slot=slot,
        hosts=route.host or (),
        conditions=tuple(_conditions(route)),
        percent=route.percent,
        timeout_ms=route.timeout_ms or 0,
        cache=cache if route.to_pool else 0,
        target=f"{route.rewrite_prefix}{{rest}}{{query}}" if route.rewrite_prefix else "",
        set_request=route.set_request_headers or {},
        remove_request=route.remove_request_headers or (),
        set_answer=route.set_response_headers or {},
        remove_answer=route.remove_response_headers or (),
        requests=_limit(limits.requests),
        requests_per_source=_limit(limits.requests_per_source),
        requests_per_key=_limit(limits.requests_per_key),
        key=(key_kind(keyed), request_key(keyed.key).name) if keyed else (0, ""),
    )


def _pool(route: Route, pool_rows: Mapping[str, int]) -> int | routes.Redirect | routes.Answer:
    if route.redirect is not None:
        return routes.Redirect(route.status or REDIRECT, _location(route))
    if route.respond is not None:
        return routes.Answer(route.respond.status, route.respond.content_type, _body(route.respond))
    assert route.pool is not None
    return pool_rows[route.pool]


def _location(route: Route) -> str:
    """Returns a redirect's location with all its placeholders: without any, what follows the
    prefix and the query are kept."""
    location = route.redirect or ""
    if routes.PLACEHOLDER.search(location):
        return location
    rest = "{rest}" if route.path_prefix else ""
    return f"{location}{rest}" + ("" if "?" in location else "{query}")


def _body(respond: Respond) -> bytes:
    if respond.file is None:
        return (respond.body or "").encode()
    try:
        with open(respond.file, "rb") as file:
            found = file.read(RESPOND_BYTES_MAX + 1)
    except OSError as error:
        raise L4lbError(f"cannot read {respond.file}: {error.strerror}") from None
    if len(found) > RESPOND_BYTES_MAX:
        raise L4lbError(f"{respond.file} has more than {RESPOND_BYTES_MAX >> 10} KiB")
    return found


def _conditions(route: Route) -> Iterator[routes.Condition]:
    texts = {
        "scheme": route.scheme,
        "method": route.method,
        "path": route.path,
        "path_prefix": route.path_prefix,
        "path_suffix": route.path_suffix,
        "path_regex": route.path_regex,
        "sni": route.sni,
        "source": route.source,
    }
    for kind, items in texts.items():
        if items is not None:
            yield routes.Condition(kind, items)
    fields = {"header": route.header, "cookie": route.cookie, "query": route.query}
    for kind, found in fields.items():
        for name, patterns in (found or {}).items():
            yield routes.Condition(kind, patterns, name)


def _limit(rate: RequestRate | None) -> routes.Limit:
    if rate is None:
        return routes.NO_LIMIT
    return routes.Limit(rate.limit, rate.burst or rate.limit, rate.status, rate.dry_run)


def _when(route: Route) -> str:
    """Returns a route's conditions in one line."""
    words = []
    for key in CONDITIONS:
        value = getattr(route, key)
        if isinstance(value, Mapping):
            words += [f"{key} {name} = {' | '.join(one)}" for name, one in value.items()]
        elif value is not None:
            words.append(f"{key} {' | '.join(value) if isinstance(value, tuple) else f'{value:g}'}")
    return ", ".join(words)


def _then(route: Route) -> str:
    """Returns what happens with a route's requests in one line."""
    if route.redirect is not None:
        return f"{route.status or REDIRECT} {route.redirect}"
    if route.respond is not None:
        return f"answer {route.respond.status}"
    return f"pool {route.pool}" + (f", cache {route.cache}" if route.cache else "")
