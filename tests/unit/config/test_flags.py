"""`l4lb run` without a file: flags are checked by the model of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.config.flags import demo, forward_proxy, from_flags
from l4lb.config.plain import to_plain
from l4lb.errors import ConfigError


def test_each_listen_gets_all_the_backends() -> None:
    config = from_flags(
        ["tcp://127.0.0.1:80", "[::1]:90-91", "tcp://unix:/x"],
        ["10.0.0.1:80,weight=3,name=a,max_connections=9", "name.example:1"],
        "least_connections",
    )
    (listener,) = config.listeners.values()
    assert [str(bind) for bind in listener.bind] == [
        "127.0.0.1:80", "[::1]:90", "[::1]:91", "unix:/x",
    ]  # fmt: skip
    pool = config.pools[listener.pool]
    assert pool.balance == "least_connections"
    assert [(one.name, one.weight, one.max_connections) for one in pool.backends] == [
        ("a", 3, 9),
        ("name.example:1", 1, 0),
    ]


@pytest.mark.usefixtures("all_supported")
def test_udp_is_a_listener_of_its_own() -> None:
    config = from_flags(["udp://:53", "tcp://:53"], ["10.0.0.1:53"], None)
    assert {one.protocol for one in config.listeners.values()} == {"tcp", "udp"}
    assert {one.pool for one in config.listeners.values()} == {"main"}


def test_http_is_a_listener_of_its_own() -> None:
    config = from_flags(["http://:80", "http://[::]:81", "tcp://:22"], ["10.0.0.1:80"], None)
    assert config.listeners["http"].protocol == "http"
    assert [str(bind) for bind in config.listeners["http"].bind] == ["0.0.0.0:80", "[::]:81"]
    assert config.listeners["tcp"].protocol == "tcp"


def written_cases() -> list[tuple[list[str], str]]:
    blocks = Path(__file__).with_name("broken_flags.txt").read_text().split("\n\n")[1:]
    cases = [block.strip().split("\n#> ") for block in blocks]
    return [(flags.split(), told) for flags, told in cases]


@pytest.mark.parametrize(("flags", "told"), written_cases())
def test_a_mistake_names_its_flag(flags: list[str], told: str) -> None:
    given: dict[str, list[str]] = {"--listen": [], "--backend": [], "--balance": []}
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        given[flag].append(value)
    with pytest.raises(ConfigError) as caught:
        from_flags(given["--listen"], given["--backend"], next(iter(given["--balance"]), None))
    assert str(caught.value) == told


def test_a_forward_proxy_is_for_the_clients_of_this_host() -> None:
    config = forward_proxy("127.0.0.1:3128")
    assert list(config.listeners["proxy"].pools) == ["forward:proxy"]
    assert config.warnings == ()
    with pytest.raises(ConfigError, match=r"--forward 0.0.0.0:3128: is an open proxy"):
        forward_proxy("0.0.0.0:3128")
    with pytest.raises(ConfigError, match=r'--forward x: "x" has no port'):
        forward_proxy("x")


def test_the_demonstration_checks_its_backends() -> None:
    config = demo([9001, 9002, 9003])
    assert [str(bind) for bind in config.listeners["demo"].bind] == ["127.0.0.1:8080"]
    assert config.listeners["demo"].protocol == "http"
    assert [one.path for one in config.listeners["demo"].routes] == [("/hello",)]
    pool = config.pools["demo"]
    assert [str(one.address) for one in pool.backends] == [
        "127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003",
    ]  # fmt: skip
    assert pool.health is not None
    assert to_plain(config)["pools"]["demo"]["health"]["type"] == "tcp"
