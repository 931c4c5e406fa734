"""Listeners with data_path: what the kernel cannot do for them is refused with its key, and the
rest is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from l4lb.config.origin import path_text
from l4lb.config.reading.parse import loads
from l4lb.config.reading.resolve import Answer, resolve
from l4lb.config.rules import packet_checks
from l4lb.config.rules.packet_checks import packet_reasons, uses_packet
from l4lb.config.schema import names_below
from l4lb.errors import ConfigError

from .packet_services import UDP, built, service, told

REFERENCE = Path(__file__).parents[4] / "docs" / "configuration.md"
ACCESS = {"deny": ["10.0.0.0/8"], "refusal": "drop"}
TLS = {"certificates": [{"cert": "/etc/a.pem"}]}
# What the kernel does, or what has no part in it: every key of a table is here or is refused.
FOLLOWED = {
    "listeners": {
        "bind", "protocol", "data_path", "pool", "routes", "access", "limits",
        "mode", "owner", "group",  # of unix sockets, which are refused
        "trusted",  # beside proxy_protocol
        "forward", "http", "filter",  # of protocols that are refused
    },
    "pools": {
        "backends", "discovery", "health", "alert", "on_down", "when_all_down", "all_backups",
        "balance", "hash_key", "hash_prefix", "hash_balance_factor", "maglev_size", "source",
        "transparent", "dsr", "hand_over", "idle_timeout",
        "quic",  # beside hash_key
        "proxy_tlvs",  # beside send_proxy
        "sticky_during_drain",  # beside sticky
        "http",  # of a protocol that is refused
    },
}  # fmt: skip

# Keys of a listener and of its pool that are refused, and where; protocol and process beside them.
OF_LISTENERS: list[tuple[dict[str, Any], str]] = [
    ({"interface": "eth0"}, "interface"),
    ({"mark": 7}, "mark"),
    ({"dscp": 0}, "dscp"),
    (
        {"routes": [{"source_mac": "02:00:00:00:00:01", "source": "10.0.0.0/8", "pool": "web"}]},
        "routes[0].source_mac",
    ),
    ({"keepalive": True}, "keepalive"),
    ({"keepalive": {"idle": "1m"}}, "keepalive"),
    ({"user_timeout": "5s"}, "user_timeout"),
    ({"protocol": "http"}, "protocol"),
    ({"protocol": "udp", "max_amplification": 3}, "max_amplification"),
    ({"protocol": "udp", "max_sessions_per_source": 3}, "max_sessions_per_source"),
    ({"protocol": "udp", "reject_privileged_ports": True}, "reject_privileged_ports"),
    ({"routes": [{"sni": "a.example", "pool": "web"}]}, "routes[0].sni"),
    ({"routes": [{"alpn": "h2", "pool": "web"}]}, "routes[0].alpn"),
    ({"routes": [{"percent": 5, "pool": "web"}]}, "routes[0].percent"),
    ({"handshake_timeout": "3s"}, "handshake_timeout"),
    ({"tls": TLS}, "tls"),
    ({"transparent": True}, "transparent"),
    ({"mptcp": True}, "mptcp"),
    ({"proxy_protocol": "accept", "trusted": ["10.0.0.1"]}, "proxy_protocol"),
    ({"bind": ["unix:/run/a"]}, "bind[0]"),
    ({"access": {"deny": ["10.0.0.0/8"]}}, "access.refusal"),
    ({"access": {**ACCESS, "refusal": "tarpit"}}, "access.refusal"),
    ({"access": {**ACCESS, "dry_run": True}}, "access.dry_run"),
    ({"limits": {"connections": 5}}, "limits.connections"),
    ({"limits": {"rate": 5}}, "limits.rate"),
    ({"limits": {"connections_per_source": {"limit": 5}}}, "limits.connections_per_source"),
    ({"limits": {"rate_per_source": 5}}, "limits.rate_per_source.refusal"),
    (
        {"limits": {"rate_per_source": {"limit": 5, "refusal": "drop", "dry_run": True}}},
        "limits.rate_per_source.dry_run",
    ),
    ({"limits": {"bandwidth_per_session": "1MiB"}}, "limits.bandwidth_per_session"),
    ({"limits": {"bandwidth_per_source": "1MiB"}}, "limits.bandwidth_per_source"),
    ({"limits": {"first_byte_timeout": "1s"}}, "limits.first_byte_timeout"),
    ({"limits": {"max_age": "1h"}}, "limits.max_age"),
]
OF_POOLS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"interface": "eth0"}, "interface"),
    ({}, {"mark": 7}, "mark"),
    ({}, {"dscp": "ef"}, "dscp"),
    ({}, {"keepalive": True}, "keepalive"),
    ({}, {"user_timeout": "5s"}, "user_timeout"),
    ({}, {"balance": "least_connections"}, "balance"),
    ({}, {"balance": "least_response_time"}, "balance"),
    ({}, {"balance": "maglev", "hash_key": "sni"}, "hash_key"),
    (UDP, {"hash_key": "quic_cid"}, "hash_key"),
    ({}, {"balance": "ip_hash", "hash_balance_factor": "150%"}, "hash_balance_factor"),
    ({}, {"slow_start": "30s"}, "slow_start"),
    ({}, {"connect_timeout": "3s"}, "connect_timeout"),
    ({}, {"half_closed_timeout": "3s"}, "half_closed_timeout"),
    ({}, {"retries": 3}, "retries"),
    ({}, {"max_connections": 9}, "max_connections"),
    (
        {},
        {"backends": [{"address": "10.0.0.1:80", "max_connections": 9}]},
        "backends[0].max_connections",
    ),
    ({}, {"queue": {}, "max_connections": 9}, "queue"),
    (UDP, {"requests": 1}, "requests"),
    (UDP, {"per_datagram": True}, "per_datagram"),
    (UDP, {"responses": 1}, "responses"),
    ({}, {"send_proxy": "v2"}, "send_proxy"),
    (UDP, {"proxy_protocol_udp": "each"}, "proxy_protocol_udp"),
    ({}, {"agent": {"port": 9}}, "agent"),
    ({}, {"passive": {}}, "passive"),
    ({}, {"sticky": {}}, "sticky"),
    ({}, {"tls": {}}, "tls"),
    ({}, {"backends": ["unix:/run/a"]}, "backends[0]"),
    ({}, {"backends": ["10.0.0.1:80", "[::1]:80"]}, "backends[1]"),
]
ALL = [
    *((listener, {}, f"listeners.web.{key}") for listener, key in OF_LISTENERS),
    *((listener, pool, f"pools.web.{key}") for listener, pool, key in OF_POOLS),
]


def reasons(data: dict[str, Any]) -> list[str]:
    """Returns the keys for which the kernel cannot serve a listener whose data_path is "auto"."""
    data["listeners"]["web"]["data_path"] = "auto"
    return [path_text(path) for path, why in packet_reasons(built(data), "web") if why]


@pytest.mark.parametrize(("listener", "pool", "key"), ALL, ids=[key for *_, key in ALL])
def test_what_the_kernel_cannot_do_is_refused_and_auto_leaves_it_to_workers(
    listener: dict[str, Any], pool: dict[str, Any], key: str
) -> None:
    message = told(service(listener, pool))
    assert f'{key}: does not go with data_path = "packet"' in message
    assert 'data_path = "proxy" can)' in message
    data = service(listener, pool)
    if "source_mac" in str(data):
        return  # auto is never for it
    found = reasons(data)
    assert key in found
    assert len(found) == message.count("does not go with")
    assert not uses_packet(built(data), "web")
    data["listeners"]["web"]["data_path"] = "proxy"
    assert not uses_packet(built(data), "web")


def test_every_refusal_has_a_case_above() -> None:
    tried = {key.replace("[0]", ".*").replace("[1]", ".*") for *_, key in ALL}
    rows = {
        f"{table}.web.{row.key}"
        for table, found in (("listeners", packet_checks.LISTENERS), ("pools", packet_checks.POOLS))
        for row in found
    }
    assert rows <= tried


@pytest.mark.parametrize("table", ["listeners", "pools"])
def test_every_key_is_followed_or_refused(table: str) -> None:
    rows = {"listeners": packet_checks.LISTENERS, "pools": packet_checks.POOLS}[table]
    refused = {row.key.partition(".")[0] for row in rows}
    assert set(names_below((table, "x"))) == FOLLOWED[table] | refused


@pytest.mark.parametrize(
    ("listener", "pool"),
    [
        ({}, {}),
        ({"bind": ["10.0.0.9:80-90", "here.example:91"]}, {}),
        ({"bind": ["[::]:80"]}, {"backends": ["[::1]:80", "there.example:80"]}),
        ({"access": ACCESS, "limits": {"source_prefix": [24, 48]}}, {}),
        ({"limits": {"rate_per_source": {"limit": 5, "burst": 9, "refusal": "drop"}}}, {}),
        ({"protocol": "udp", "access": {"deny": ["10.0.0.0/8"]}}, {"on_down": "keep"}),
        (
            {
                "routes": [
                    {"source_mac": "02:00:00:00:00:01", "pool": "web"},
                    {"source": "10.0.0.0/8", "pool": "web"},
                ]
            },
            {},
        ),
        ({}, {"balance": "maglev", "hash_key": "source_mac", "maglev_size": 251}),
        ({}, {"balance": "ip_hash", "hash_prefix": [24, 64]}),
        ({}, {"source": ["10.0.0.5"], "idle_timeout": "1h", "when_all_down": "try_all"}),
        ({}, {"transparent": True, "health": {}, "alert": ["/bin/true"]}),
        ({}, {"dsr": "mac"}),
        # What is off, and what another key leaves without effect.
        ({"mptcp": False, "proxy_protocol": "off", "keepalive": False}, {"retries": 0}),
        ({"protocol": "udp", "max_amplification": 0}, {"slow_start": "0s", "requests": 0}),
    ],
)
def test_the_rest_is_taken_and_the_kernel_serves_it(
    listener: dict[str, Any], pool: dict[str, Any]
) -> None:
    data = service(listener, pool)
    assert uses_packet(built(data), "web")
    if "dsr" not in pool and "source_mac" not in str(data):
        assert reasons(data) == []
        assert uses_packet(built(data), "web")


def test_a_key_of_another_listener_s_protocol_does_not_matter() -> None:
    dns = {"bind": ["0.0.0.0:80"], "protocol": "udp", "data_path": "packet", "pool": "web"}
    data = service({"data_path": "proxy"}, {"connect_timeout": "5s", "retries": 5})
    data["listeners"]["dns"] = dns
    assert uses_packet(built(data), "dns")


def test_the_pools_of_routes_count() -> None:
    data = service({"routes": [{"source": "10.0.0.0/8", "pool": "canary"}]})
    data["pools"]["canary"] = {"backends": ["10.0.0.2:80"], "retries": 5}
    assert "pools.canary.retries: does not go with" in told(data)


def test_the_message_names_the_line_and_the_listener() -> None:
    text = (
        '[process.packet]\ninterfaces = ["eth0"]\n[listeners.web]\nbind = [":80"]\npool = "a"\n'
        'data_path = "packet"\n[pools.a]\nbackends = ["10.0.0.1:80"]\nqueue = { length = 5 }\n'
    )
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.toml")
    assert str(caught.value) == (
        'f.toml:9: pools.a.queue: does not go with data_path = "packet" of listeners.web: '
        'the kernel holds no packet back (data_path = "proxy" can)'
    )


def test_a_name_of_another_ip_version_is_refused_when_it_is_looked_up() -> None:
    config = built(service(pool={"backends": ["there.example:80"]}))
    with pytest.raises(ConfigError, match="does not translate between IPv4 and IPv6"):
        resolve(config, look_up=lambda *_: {"there.example": Answer(["2001:db8::1"])})
    found = resolve(config, look_up=lambda *_: {"there.example": Answer(["10.0.0.1"])})
    assert uses_packet(found, "web")


@pytest.mark.parametrize("path", ["packet", "auto"])
def test_the_kernel_serves_nobody_without_its_table(path: str) -> None:
    data = service({"data_path": path})
    del data["process"]
    assert f'listeners.web.data_path: "{path}" needs [process.packet] (such as' in told(data)


@pytest.mark.parametrize("packet", [{"shield": "off"}, {"dry_run": True}])
def test_an_access_list_needs_the_kernel_to_turn_clients_away(packet: dict[str, Any]) -> None:
    (key,) = packet
    message = told(service({"access": ACCESS}, packet=packet))
    assert "listeners.web.access: does not go with" in message
    assert f"process.packet.{key} leaves it to workers" in message
    assert uses_packet(built(service(packet=packet)), "web")


def test_blocked_clients_get_no_answer() -> None:
    limits = {"auto_block": {"refusal": "reject"}}
    assert "limits.auto_block.refusal: does not go with" in told(service(limits=limits))
    assert reasons(service(limits=limits)) == ["limits.auto_block.refusal"]
    assert uses_packet(built(service(UDP, limits=limits)), "web")


@pytest.mark.parametrize("kind", ["listeners", "pools"])
def test_the_reference_names_what_is_refused(kind: str) -> None:
    section = REFERENCE.read_text().partition("\n### data_path\n")[2].partition("\n### ")[0]
    rows = {"listeners": packet_checks.LISTENERS, "pools": packet_checks.POOLS}[kind]
    for key in (row.key.removeprefix("routes.*.").removeprefix("backends.*.") for row in rows):
        assert f"`{key}`" in section or f"`{key} = " in section


def test_the_example_of_the_reference_is_taken_without_a_warning() -> None:
    section = REFERENCE.read_text().partition("\n### data_path\n")[2].partition("\n### ")[0]
    config = loads(section.partition("```toml\n")[2].partition("```")[0], "l4lb.toml")
    assert uses_packet(config, "web")
    assert config.warnings == ()
