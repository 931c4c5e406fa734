"""[forward.NAME], [lists.NAME] and the listeners that name them: defaults, hidden pools, and what
is refused so that nobody runs an open proxy."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config import plain
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import ConfigError

AUTH = {"htpasswd": "/etc/users"}


def config(forward: dict[str, Any], *, bind: str = "127.0.0.1:3128", **listener: Any) -> Config:
    table = {"bind": [bind], "protocol": "http", "forward": "office", **listener}
    return build({"listeners": {"proxy": table}, "forward": {"office": forward}}, Origin())


def test_what_is_left_out_is_as_documented() -> None:
    office = config({}).forward["office"]
    assert (office.connect_ports, office.ports) == (("443",), ("80", "443", "1025-65535"))
    assert (office.private, office.allow_private, office.anonymous) == ("deny", (), True)
    assert (office.otherwise, office.policy_timeout_ms) == ("allow", 2_000)
    assert (
        config({"rules": [{"name": "a", "action": "deny"}]}).forward["office"].otherwise == "deny"
    )


def test_a_forward_proxy_has_a_pool_that_no_file_names() -> None:
    found = config({"max_connections": 7, "idle_timeout": "1h"})
    pool = found.pools["forward:office"]
    assert (pool.name, pool.retries, pool.max_connections) == ("forward:office", 0, 7)
    assert pool.idle_timeout_ms == 3_600_000
    assert [one.name for one in pool.backends] == ["outside"]
    assert found.listeners["proxy"].pools == ("forward:office",)
    assert plain.to_plain(found)["pools"] == {}
    assert "pools" not in plain.to_stated(found)
    assert plain.of_carried(plain.carried(found)) == found


@pytest.mark.parametrize(
    "forward",
    [
        {},
        {
            "rules": [{"name": "ads", "domain": "ads.example", "action": "deny"}],
            "otherwise": "allow",
        },
        {"rules": [{"name": "all", "action": "allow"}]},
        {"auth": AUTH, "rules": [{"name": "all", "action": "allow"}]},
    ],
)
@pytest.mark.parametrize("protocol", ["http", "socks5"])
def test_an_open_proxy_is_refused(forward: dict[str, Any], protocol: str) -> None:
    for bind in ("0.0.0.0:3128", "[::]:3128", "10.0.0.1:3128", "name.example:3128"):
        with pytest.raises(ConfigError, match="is an open proxy"):
            config(forward, bind=bind, protocol=protocol)
    config(forward, bind="127.0.0.1:3128", protocol=protocol)
    config(forward, bind="unix:/run/proxy.sock", protocol=protocol)


@pytest.mark.parametrize(
    ("forward", "listener"),
    [
        ({"auth": AUTH}, {}),
        ({"auth": AUTH, "rules": [{"name": "u", "user": "*", "action": "allow"}]}, {}),
        ({"rules": [{"name": "in", "source": "10.0.0.0/8", "action": "allow"}]}, {}),
        ({}, {"access": {"allow": ["10.0.0.0/8"]}}),
    ],
)
def test_a_proxy_for_some_is_no_open_proxy(
    forward: dict[str, Any], listener: dict[str, Any]
) -> None:
    assert config(forward, bind="0.0.0.0:3128", **listener).warnings == ()


def test_an_access_list_that_lets_everybody_else_in_does_not_close_a_proxy() -> None:
    with pytest.raises(ConfigError, match="is an open proxy"):
        config({}, bind="0.0.0.0:3128", access={"deny": ["10.0.0.0/8"]})


def test_what_is_not_used_is_told() -> None:
    listener = {"bind": ["127.0.0.1:1"], "pool": "a"}
    data = {
        "listeners": {"web": listener},
        "pools": {"a": {"backends": ["127.0.0.1:2"]}},
        "forward": {"office": {}},
        "lists": {"ads": {"files": "/etc/ads"}},
    }
    assert list(map(str, build(data, Origin()).warnings)) == [
        "forward.office: no listener uses this forward proxy",
        "lists.ads: no rule of a forward proxy uses this list",
    ]


def test_private_networks_for_other_hosts_are_told() -> None:
    access = {"allow": ["10.0.0.0/8"]}
    (told,) = config({"private": "allow"}, bind="10.0.0.1:3128", access=access).warnings
    assert "may reach this host and its private networks" in str(told)
    assert config({"private": "allow"}).warnings == ()


def test_forward_proxies_take_rows_of_pools_and_backends() -> None:
    listener = {"bind": ["127.0.0.1:1"], "protocol": "http", "forward": "a"}
    data = {
        "limits": {"max_pools": 1},
        "listeners": {"web": listener},
        "forward": {"a": {}, "b": {}},
    }
    with pytest.raises(ConfigError, match="1 is less than the 2 pools"):
        build(data, Origin())
