"""The texts for HTTP that a configuration has, for csrc/core/http_texts.h.

A reload reads error pages in a child before it begins (cli/run.py), and is refused if one cannot be
read. A folder that is lost later, such as between a reload and an upgrade, costs its pages only.
The last ones that were read stay, or l4lb's own line of text is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import l4lb.log
from l4lb.config.bounds import SECOND_MS
from l4lb.config.model import Cache, Config, Forward, Listener, Pool
from l4lb.config.tables.forward import pool_name
from l4lb.config.tables.http import ListenerHttp, PoolHttp
from l4lb.config.tables.listener_limits import ListenerLimits
from l4lb.config.values.http import request_key
from l4lb.errors import L4lbError
from l4lb.http import pages, texts
from l4lb.native.http_texts import HOSTS, TEXTS_BYTES

LOG = l4lb.log.get("supervisor")


class HttpTexts:
    """Compiles texts, and remembers the pages that were read."""

    def __init__(self) -> None:
        self._pages: dict[str, Mapping[int, texts.Page]] = {}
        self._of_rules: dict[str, texts.Page] = {}  # by path

    def compiled(
        self,
        config: Config,
        listener_rows: Mapping[tuple[str, str], int],
        pool_rows: Mapping[str, int],
        cache_rows: Mapping[str, int],
    ) -> bytes:
        """Returns all texts. listener_rows: (listener name, address as text) to row. Raises
        L4lbError if they are too long together."""
        listeners = [
            ([listener_rows[name, str(bind)] for bind in one.bind], self._of_listener(one))
            for name, one in config.listeners.items()
            if one.protocol == "http"
        ]
        pools = [
            (pool_rows[name], its)
            for name, pool in config.pools.items()
            if (its := of_pool(pool)) != texts.PoolTexts()
        ]
        pools += [
            (pool_rows[pool_name(name)], texts.PoolTexts(pages=pages_of_rules))
            for name, forward in config.forward.items()
            if (pages_of_rules := self._of_forward(forward))
        ]
        caches = [(cache_rows[name], of_cache(cache)) for name, cache in config.cache.items()]
        found = texts.compiled(listeners, pools, caches)
        if len(found) > TEXTS_BYTES:
            raise L4lbError(
                f"the pages of all listeners and rules have more than {TEXTS_BYTES >> 20} MiB"
                " together"
            )
        return found

    def _of_listener(self, listener: Listener) -> texts.ListenerTexts:
        rules, limits = listener.http or ListenerHttp(), listener.limits or ListenerLimits()
        rate = limits.requests_per_key
        return texts.ListenerTexts(
            request_id="" if rules.request_id == "off" else rules.request_id,
            via="" if rules.via == "off" else rules.via,
            hsts="" if rules.hsts_ms is None else f"max-age={rules.hsts_ms // 1000}",
            limit_key=request_key(rate.key).name if rate else "",
            hide=rules.hide,
            pages={} if rules.errors is None else self._read(rules.errors),
        )

    def _of_forward(self, forward: Forward) -> dict[str, texts.Page]:
        """Returns the pages of a forward proxy's rules, by their names."""
        found = {}
        for rule in forward.rules:
            try:
                if rule.page is not None:
                    self._of_rules[rule.page] = pages.read_page(rule.page)
            except L4lbError as error:
                LOG.warning("the page of a rule cannot be read", why=error.message)
            if rule.page in self._of_rules:
                found[rule.name] = self._of_rules[rule.page]
        return found

    def _read(self, folder: str) -> Mapping[int, texts.Page]:
        try:
            self._pages[folder] = pages.read(folder)
        except L4lbError as error:
            LOG.warning("error pages cannot be read", why=error.message)
        return self._pages.get(folder, {})


def of_pool(pool: Pool) -> texts.PoolTexts:
    """Returns a pool's texts."""
    host = (pool.http or PoolHttp()).host
    cookie = pool.sticky.cookie if pool.sticky else None
    hashed, known = request_key(pool.hash_key), request_key(pool.sticky.key if pool.sticky else "")
    return texts.PoolTexts(
        host="" if host in HOSTS else host,
        cookie=cookie.name if cookie else "",
        cookie_attributes=cookie.attributes if cookie else "",
        hash_name=hashed.name,
        sticky_name=known.name,
    )


def of_cache(cache: Cache) -> texts.CacheTexts:
    """Returns a cache's texts."""
    return texts.CacheTexts(
        status="" if cache.status == "off" else cache.status,
        tags="" if cache.tags == "off" else cache.tags,
        purge=cache.purge.method if cache.purge else "",
        ignored=cache.ignore_query,
        cookies=cache.ignore_cookies,
        targeted=cache.cdn_cache_control,
        statuses={int(status): time // SECOND_MS for status, time in cache.statuses.items()},
    )
