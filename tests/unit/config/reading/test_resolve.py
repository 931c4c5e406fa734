"""Host names are looked up once, in bounded time, and every failure has its line."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from l4lb.config.model import Config
from l4lb.config.reading.parse import loads
from l4lb.config.reading.resolve import Answer, Lookup, look_up_names, resolve
from l4lb.errors import ConfigError

TEXT = """\
[listeners.web]
bind = ["front.example:80", "127.0.0.1:80"]
pool = "web"
[pools.web]
backends = [
  "10.0.0.1:80",
  "back.example:80",
  { name = "c", address = "back.example:81", weight = 2 },
  "unix:/x",
]
"""


def answers(**known: Answer) -> Lookup:
    def look_up(names: Sequence[str], timeout_ms: int) -> dict[str, Answer]:
        assert timeout_ms > 0
        assert names == sorted(set(names))
        return {f"{name}.example": answer for name, answer in known.items()}

    return look_up


def resolved(**known: Answer) -> Config:
    return resolve(loads(TEXT, "f.toml"), look_up=answers(**known))


def test_names_become_the_first_address_and_backends_keep_their_names() -> None:
    config = resolved(front=Answer(["127.0.0.9"]), back=Answer(["::7", "10.0.0.7"]))
    assert [str(bind) for bind in config.listeners["web"].bind] == ["127.0.0.9:80", "127.0.0.1:80"]
    assert [(one.name, str(one.address)) for one in config.pools["web"].backends] == [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("back.example:80", "[::7]:80"),
        ("c", "[::7]:81"),
        ("unix:/x", "unix:/x"),
    ]
    assert config.pools["web"].name == "web"
    assert resolve(config, look_up=answers()) == config


def test_every_failure_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(back=Answer([], "Name or service not known"))
    told = [str(problem) for problem in caught.value.problems]
    no_address = "back.example has no address: Name or service not known"
    assert told == [
        "f.toml:2: listeners.web.bind[0]: front.example could not be looked up within 5s",
        f"f.toml:7: pools.web.backends[1]: {no_address}",
        f"f.toml:8: pools.web.backends[2].address: {no_address}",
    ]


def test_names_that_turn_out_to_be_one_address_are_told() -> None:
    with pytest.raises(ConfigError, match=r"f.toml:2: listeners.web.bind\[1\]: .* already bound"):
        resolved(front=Answer(["127.0.0.1"]), back=Answer(["10.0.0.7"]))


def test_the_systems_resolver_is_asked() -> None:
    found = look_up_names(["localhost", "no-such-host.invalid"], 10_000)
    assert found["localhost"].addresses[0] in ("127.0.0.1", "::1")
    assert not found["no-such-host.invalid"].addresses
    assert found["no-such-host.invalid"].error


def test_a_silent_resolver_is_given_up_in_time() -> None:
    started = time.monotonic()
    assert look_up_names(["localhost"], 1) == {}
    assert time.monotonic() - started < 5
