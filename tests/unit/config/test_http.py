"""[listeners.NAME.http] and [pools.NAME.http]: defaults, forms of values, and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.config.tables.http import ListenerHttp, PoolHttp
from l4lb.errors import ConfigError

TLS = {"certificates": [{"cert": "/c.pem"}]}


def config(
    http: dict[str, Any] | None = None, pool: dict[str, Any] | None = None, **listener: Any
) -> Config:
    table = {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "a", **listener}
    if http is not None:
        table["http"] = http
    backends = {"backends": ["127.0.0.1:2"]} | ({} if pool is None else {"http": pool})
    return build({"listeners": {"web": table}, "pools": {"a": backends}}, Origin())


def warnings(*args: Any, **keys: Any) -> list[str]:
    return [str(one) for one in config(*args, **keys).warnings]


def test_what_is_left_out_is_as_documented() -> None:
    listener, pool = ListenerHttp(), PoolHttp()
    assert (listener.head_timeout_ms, listener.rest_timeout_ms) == (10_000, 60_000)
    assert (listener.max_head, listener.max_fields, listener.max_target) == (32 << 10, 100, 8 << 10)
    assert (listener.max_body, listener.max_requests) == (1 << 20, 1_000)
    assert (listener.forwarded_given, listener.underscores, listener.via) == (None, "drop", "off")
    assert (listener.errors, listener.hsts_ms, listener.https_redirect) == (None, None, False)
    assert (pool.reuse, pool.idle_connections, pool.idle_timeout_ms) == ("safe", 64, 30_000)
    assert (pool.max_requests, pool.answer_timeout_ms) == (10_000, 60_000)
    assert (pool.retry_on, pool.retry_budget_percent) == (("connect", "reuse"), 20)
    assert (pool.retry_body, pool.host) == (64 << 10, "keep")


@pytest.mark.parametrize(
    "host", ["keep", "backend", "app.example", "app.example:8080", "10.0.0.1", "[::1]:80", "[::1]"]
)
def test_backends_are_sent_the_host_that_is_written(host: str) -> None:
    found = config(pool={"host": host}).pools["a"].http
    assert found is not None
    assert found.host == host


@pytest.mark.parametrize(
    "host", ["", "a:", "a:65536", "a:+1", ":80", "a/b", "::1", "[::1", "[a]", "a b", "a\r\nX: y"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is not a host"):
        config(pool={"host": host})


def test_many_hidden_fields_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="at most 32 elements, not 33"):
        config({"hide": [f"X-{number}" for number in range(33)]})


def test_hsts_without_tls_is_a_warning() -> None:
    (told,) = warnings({"hsts": "180d"})
    assert told.startswith("listeners.web.http.hsts: has no effect: browsers ignore it")
    assert warnings({"hsts": "180d"}, tls=TLS) == []


def test_a_redirect_to_https_of_clients_that_use_it_is_a_warning() -> None:
    (told,) = warnings({"https_redirect": True}, tls=TLS)
    assert told.startswith("listeners.web.http.https_redirect: has no effect")
    assert warnings({"https_redirect": True}) == []
    assert warnings({"https_redirect": False}, tls=TLS) == []


def test_trust_in_everybody_is_a_warning() -> None:
    told = warnings({"trusted": ["10.0.0.0/8", "0.0.0.0/0", "::/0"]})
    assert [one.partition(": ")[0] for one in told] == [
        "listeners.web.http.trusted[1]",
        "listeners.web.http.trusted[2]",
    ]


def test_keys_of_connections_that_nobody_reuses_are_a_warning() -> None:
    told = warnings(pool={"reuse": "never", "idle_connections": 3, "idle_timeout": "3s"})
    assert [one.partition(": ")[0] for one in told] == [
        "pools.a.http.idle_connections",
        "pools.a.http.idle_timeout",
    ]


def test_sockets_of_http_are_those_of_tcp() -> None:
    assert config().listeners["web"].transport == "tcp"
    with pytest.raises(ConfigError, match="is already bound"):
        build(
            {
                "listeners": {
                    "a": {"bind": ["127.0.0.1:1"], "pool": "a"},
                    "b": {"bind": ["127.0.0.1:1"], "pool": "a", "protocol": "http"},
                    "c": {"bind": ["127.0.0.1:1"], "pool": "a", "protocol": "udp"},
                },
                "pools": {"a": {"backends": ["127.0.0.1:2"]}},
            },
            Origin(),
        )
