"""Names as lists and rules compare them."""

from __future__ import annotations

import pytest

from l4lb.lists.name import name_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER。example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("localhost", "localhost"),
    ],
)
def test_a_host_has_one_name(text: str, name: str) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "a b", "*.example.com", "a.example:80", "[::1]:80", "2130706433", "0x7f.1",
     "1.2.3", "a" * 64 + ".example", "a." * 130, "ä" * 60 + ".example", "\u202e.example", "a\0b",
     "x" * 2000, "\ud800", "a.example:"],
)  # fmt: skip
def test_what_is_no_host_has_none(text: str) -> None:
    assert name_of(text) is None
