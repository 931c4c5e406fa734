"""The forms of plain data: for comparison, for saving, and for another process."""

from __future__ import annotations

import json
import random
from typing import Any

import configurations as generated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.config import flags, plain
from l4lb.config.model import Config
from l4lb.config.reading import parse, resolve
from l4lb.config.reading.resolve import Answer
from l4lb.config.schema import keys
from l4lb.config.sensitive import KEYS, NOT_SHOWN, veiled
from l4lb.control import toml

SEED = st.integers(0, 1 << 32)
DENSITY = st.sampled_from([0.05, 0.3, 0.7])
SMALL = """
[listeners.web]
bind = ["127.0.0.1:8080"]
pool = "web"

[pools.web]
backends = ["127.0.0.1:9001"]
"""


def saved(config: Config) -> str:
    return toml.written(plain.to_stated(plain.as_written(config)))


def found(config: Config) -> Config:
    """Returns the configuration as it runs: each host name is replaced by an address."""
    return resolve.resolve(
        config, look_up=lambda names, _: {name: Answer(["127.9.9.9"]) for name in names}
    )


@settings(deadline=None, max_examples=200)
@given(SEED, DENSITY)
def test_what_is_saved_is_read_back_equal(seed: int, density: float) -> None:
    config = generated.config(random.Random(seed), density)
    again = parse.loads(saved(config), "saved.toml", environ={"HOME": "no", "x": "no", "b": "no"})
    assert again == config
    assert plain.digest(again) == plain.digest(config)


@settings(deadline=None, max_examples=100)
@given(SEED, DENSITY)
def test_what_another_process_is_told_is_all_of_it(seed: int, density: float) -> None:
    config = generated.config(random.Random(seed), density)
    told = plain.of_carried(json.loads(json.dumps(plain.carried(config))))
    assert told == config
    assert saved(told) == saved(config)


def test_every_key_comes_up_in_what_is_tried() -> None:
    # A route by MAC needs a listener that the kernel serves: the next test.
    known = {key.path for key in keys()} - {"include", "listeners.NAME.routes[].source_mac"}
    seen: set[str] = set()
    for seed in range(3000):
        chance = random.Random(seed)
        stated = plain.to_stated(generated.config(chance, chance.choice((0.5, 0.9))))
        seen |= set(_paths(stated, ""))
        if known <= seen:
            break
    assert known - seen == set()


def test_a_route_by_mac_is_told_and_read_back() -> None:
    text = (
        '[process.packet]\ninterfaces = ["eth0"]\n[listeners.web]\nbind = [":80"]\npool = "a"\n'
        'data_path = "packet"\n[[listeners.web.routes]]\nsource_mac = "02:00:00:00:00:01"\n'
        'pool = "a"\n[pools.a]\nbackends = ["10.0.0.1:80"]\n'
    )
    config = parse.loads(text, "x")
    assert "02:00:00:00:00:01" in str(plain.to_stated(config)["listeners"]["web"]["routes"])
    assert plain.of_carried(json.loads(json.dumps(plain.carried(config)))) == config


def _paths(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        free = path in ("listeners", "pools", "cache", "forward", "lists", "icap", "record")
        inside = [
            one
            for name, below in value.items()
            for one in _paths(below, (f"{path}." if path else "") + ("NAME" if free else name))
        ]
        return [path, *inside]
    below = value if isinstance(value, list) else []
    return [path, *(one for element in below for one in _paths(element, f"{path}[]"))]


def test_only_what_is_not_the_default_is_saved() -> None:
    config = parse.loads(SMALL + "retries = 2\nconnect_timeout = '3s'\nhealth = {}\n", "x")
    assert plain.to_stated(config) == {
        "listeners": {"web": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
        "pools": {"web": {"connect_timeout": "3s", "backends": ["127.0.0.1:9001"], "health": {}}},
    }


@pytest.mark.parametrize(
    "more",
    [
        'discovery = { type = "file", path = "/etc/found.json" }',
        "queue = {}\nmax_connections = 1",
        'health = { type = "udp" }',
        """[listeners.tls]
        bind = ["127.0.0.1:8443"]
        pool = "web"
        tls = { certificates = [{ cert = "/etc/a.pem" }] }""",
        """[listeners.dns]
        protocol = "udp"
        bind = ["127.0.0.1:53"]
        pool = "dns"
        [pools.dns]
        backends = ["127.0.0.1:54"]""",
    ],
)
def test_keys_that_mean_nothing_beside_others_are_not_saved(more: str) -> None:
    config = parse.loads(SMALL + more + "\n", "x")
    assert parse.loads(saved(config), "saved.toml") == config


def test_a_pool_that_only_discovery_fills_is_saved_without_backends() -> None:
    text = SMALL.replace('backends = ["127.0.0.1:9001"]', '[pools.web.discovery]\ntype="dns"\n'
                         'name="web.example"\nport=80')  # fmt: skip
    stated = plain.to_stated(parse.loads(text, "x"))
    assert stated["pools"]["web"] == {
        "discovery": {"type": "dns", "name": "web.example", "port": 80}
    }


def test_what_depends_on_the_machine_is_saved_only_if_somebody_said_it() -> None:
    said = parse.loads(SMALL, "x")
    assert "process" not in plain.to_stated(said)
    workers = said.process.workers
    same = parse.loads(f"[process]\nworkers = {workers}\n{SMALL}", "x")
    assert same == said
    for config in (same, plain.of_carried(plain.carried(same))):
        assert plain.to_stated(config)["process"] == {"workers": workers}
    assert "process" not in plain.to_stated(plain.of_carried(plain.carried(said)))


def test_host_names_are_saved_as_names_and_carried_with_their_addresses() -> None:
    text = SMALL.replace("127.0.0.1:9001", "api.example:9001").replace(
        "127.0.0.1:8080", "here.example:8080-8081"
    )
    config = found(parse.loads(text, "x"))
    stated = plain.to_stated(plain.as_written(config))
    assert stated["pools"]["web"]["backends"] == ["api.example:9001"]
    assert stated["listeners"]["web"]["bind"] == ["here.example:8080-8081"]
    assert plain.digest(parse.loads(saved(config), "x")) == plain.digest(config)
    told = plain.of_carried(json.loads(json.dumps(plain.carried(config))))
    (backend,) = told.pools["web"].backends
    assert (backend.address.host, backend.address.asked) == ("127.9.9.9", "api.example")
    assert saved(told) == saved(config)


def test_data_of_a_version_that_told_less_is_understood() -> None:
    config = parse.loads(SMALL, "x")
    assert plain.of_carried({"plain": plain.to_plain(config)}) == config


def test_what_flags_say_is_saved_too() -> None:
    config = flags.from_flags(
        ["tcp://127.0.0.1:80", "udp://127.0.0.1:81-82", "unix:/run/x"][:2],
        ["127.0.0.1:90,weight=3", "localhost:91,name=b"],
        "maglev",
    )
    assert parse.loads(saved(found(config)), "x") == config


# ---- values that may be secret -------------------------------------------------------------------


def test_every_secret_key_is_one_that_there_is() -> None:
    assert {key.path for key in keys()} >= KEYS


def test_secrets_are_not_shown_wherever_they_stand() -> None:
    health = {"type": "http", "headers": ["A: b"], "steps": [{"send": "x", "expect": None}]}
    assert veiled("pools.NAME.health", health) == {
        "type": "http",
        "headers": NOT_SHOWN,
        "steps": [{"send": NOT_SHOWN, "expect": None}],
    }
    assert veiled("pools.NAME.retries", 2) == 2
