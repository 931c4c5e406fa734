"""Engines and the rules that name them: what is taken, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.values import icap
from l4lb.errors import ConfigError


def service(
    rules: list[dict[str, Any]], engines: dict[str, Any] | None = None, **http: Any
) -> dict[str, Any]:
    listener = {"bind": [":80"], "protocol": "http", "pool": "web"}
    return {
        "listeners": {"web": {**listener, "http": {"inspect": rules, **http}}},
        "pools": {"web": {"backends": ["10.0.0.1:80"]}},
        "icap": engines or {"av": {"url": "icap://127.0.0.1/scan"}},
    }


def faults(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        build(data, Origin())
    return str(caught.value)


def rule(**keys: Any) -> dict[str, Any]:
    return {"name": "a", "icap": "av", **keys}


def test_a_rule_is_strict_unless_it_says_otherwise() -> None:
    config = build(service([rule()]), Origin())
    http = config.listeners["web"].http
    assert http is not None
    (one,) = http.inspect
    assert (one.what, one.on_failure) == (("requests", "answers"), "deny")
    engine = config.icap["av"]
    assert (engine.name, engine.too_large, engine.max_body) == ("av", "deny", 8 << 20)
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("icap://127.0.0.1/scan", ("127.0.0.1", 1344, "127.0.0.1", "/scan")),
        ("icap://10.0.0.1:99/a?b=c", ("10.0.0.1", 99, "10.0.0.1:99", "/a?b=c")),
        ("icap://[::1]:99/", ("::1", 99, "[::1]:99", "/")),
        ("icap://[::1]/x", ("::1", 1344, "[::1]", "/x")),
    ],
)
def test_a_url_names_an_address_a_port_and_a_path(
    url: str, found: tuple[str, int, str, str]
) -> None:
    assert icap.service(url) == found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/scan", "is not the URL of a service of ICAP"),
        ("icap://127.0.0.1", "is not the URL of a service of ICAP"),
        ("icap://127.0.0.1/a b", "is not the URL of a service of ICAP"),
        ("icap://127.0.0.1/a\r\nX: y", "is not the URL of a service of ICAP"),
        ("icap://127.0.0.1/#a", "is not the URL of a service of ICAP"),
        ("icap://engine.test/scan", "is a name"),
        ("icap://127.0.0.1:0/scan", "a port is"),
        ("icap://::1/scan", "is not an address"),
        (f"icap://127.0.0.1/{'x' * 300}", "more than 256 bytes"),
    ],
)
def test_a_url_that_names_no_service_is_refused(url: str, why: str) -> None:
    assert why in faults(service([rule()], {"av": {"url": url}}))


def test_rules_name_engines_that_exist_and_have_names_of_their_own() -> None:
    assert 'no engine is named "va"' in faults(service([rule(icap="va")]))
    assert "two rules named a" in faults(service([rule(), rule()]))
    assert "icap" in faults(service([{"name": "a"}]))
    assert "what" in faults(service([rule(what="pages")]))
    unused = service([rule()], {"av": {"url": "icap://1.1.1.1/"}, "b": {"url": "icap://1.1.1.1/"}})
    (warning,) = build(unused, Origin()).warnings
    assert "no rule uses this engine" in str(warning)


def test_there_is_a_number_of_rules_and_engines_that_is_too_large() -> None:
    many = [rule(name=f"r{at}") for at in range(65)]
    assert "at most 64 rules" in faults(service(many))
    engines = {f"e{at}": {"url": "icap://1.1.1.1/"} for at in range(65)}
    assert "are 65 engines" in faults(service([rule(icap="e1")], engines))
