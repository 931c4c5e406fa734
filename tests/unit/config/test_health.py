"""The keys of health checks: which are refused, and why."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Pool
from l4lb.config.origin import Origin
from l4lb.config.plain import to_stated
from l4lb.config.values import payload
from l4lb.errors import ConfigError


def built(**pool: Any) -> Pool:
    data = {
        "listeners": {"web": {"bind": [":80"], "pool": "web"}},
        "pools": {"web": {"backends": ["10.0.0.1:1"], **pool}},
    }
    config = build(data, Origin())
    assert build(to_stated(config), Origin()) == config
    return config.pools["web"]


@pytest.mark.parametrize(
    "health",
    [
        {"send": "PING\r\n", "expect": "+PONG"},
        {"steps": [{"expect": "220"}, {"send": "hex:00", "expect": "regex:^2.."}]},
        {"type": "http", "status": [200, "300-399"], "headers": ["X-A: b c"], "body": "^ok"},
        {"type": "https", "sni": "a.example", "verify": False, "ca": "/x.pem"},
        {"type": "tls", "send": "text:hex:", "expect": "x"},
        {"type": "udp", "send": "hex:0a 0b", "reply": "optional"},
        {"type": "dns", "query": "example.org", "record": "AAAA", "rcode": ["NXDOMAIN"]},
        {"type": "exec", "command": ["/bin/true", ""]},
        {"initial": "down", "fast_interval": "100ms", "down_interval": "10s", "send_proxy": "v2"},
    ],
)
def test_what_checks_can_say_is_taken_and_reads_back(health: dict[str, Any]) -> None:
    assert built(health=health).health is not None


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        ({"health": {"expect": "regex:("}}, "health.expect: not a regular expression"),
        ({"health": {"send": "regex:x"}}, "health.send: a regular expression cannot be sent"),
        ({"health": {"send": "hex:0"}}, "is not hex"),
        ({"health": {"expect": ""}}, "it is empty"),
        ({"health": {"type": "http", "body": "["}}, "health.body: not a regular"),
        ({"health": {"path": "/x"}}, 'a check of type "tcp" has no path'),
        ({"health": {"type": "dns", "verify": False}}, 'type "dns" has no verify'),
        ({"health": {"type": "http", "path": "x"}}, 'must begin with "/"'),
        ({"health": {"type": "http", "path": "/a\r\nX: y"}}, 'must begin with "/"'),
        ({"health": {"type": "http", "headers": ["X: a\r\nY: b"]}}, "visible ASCII"),
        ({"health": {"type": "http", "headers": ["no colon"]}}, "is not a header"),
        ({"health": {"type": "http", "method": "GE T"}}, "is not an HTTP method"),
        ({"health": {"type": "http", "status": ["2xx"]}}, "is not a status"),
        ({"health": {"type": "http", "status": ["300-200"]}}, "is not a status"),
        ({"health": {"type": "dns", "record": "WHAT"}}, "is not a DNS record type"),
        ({"health": {"type": "dns", "query": "a..b"}}, "is not a DNS name"),
        ({"health": {"type": "dns", "rcode": ["FINE"]}}, "is not a DNS rcode"),
        ({"health": {"type": "exec"}}, "a check of type exec needs a command"),
        ({"health": {"type": "exec", "command": []}}, "must not be empty"),
        ({"health": {"steps": [{"send": "x"}], "send": "y"}}, "steps cannot stand beside"),
        ({"health": {"type": "tls", "sni": "not a name"}}, "is not a host name"),
        ({"health": {"type": "udp"}, "backends": ["unix:/x"]}, "has no udp check"),
        ({"passive": {"slow": {"factor": 1}}}, "must be between 1.5 and"),
        ({"passive": {"slow": {}}}, "passive.slow.factor"),
        ({"agent": {}}, "agent.port"),
        ({"on_down": "drop"}, "on_down"),
        ({"alert": "cmd"}, "must be an array"),
    ],
)
def test_what_is_wrong_is_told(pool: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        built(**pool)
    assert told in str(error.value)


def test_a_program_that_is_not_there_is_a_warning() -> None:
    data = {
        "listeners": {"web": {"bind": [":80"], "pool": "web"}},
        "pools": {"web": {"backends": ["10.0.0.1:1"], "alert": ["/nowhere/x"]}},
    }
    (warning,) = build(data, Origin()).warnings
    assert 'alert: "/nowhere/x" cannot be run here' in str(warning)


@pytest.mark.parametrize(
    ("health", "warned"),
    [({}, True), ({"type": "http"}, True), ({"type": "dns"}, False), ({"port": 80}, False)],
)
def test_a_udp_pool_checked_over_tcp_at_its_own_port_is_a_warning(
    health: dict[str, Any], warned: bool
) -> None:
    data = {
        "listeners": {"web": {"bind": [":80"], "pool": "web", "protocol": "udp"}},
        "pools": {"web": {"backends": ["10.0.0.1:1"], "health": health}},
    }
    told = [str(one) for one in build(data, Origin()).warnings]
    assert any("clients reach by udp" in one for one in told) is warned


@pytest.mark.parametrize(
    ("text", "data", "end"),
    [
        ("+PONG", b"x+PONGy", 6),
        ("hex:0a ff", b"\x0a\xffz", 2),
        ("regex:^[0-9]+", b"12 3", 2),
        ("regex:\\xff", b"\xff", 1),
        ("text:regex:a", b"regex:a", 7),
        ("no", b"yes", -1),
    ],
)
def test_what_is_expected_is_found_in_bytes(text: str, data: bytes, end: int) -> None:
    assert payload.find(text, data) == end


def test_a_pattern_that_would_be_slow_elsewhere_is_not_here() -> None:
    assert payload.find("regex:(a*)*b", b"a" * 65_536) == -1
