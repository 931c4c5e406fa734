"""Keys that only the kernel follows, sessions that are handed over to it, and [process.packet]."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.diff import compare, needs_start
from l4lb.config.plain import carried, of_carried, to_plain, to_stated
from l4lb.config.rules.hand_over import hands_over
from l4lb.config.rules.packet_checks import uses_packet
from l4lb.config.values.http import request_key

from .packet_services import built, service, told


@pytest.mark.parametrize("path", ["proxy", "auto"])
@pytest.mark.parametrize(
    ("listener", "pool", "message"),
    [
        (
            {"routes": [{"source_mac": ["02:00:00:00:00:01"], "pool": "web"}]},
            {},
            (
                'listeners.web.routes[0].source_mac: needs data_path = "packet" of listeners.web '
                '(write source, or write data_path = "packet" in [listeners.web])'
            ),
        ),
        (
            {},
            {"balance": "maglev", "hash_key": "source_mac"},
            'pools.web.hash_key: needs data_path = "packet" of listeners.web (write source_ip, or',
        ),
        ({}, {"dsr": "ipip"}, 'pools.web.dsr: needs data_path = "packet" of listeners.web (remove'),
    ],
)
def test_a_worker_cannot_do_them(
    path: str, listener: dict[str, Any], pool: dict[str, Any], message: str
) -> None:
    assert message in told(service({**listener, "data_path": path}, pool))
    assert built(service(listener, pool))


def test_one_proxied_listener_of_a_pool_is_enough_to_refuse_dsr() -> None:
    data = service(pool={"dsr": "mac"})
    data["listeners"]["other"] = {"bind": ["127.0.0.1:80"], "protocol": "udp", "pool": "web"}
    assert 'needs data_path = "packet" of listeners.other' in told(data)


@pytest.mark.parametrize(
    ("listener", "pool", "message"),
    [
        (
            {},
            {"backends": ["10.0.0.1:80", "10.0.0.2:8080"]},
            (
                "pools.web.backends[1]: with dsr a backend gets packets at the port of "
                "listeners.web.bind[0], 80, not 8080 (write 80, or remove dsr)"
            ),
        ),
        (
            {"bind": ["0.0.0.0:80", "0.0.0.0:90-91"]},
            {},
            "listeners.web.bind[1]: a range of ports does not go with dsr of pools.web",
        ),
        (
            {},
            {"discovery": {"type": "dns", "name": "a.example", "port": 81}},
            "pools.web.discovery.port: with dsr",
        ),
    ],
)
def test_direct_server_return_changes_no_port(
    listener: dict[str, Any], pool: dict[str, Any], message: str
) -> None:
    assert message in told(service(listener, {"dsr": "mac", **pool}))
    assert built(service(listener, pool))


@pytest.mark.parametrize(
    ("given", "kept"),
    [("02:00:00:00:00:aB", ("02:00:00:00:00:ab",)), (["00:00:5e:00:53:01"],) * 2],
)
def test_a_mac_address_is_kept_in_one_form(given: Any, kept: Any) -> None:
    config = built(service({"routes": [{"source_mac": given, "pool": "web"}]}))
    assert config.listeners["web"].routes[0].source_mac == tuple(kept)


def test_workers_hash_the_address_where_the_kernel_hashes_that_of_the_frame() -> None:
    assert request_key("source_mac") == request_key("source_ip") == ("source_ip", "")


# ---- sessions that are handed over ---------------------------------------------------------------


def games(pool: dict[str, Any], **listener: Any) -> dict[str, Any]:
    return service({"protocol": "udp", "data_path": "proxy", **listener}, pool)


def test_sessions_are_handed_over_where_there_is_a_packet_path() -> None:
    assert hands_over(built(games({})), "web", "web")
    assert hands_over(built(games({"hand_over": True})), "web", "web")
    assert not hands_over(built(games({"hand_over": False})), "web", "web")
    assert not hands_over(built(games({}, data_path="packet")), "web", "web")
    assert not hands_over(built(service({"data_path": "proxy"})), "web", "web")
    without = games({})
    del without["process"]
    assert not hands_over(built(without), "web", "web")
    without["pools"]["web"]["hand_over"] = True
    assert "pools.web.hand_over: needs [process.packet]" in told(without)


@pytest.mark.parametrize(
    ("listener", "pool", "key"),
    [
        ({}, {"requests": 1}, "pools.web.requests"),
        ({}, {"responses": 1}, "pools.web.responses"),
        ({}, {"per_datagram": True}, "pools.web.per_datagram"),
        ({}, {"proxy_protocol_udp": "first"}, "pools.web.proxy_protocol_udp"),
        ({}, {"hash_key": "quic_cid"}, "pools.web.hash_key"),
        ({}, {"transparent": True}, "pools.web.transparent"),
        ({}, {"mark": 1}, "pools.web.mark"),
        ({}, {"interface": "eth1"}, "pools.web.interface"),
        ({"dscp": 0}, {}, "listeners.web.dscp"),
        ({"transparent": True}, {}, "listeners.web.transparent"),
    ],
)
def test_a_session_that_needs_a_worker_for_each_datagram_stays(
    listener: dict[str, Any], pool: dict[str, Any], key: str
) -> None:
    assert not hands_over(built(games(pool, **listener)), "web", "web")
    message = told(games({**pool, "hand_over": True}, **listener))
    assert f"pools.web.hand_over: has no effect beside {key}: a worker must see" in message


# ---- the table and its life ----------------------------------------------------------------------


def test_the_table_has_the_defaults_that_are_promised() -> None:
    packet = built(service()).process.packet
    assert packet is not None
    assert (packet.max_flows, packet.on_stop, packet.shield) == (1_000_000, "drain", "tc")
    assert packet.pins == "/sys/fs/bpf/l4lb"


def test_a_reload_changes_the_path_and_a_start_the_table() -> None:
    proxied = to_plain(built(service({"data_path": "proxy"})))
    forwarded = to_plain(built(service(pool={"dsr": "mac", "hand_over": False})))
    changes = compare(proxied, forwarded)
    assert needs_start(changes) == []
    assert [(one.kind, *one.keys) for one in changes] == [
        ("listener", "data_path"),
        ("pool", "dsr", "hand_over"),
    ]
    larger = to_plain(built(service(packet={"max_flows": 2_000_000, "on_stop": "keep"})))
    assert needs_start(compare(forwarded, larger)) == ["process.packet"]


def test_it_is_saved_and_carried_as_it_is() -> None:
    data = service(
        {"routes": [{"source_mac": "02:00:00:00:00:01", "pool": "web"}]},
        {"dsr": "ipip"},
        {"pins": "/sys/fs/bpf//b/", "shield": "xdp"},
    )
    config = built(data)
    assert config.process.packet is not None
    assert config.process.packet.pins == "/sys/fs/bpf/b"
    assert built(to_stated(config)) == config
    assert of_carried(carried(config)) == config
    assert uses_packet(of_carried(carried(config)), "web")
