"""Patterns of hosts and of URLs: what they match, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.policy import domains, urls
from l4lb.policy.domains import DomainsError, domains_of
from l4lb.policy.urls import UrlsError, urls_of


def test_a_star_stands_for_any_name_below() -> None:
    found = domains_of(["*.Example.com", "bücher.example", "192.0.2.1"])
    for host in ("a.example.com", "a.b.example.com", "xn--bcher-kva.example", "192.0.2.1"):
        assert found.has(host)
    for host in ("example.com", "badexample.com", "a.xn--bcher-kva.example", "com", "[::1]"):
        assert not found.has(host)


@pytest.mark.parametrize("text", ["", "*", "*.", "*.*.example", "a.*.example", "a b", "1.2.3"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(DomainsError, match="is no domain"):
        domains_of(["example.com", text])


def test_domains_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "DOMAINS_MAX", 1)
    with pytest.raises(DomainsError, match="more than 1 domains"):
        domains_of(["a.example", "b.example"])


labels = st.sampled_from(["a", "b", "com", "ab"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


@given(st.lists(st.tuples(st.booleans(), names), max_size=5), names)
def test_domains_are_those_of_a_naive_twin(patterns: list[tuple[bool, str]], host: str) -> None:
    found = domains_of([f"*.{name}" if star else name for star, name in patterns])
    assert found.has(host) == any(
        host.endswith(f".{name}") if star else host == name for star, name in patterns
    )


@pytest.mark.parametrize(
    ("prefix", "host", "port", "path", "matches"),
    [
        ("example.com/ads/", "example.com", 80, "/ads/x?y", True),
        ("http://Example.com/ads", "example.com", 443, "/adserver", True),
        ("example.com/ads", "example.com", 80, "/Ads", False),
        ("example.com/ads", "example.com", 8080, "/ads", False),
        ("example.com:8080/ads", "example.com", 8080, "/ads", True),
        ("example.com:443/ads", "example.com", 80, "/ads", True),
        ("example.com", "example.com", 80, "/", True),
        ("example.com", "example.community", 80, "/", False),
        ("example.com/ads", "www.example.com", 80, "/ads", False),
        ("[2001:db8::1]/x", "[2001:db8::1]", 80, "/x", True),
        ("[2001:db8::1]:81/x", "[2001:db8::1]", 81, "/x", True),
        ("192.0.2.1/x", "192.0.2.1", 80, "/x", True),
    ],
)
def test_a_prefix_is_a_host_and_the_begin_of_a_path(
    prefix: str, host: str, port: int, path: str, matches: bool
) -> None:
    assert urls_of([prefix]).match(host, port, path) is matches


def test_an_expression_is_looked_for_in_host_path_and_query() -> None:
    found = urls_of([], [r"/ads?/", r"(?i)^TRACK\.example/", r"\?id=\d+$", "qq|b:81/"])
    for host, port, path in (("x.example", 80, "/ad/"), ("track.example", 443, "/"),
                             ("x.example", 80, "/?id=12"), ("ab", 81, "/")):  # fmt: skip
        assert found.match(host, port, path)
    for host, path in (("x.example", "/AD/"), ("x.example", "/?id=12x"), ("xtrack.example", "/")):
        assert not found.match(host, 80, path)


@pytest.mark.parametrize(
    ("prefixes", "expressions", "why"),
    [
        (["/ads"], [], "no host"),
        (["*.example.com/"], [], "no host"),
        (["ftp://example.com/"], [], "no host"),
        (["example.com:0/"], [], "no host"),
        (["example.com:65536/"], [], "no host"),
        (["example.com:080/"], [], "no host"),
        (["user@example.com/"], [], "no host"),
        (["example.com/a b"], [], "blank"),
        ([""], [], "1 to 1000"),
        ([], [""], "1 to 1000"),
        ([], ["x" * 1001], "1 to 1000"),
        ([], ["a\n"], "control"),
        ([], ["("], "missing"),
        ([], ["a)|(b"], "unexpected"),
        ([], [r"(a)\1"], "escape"),
        ([], ["(?=a)"], "perl operator"),
        ([], ["((a{1,100}){1,100}){1,100}"], "repetition"),
    ],
)
def test_what_is_no_pattern_is_refused_with_a_reason(
    prefixes: list[str], expressions: list[str], why: str
) -> None:
    with pytest.raises(UrlsError, match=why):
        urls_of(prefixes, expressions)


def test_patterns_of_urls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "PREFIXES_MAX", 1)
    monkeypatch.setattr(urls, "EXPRESSIONS_MAX", 1)
    for two in ((["a.example", "b.example"], []), ([], ["a", "b"])):
        with pytest.raises(UrlsError, match="more than 1 "):
            urls_of(*two)
    monkeypatch.setattr(urls, "MEMORY_MAX", 10_000)
    with pytest.raises(UrlsError, match="too large"):
        urls_of([], [".{500}" * 3])


def test_an_expression_takes_no_longer_than_the_url_is_long() -> None:
    evil = urls_of([], [r"(a*)*(a|aa)+b$"])
    assert not evil.match("a.example", 80, "/" + "a" * 8_000)
