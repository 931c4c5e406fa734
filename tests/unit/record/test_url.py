"""Secrets in URLs, queries and forms."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record.masks import USUAL_VALUES
from l4lb.record.url import NEST_MAX, masked_form, masked_url

from .making import MASKS, SECRET


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/a?token=x", "/a?token=***"),
        ("/a?b=1&token=x&c=2", "/a?b=1&token=***&c=2"),
        ("/a?TOKEN=x&Access_Token=y", "/a?TOKEN=***&Access_Token=***"),
        ("/a?%74oke%6E=x", "/a?%74oke%6E=***"),
        ("/a?+token=x&%20token=x", "/a?+token=***&%20token=***"),
        ("/a?token=", "/a?token=***"),
        ("/a?token=x=y?z#w;v", "/a?token=***"),
        ("/a?b=1;token=x;c=2", "/a?b=1;token=***"),
        ("/a#access_token=x&state=1", "/a#access_token=***&state=1"),
        ("/a?b#access_token=x", "/a?b#access_token=***"),
        ("/a?next=/b?token=x&c=2", "/a?next=/b?token=***&c=2"),
        ("/a?user[password]=x&Input.Password=y", "/a?user[password]=***&Input.Password=***"),
        ("/a?token[]=x&password%5B0%5D=z", "/a?token[]=***&password%5B0%5D=***"),
        ("/a?user%5Bpassword%5D=x", "/a?user%5Bpassword%5D=***"),
        ("https://u:p@h/", "https://u:***@h/"),
        ("https://u:p@q@h:80/a@b", "https://u:***@h:80/a@b"),
        ("https://:p@h", "https://:***@h"),
        ("//u:p@h", "//u:***@h"),
        (r"https:\\u:p@h\a", r"https:\\u:***@h\a"),
        ("/a?b=https://u:p@h/&c=d@e", "/a?b=https://u:***@h/&c=d@e"),
        ("see http://u:p@h/ and http://v:q@i/", "see http://u:***@h/ and http://v:***@i/"),
        ("https://u:p", "https://u:***"),  # cut before the host
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert masked_url(text.encode(), MASKS) == masked.encode()
    assert masked_url(masked.encode(), MASKS) == masked.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "*",
        "/token=x",
        "/a:b@c/d",
        "/a?tokens=x&mytoken=y&key=z&token",
        "/a?b=token=x",
        "https://h:8080",
        "https://[::1]:8080/a?b=c",
        "https://user@h/",
        "<https://h:80>; rel=next",
        "/a?b=https%3A%2F%2Fh%2F&c=%zz%",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked_url(text.encode(), MASKS) == text.encode()


def test_the_target_of_connect_begins_with_a_host() -> None:
    assert masked_url(b"u:p@h:443", MASKS, authority=True) == b"u:***@h:443"
    assert masked_url(b"h:443", MASKS, authority=True) == b"h:443"


@pytest.mark.parametrize("depth", range(1, NEST_MAX + 1))
def test_a_url_that_is_a_value_is_masked_and_stays_encoded(depth: int) -> None:
    inner, masked = f"https://u:{SECRET}@h/?a=1&token={SECRET}", "https://u:***@h/?a=1&token=***"
    for _ in range(depth):
        inner, masked = f"/b?to={quote(inner, safe='')}", f"/b?to={quote(masked, safe='*')}"
    assert masked_url(inner.encode(), MASKS).decode() == masked
    assert masked_url(masked.encode(), MASKS).decode() == masked


@pytest.mark.parametrize("sign", ["?", "#", ";"])
def test_a_url_that_is_a_whole_argument_keeps_the_sign_before_it(sign: str) -> None:
    text = f"/?a&{sign}%2Fb%3Ftoken%3Dx".encode()
    assert masked_url(text, MASKS) == f"/?a&{sign}%2Fb%3Ftoken%3D***".encode()


def test_a_form_is_masked_as_a_query() -> None:
    assert masked_form(b"password=x+y&user=a+b", MASKS) == b"password=***&user=a+b"


def encoded(draw: st.DrawFn, name: str) -> str:
    """Returns a name as a client may write it."""
    signs = [draw(st.sampled_from([one, one.upper(), f"%{ord(one):02x}"])) for one in name]
    return "".join(signs)


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, str]:
    """Returns a query with a secret, and the one that is masked."""
    plain = st.text("abc=%+/. ", max_size=6).map(lambda text: "x" + text)
    before, after = draw(st.lists(plain, max_size=3)), draw(st.lists(plain, max_size=3))
    name = encoded(draw, draw(st.sampled_from(sorted(USUAL_VALUES))))
    value = draw(st.text("ab?#;=/ ", max_size=4)) + SECRET + draw(st.text("ab?#;=@ ", max_size=4))
    told = ["&".join([*before, f"{name}={one}", *after]) for one in (value, "***")]
    return told[0], told[1]


@given(queries())
def test_a_secret_in_any_place_case_and_encoding_is_masked(told: tuple[str, str]) -> None:
    query, masked = told
    assert masked_form(query.encode(), MASKS).decode() == masked
    assert masked_url(b"/?" + query.encode(), MASKS) == b"/?" + masked.encode()


@given(st.binary() | st.text("a:/@?#&=;%token\\", max_size=40).map(str.encode))
def test_any_bytes_are_taken_and_twice_is_the_same_as_once(text: bytes) -> None:
    once = masked_url(text, MASKS)
    assert masked_url(once, MASKS) == once


@pytest.mark.parametrize("part", ["//", "//a:b", "?a=", "&", ";", "%2F", "http:", "@", "token"])
def test_time_is_in_proportion_to_the_length(part: str) -> None:
    def needed_s(count: int) -> float:
        text = part.encode() * count
        begin = time.process_time()
        masked_url(text, MASKS)
        masked_form(text, MASKS)
        return time.process_time() - begin

    short, long = (min(needed_s(count) for _ in range(3)) for count in (1_000, 16_000))
    assert long < max(short, 1e-4) * 16 * 8  # four times as long would be 256 for a square
