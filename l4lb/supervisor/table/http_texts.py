"""The texts for HTTP that a configuration has, for csrc/core/http_texts.h."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.config.model import Config, Pool
from l4lb.config.tables.http import ListenerHttp, PoolHttp
from l4lb.errors import L4lbError
from l4lb.http import pages, texts
from l4lb.native.http_texts import HOSTS, TEXTS_BYTES


def compiled(
    config: Config,
    listener_rows: Mapping[tuple[str, str], int],
    pool_rows: Mapping[str, int],
) -> bytes:
    """Returns all texts. listener_rows: (listener name, address as text) to row. Raises L4lbError
    if a page cannot be read, or if they are too long together."""
    listeners = [
        ([listener_rows[name, str(bind)] for bind in one.bind], of_listener(one.http))
        for name, one in config.listeners.items()
        if one.protocol == "http"
    ]
    pools = [
        (pool_rows[name], its)
        for name, pool in config.pools.items()
        if (its := of_pool(pool)) != texts.PoolTexts()
    ]
    found = texts.compiled(listeners, pools)
    if len(found) > TEXTS_BYTES:
        raise L4lbError(
            f"the error pages of all listeners have more than {TEXTS_BYTES >> 20} MiB together"
        )
    return found


def of_pool(pool: Pool) -> texts.PoolTexts:
    """Returns a pool's texts."""
    host = (pool.http or PoolHttp()).host
    cookie = pool.sticky.cookie if pool.sticky else None
    return texts.PoolTexts(
        host="" if host in HOSTS else host,
        cookie=cookie.name if cookie else "",
        cookie_attributes=cookie.attributes if cookie else "",
    )


def of_listener(http: ListenerHttp | None) -> texts.ListenerTexts:
    """Returns a listener's texts. Raises L4lbError if an error page cannot be read."""
    rules = http or ListenerHttp()
    return texts.ListenerTexts(
        request_id="" if rules.request_id == "off" else rules.request_id,
        via="" if rules.via == "off" else rules.via,
        hsts="" if rules.hsts_ms is None else f"max-age={rules.hsts_ms // 1000}",
        hide=rules.hide,
        pages=pages.read(rules.errors) if rules.errors is not None else {},
    )
