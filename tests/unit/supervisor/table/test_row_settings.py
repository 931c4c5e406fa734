"""Every number of the configuration that the shared table has is written, from where it stands."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Cache, Config
from l4lb.config.origin import Origin
from l4lb.native import settings
from l4lb.native.cache import KEY_PARTS
from l4lb.supervisor.table import row_settings
from tests.unit.supervisor.tables import closed_port, table_of

LATER = {"tls_profile", "tls_ends_s"}  # once the bundle with its profiles is known
# Whoever has a limit of this kind has no such key.
NEVER = {
    "limits_connections_burst",
    "limits_connections_per_source_burst",
    *(f"limits_bandwidth_per_{kind}_{key}" for kind in ("session", "source")
      for key in ("burst", "refusal")),
}  # fmt: skip


def config() -> Config:
    """All tables that settings are in are there."""
    limit = {"limit": 7, "refusal": "tarpit", "dry_run": True}
    listener: dict[str, Any] = {
        "bind": ["127.0.0.1:7000"],
        "protocol": "http",
        "pool": "web",
        "tls": {"certificates": [{"cert": "/c.pem", "key": "/k.pem"}], "max_handshakes": 5},
        "access": {"allow": ["10.0.0.0/8"], "refusal": "drop", "dry_run": True},
        "limits": {
            "connections": limit,
            "rate": {**limit, "burst": 9},
            "connections_per_source": limit,
            "rate_per_source": limit,
            "bandwidth_per_session": {"limit": "2KiB", "dry_run": True},
            "bandwidth_per_source": {"limit": "3KiB", "dry_run": True},
            "errors_per_source": {"limit": 4, "statuses": [404, "500-503"]},
            "source_prefix": [24, 56],
            "first_byte_timeout": "3s",
            "max_age": "1h",
        },
    }
    pool: dict[str, Any] = {
        "backends": ["127.0.0.1:1"],
        "hash_prefix": [20, 48],
        "hash_balance_factor": "150%",
        "queue": {"length": 11, "timeout": "6s"},
        "sticky": {"ttl": "5m", "prefix": [16, 40]},
        "passive": {"failures": 4},
    }
    cache = {
        "key": ["scheme", "path", "query"],
        "default_ttl": "2m",
        "max_ttl": "1h",
        "stale_if_error": "9s",
        "collapse_timeout": "700ms",
    }
    tables = {"listeners": {"front": listener}, "pools": {"web": pool}, "cache": {"pages": cache}}
    return build(tables, Origin())


SETS = {"trusted_set", "rules_set", "http_trusted_set", "purge_set", "forward_private_set"}


def listener_settings(found: Config) -> dict[str, Any]:
    (listener,) = found.listeners.values()
    known = {
        "pool": 0, "head": 0, "trusted_set": None, "access_set": 1, "rules_set": None,
        "http_trusted_set": None, "http_cache": 0, "last_port": 0,
    }  # fmt: skip
    return row_settings.of_listener(listener, found.pools, hello="no", **known)


def written(kind: str, found: Config) -> dict[str, Any]:
    if kind == "table":
        return row_settings.of_table(found)
    if kind == "pool":
        forward = row_settings.of_forward(None, 0, None)
        return row_settings.of_pool(found.pools["web"]) | forward
    if kind == "cache":
        return row_settings.of_cache(found.cache["pages"], 1 << 20, None)
    return listener_settings(found)


@pytest.mark.parametrize("kind", settings.PATHS)
def test_every_setting_of_a_row_is_written_and_none_is_looked_for_where_nothing_is(
    kind: str,
) -> None:
    values = written(kind, config())
    assert values.keys() | LATER >= settings.PATHS[kind].keys()
    assert values.keys() <= settings.PATHS[kind].keys()
    absent = {name for name, value in values.items() if value is None}
    assert absent - SETS <= NEVER


def test_values_come_from_where_they_stand_in_the_configuration() -> None:
    pool = row_settings.of_pool(config().pools["web"])
    assert pool["queue_length"] == 11
    assert pool["queue_timeout_ms"] == 6_000
    assert (pool["hash_prefix_ipv4"], pool["hash_prefix_ipv6"]) == (20, 48)
    assert (pool["sticky_prefix_ipv4"], pool["sticky_prefix_ipv6"]) == (16, 40)
    assert (pool["sticky_key"], pool["sticky_ttl_ms"]) == ("source_ip", 300_000)
    assert pool["passive_failures"] == 4
    assert pool["maglev_size"] == 0  # it is no maglev pool
    listener = listener_settings(config())
    assert listener["limits_rate_burst"] == 9
    assert listener["limits_rate_per_source_burst"] == 7  # as many as its limit
    assert (listener["access_refusal"], listener["access_dry_run"]) == ("drop", True)
    assert listener["limits_max_age_ms"] == 3_600_000


def test_settings_of_a_table_that_is_absent_are_written_as_nothing() -> None:
    """A row may have been another pool's before."""
    plain = build(
        {
            "listeners": {"front": {"bind": ["127.0.0.1:7000"], "pool": "web"}},
            "pools": {"web": {"backends": ["127.0.0.1:1"]}},
        },
        Origin(),
    )
    pool = row_settings.of_pool(plain.pools["web"])
    assert pool["queue_length"] is pool["sticky_ttl_ms"] is pool["passive_failures"] is None
    table = table_of({"web": {"a": closed_port()}})
    table.set_pool(0, name="web", **row_settings.of_pool(config().pools["web"]))
    assert (table.pools()[0].queue_length, table.pools()[0].sticky_ttl_ms) == (11, 300_000)
    table.set_pool(0, name="web", **pool)
    assert (table.pools()[0].queue_length, table.pools()[0].sticky_ttl_ms) == (0, 0)


def test_a_setting_that_is_none_or_too_large_is_refused() -> None:
    table = table_of({"web": {"a": closed_port()}})
    with pytest.raises(TypeError, match="no setting retrys"):
        settings.put(table, "pool", 0, retrys=1)
    with pytest.raises(ValueError, match="retries: 4294967296 is too large"):
        settings.put(table, "pool", 0, retries=1 << 32)
    with pytest.raises(IndexError):
        settings.put(table, "pool", 1 << 20, retries=1)
    with pytest.raises(ValueError, match="not in tuple"):
        settings.put(table, "pool", 0, balance="by_magic")


def test_a_cache_has_its_times_in_seconds_and_its_key_as_bits() -> None:
    values = written("cache", config())
    assert values["key_parts"] == KEY_PARTS["scheme"] | KEY_PARTS["query"]
    assert (values["default_ttl_s"], values["max_ttl_s"], values["stale_if_error_s"]) == (
        120, 3600, 9,
    )  # fmt: skip
    assert (values["heuristic_percent"], values["collapse_ms"]) == (10, 700)
    alone = Cache.model_validate({"collapse": False})
    assert row_settings.of_cache(alone, 1, None)["collapse_ms"] == 0
