"""The policy of listeners towards clients (admission, routes, access lists), compiled into the
shared table outside of the hot path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import l4lb.native.listener_policy as native
from l4lb.clock import monotonic_ms
from l4lb.config.model import Cache, Config, Forward, Listener
from l4lb.config.rules.packet_checks import uses_packet
from l4lb.config.tables.forward import pool_name
from l4lb.errors import L4lbError
from l4lb.native import sets, settings
from l4lb.native.http_texts import publish_texts
from l4lb.native.table import Table
from l4lb.packet.plan import Numbers
from l4lb.supervisor.access.blocks import Blocks
from l4lb.supervisor.access.gate import Gate
from l4lb.supervisor.access.network_lists import Content
from l4lb.supervisor.access.network_sets import NetworkSets, Tell
from l4lb.supervisor.access.records import Records
from l4lb.supervisor.access.runtime_rules import RuntimeRules
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.table import inspections, row_settings
from l4lb.supervisor.table.caches import Caches
from l4lb.supervisor.table.http_routes import HttpRoutes, cache_number, row_number
from l4lb.supervisor.table.http_texts import HttpTexts

LOOK_MS = 1_000  # between two looks at files of lists and at blocks


class ListenerPolicy:
    """Writes the policy of listeners into one table, and keeps what it needs for later changes."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.sets = NetworkSets(table)
        self.blocks = Blocks(table, self.sets)
        self.rules = RuntimeRules(table, self.sets)
        self.caches = Caches(table)
        self.gate = Gate()
        self.records = Records()
        self._http_routes = HttpRoutes(table)
        self._listeners: Mapping[str, Listener] = {}
        self._served_by_kernel: frozenset[str] = frozenset()
        self._heads: dict[str, int] = {}
        self._texts = HttpTexts()

    def configure(
        self,
        config: Config,
        listener_rows: Mapping[tuple[str, str], int],
        pool_rows: Mapping[str, int],
    ) -> None:
        """Replaces the whole policy. Listeners and pools have their rows already.

        listener_rows: (listener name, address as text) to row. pool_rows: pool name to row. Raises
        L4lbError if a list of networks cannot be read; then nothing has changed.
        """
        with self.records.prepared(config) as folders, self.caches.prepared(config) as caches:
            texts = self._texts.compiled(config, listener_rows, pool_rows, caches)
            http_routes = self._http_routes.prepared(config, listener_rows, pool_rows, caches)
            numbers = self.sets.replace(_contents(config))
        self.records.put(config, folders)
        self.caches.put(config, _purge_sets(config, numbers))
        self._put_forwards(config, pool_rows, numbers, caches)
        groups = []
        for listener in config.listeners.values():
            rows = [listener_rows[listener.name, str(bind)] for bind in listener.bind]
            values = self._settings(config, listener, pool_rows, caches, numbers)
            values["head"] = self._heads.setdefault(listener.name, rows[0])
            for bind, row in zip(listener.bind, rows, strict=True):
                values["last_port"] = bind.last_port
                self._table.set_listener(row, name=listener.name, bind=str(bind), **values)
            groups.append((rows, list(_compiled(listener, pool_rows))))
        native.publish_routes(self._table, groups)
        publish_texts(self._table, texts)
        self._http_routes.publish(http_routes)
        self.caches.drop_others(config)
        self._listeners = config.listeners
        self._served_by_kernel = frozenset(
            name for name in config.listeners if uses_packet(config, name)
        )
        names = config.listeners.keys()
        self.rules.follow({name: rows for name, (rows, _) in zip(names, groups, strict=True)})
        self.blocks.configure(config.limits.auto_block)
        self.sets.on_change()  # why: listeners may use their sets in another way

    def guarded(self, name: str) -> tuple[Listener, Numbers] | None:
        """Returns a listener and its sets that say who may come in; None: it is not in force."""
        listener = self._listeners.get(name)
        if listener is None:
            return None

        def number(content: Content | None) -> int | None:
            return None if content is None else self.sets.number(content)

        return listener, Numbers(
            number(_trusted(listener)),
            sets.BLOCKS if self.blocks.rows else None,
            number(_forwarders(listener)),
            self.rules.number(name),
            number(_access(listener)),
            name in self._served_by_kernel,
        )

    def forget(self, worker: int) -> None:
        """Forgets what a dead worker read out of caches, and what it asked."""
        self.caches.forget(worker)
        self.gate.forget(worker)

    def is_head(self, row: int) -> bool:
        """Returns whether the row holds a listener's counts. This row stays for all changes of the
        listener's addresses."""
        return row in {self._heads[name] for name in self._listeners}

    def recycled(self, row: int) -> None:
        """Notes that this row will be given to another address."""
        self._heads = {name: head for name, head in self._heads.items() if head != row}

    def prepare(
        self,
        config: Config,
        then: Callable[[], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        """Does the slow part of configure. Then calls `then`, at once or later, which must call
        configure without delay. Calls on_fault instead if it fails; nothing has changed then."""
        self.sets.prepare(_contents(config), then, on_fault)

    def shown(self, args: Mapping[str, Any], now_ms: int) -> list[dict[str, Any]]:
        """Returns the access rules of listeners (docs/admin.md, access)."""
        return self.rules.shown(self._listeners, args, now_ms)

    def routes_shown(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the routes of an HTTP listener (docs/admin.md, routes)."""
        return self._http_routes.shown(self._listeners, args)

    def filters_shown(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the rules of an HTTP listener's filter (docs/admin.md, filters)."""
        return self._http_routes.filter_shown(self._listeners, args)

    def inspections_shown(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the rules of an HTTP listener about engines (docs/admin.md, inspections)."""
        return self._http_routes.inspections_shown(self._listeners, args)

    def records_shown(self, config: Config) -> list[dict[str, Any]]:
        """Returns the records of a configuration (docs/admin.md, records)."""
        return self.records.shown(config, self._http_routes.recorded(self._listeners))

    def records_counted(self) -> dict[str, Any]:
        """Returns what is counted of records, for the next program."""
        return self.records.counted(self._http_routes.recorded(self._listeners))

    def engine_of(self, slot: int) -> Mapping[str, str] | None:
        """Returns the listener, the rule and the engine of an event of a worker; None: the rule was
        removed."""
        found = self._http_routes.rule_of(slot)
        if found is None:
            return None
        listener, name = found
        rules = inspections.rules_of(self._listeners[listener])
        engine = next((rule.icap for rule in rules if rule.name == name), "")
        return {"listener": listener, "rule": name, "engine": engine}

    def start(self, reactor: Reactor, tell: Tell) -> None:
        """Looks at files and blocks every second from now on."""
        self.rules.tell = self.blocks.tell = tell
        self.sets.start(reactor, tell)
        self._look()
        reactor.every(LOOK_MS, self._look)

    def stop(self) -> None:
        """Ends builds that go on beside the service."""
        self.sets.stop()

    def _look(self) -> None:
        self.sets.look_at_files()
        self.blocks.tick(monotonic_ms())
        self.rules.tick(monotonic_ms())
        self.caches.look()

    def _put_forwards(
        self,
        config: Config,
        pool_rows: Mapping[str, int],
        numbers: Mapping[Content, int],
        cache_rows: Mapping[str, int],
    ) -> None:
        """Writes which pools are those of forward proxies."""
        proxies = {pool_name(name): one for name, one in config.forward.items()}
        for name in config.pools:
            proxy, row = proxies.get(name), pool_rows[name]
            private = None if proxy is None else _private(proxy)
            private_set = None if private is None else numbers[private]
            cache = 0 if proxy is None else row_number(cache_rows, proxy.cache)
            values = row_settings.of_forward(proxy, row, private_set, cache)
            settings.put(self._table, "pool", row, **values)

    def _settings(
        self,
        config: Config,
        listener: Listener,
        pool_rows: Mapping[str, int],
        cache_rows: Mapping[str, int],
        numbers: Mapping[Content, int],
    ) -> dict[str, Any]:
        trusted, access, forwarders = _trusted(listener), _access(listener), _forwarders(listener)
        return row_settings.of_listener(
            listener,
            config.pools,
            hello=looks_for_hello(config, listener),
            anonymous=listener.forward is not None and config.forward[listener.forward].anonymous,
            pool=pool_rows[listener.main_pool],
            trusted_set=None if trusted is None else numbers[trusted],
            access_set=None if access is None else numbers[access],
            http_trusted_set=None if forwarders is None else numbers[forwarders],
            rules_set=self.rules.number(listener.name),
            http_cache=cache_number(cache_rows, listener),
        )


def _contents(config: Config) -> list[Content]:
    """Returns the contents of every set that the configuration needs."""
    found = [
        content
        for listener in config.listeners.values()
        for content in (_trusted(listener), _access(listener), _forwarders(listener))
    ]
    found += map(_purgers, config.cache.values())
    found += map(_private, config.forward.values())
    return [content for content in found if content is not None]


def _purge_sets(config: Config, numbers: Mapping[Content, int]) -> dict[str, int | None]:
    """Returns for each cache the set of those that may purge."""
    return {
        name: None if (content := _purgers(cache)) is None else numbers[content]
        for name, cache in config.cache.items()
    }


def _purgers(cache: Cache) -> Content | None:
    return Content.of_networks(cache.purge.networks) if cache.purge is not None else None


def _private(forward: Forward) -> Content | None:
    """Returns the private networks that a forward proxy's clients may reach."""
    return Content.of_networks(forward.allow_private) if forward.allow_private else None


def _trusted(listener: Listener) -> Content | None:
    return Content.of_networks(listener.trusted) if listener.trusted else None


def _forwarders(listener: Listener) -> Content | None:
    """Returns the networks whose X-Forwarded-* fields are believed."""
    trusted = listener.http.trusted if listener.http is not None else ()
    return Content.of_networks(trusted) if trusted else None


def _access(listener: Listener) -> Content | None:
    return None if listener.access is None else Content.of_access(listener.access)


def looks_for_hello(config: Config, listener: Listener) -> str:
    """Returns whether the listener reads ClientHellos: "needs" if they decide about a backend,
    "likes" if a backend is only told about them, "no" if neither."""
    pools = [config.pools[name] for name in listener.pools]
    looks = (*listener.routes, *([listener.filter] if listener.filter is not None else ()))
    if any(one.reads_hello for one in looks) or any(
        (pool.balance in ("ip_hash", "maglev") and pool.hash_key == "sni")
        or (pool.sticky is not None and pool.sticky.key == "sni")
        for pool in pools
    ):
        return "needs"
    told = any(
        pool.send_proxy == "v2" and {"authority", "alpn"} & set(pool.proxy_tlvs) for pool in pools
    )
    return "likes" if told else "no"


def _compiled(listener: Listener, pool_rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yields one row for each combination of a route's names, protocols and networks. Routes of
    requests are in http_routes.py."""
    for route in () if listener.protocol == "http" else listener.routes:
        assert route.pool is not None
        if route.source_mac is not None:
            continue  # the kernel's: a worker sees no frames
        ways = list(
            itertools.product(route.sni or (None,), route.alpn or (None,), route.source or (None,))
        )
        for left, (sni, alpn, source) in zip(reversed(range(len(ways))), ways, strict=True):
            yield {
                "pool": pool_rows[route.pool],
                "sni": sni,
                "alpn": alpn,
                "source": source,
                "percent": route.percent,
                "goes_on": left > 0,
            }
