"""Targets, hosts and paths of requests against naive twins: C and Python agree on every input."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from l4lb.native.http import RequestError, read_host, read_path, read_target
from l4lb.native.requests import Host, Target

PCHAR = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@"
WORDS = [b"/", b"/", b"..", b".", b"a", b"b", b"%2e", b"%2F", b"%41", b"%c3", b"%", b";", b"|"]
WORDS += [b"%00", b"//", b"?", b"\\", b"%3b", b"%5c", b"\x80", b" ", b"#", b":", b"@", b"~"]
paths = st.lists(st.sampled_from(WORDS), max_size=12).map(lambda words: b"/" + b"".join(words))
anything = st.binary(max_size=30)


class RefusedError(Exception):
    pass


def refuse(condition: object, word: str) -> None:
    if condition:
        raise RefusedError(word)


def naive_path(text: bytes, merges: bool, slashes: bool) -> bytes:
    """A path as routes see it, by splitting and joining."""
    if text == b"*":
        return text
    refuse(not text.startswith(b"/"), "target_form")
    segments = text[1:].split(b"/")
    found: list[bytes] = []
    depth = 0
    for index, raw in enumerate(segments):
        segment = naive_segment(raw, slashes)
        if segment in (b".", b"..") or (merges and not segment):
            if segment == b"..":
                refuse(depth == 0, "above_root")
                depth -= 1
                found.pop()
            if index == len(segments) - 1:
                found.append(b"")
            continue
        depth += bool(segment)
        found.append(segment)
    return b"/" + b"/".join(found)


def naive_segment(raw: bytes, slashes: bool) -> bytes:
    refuse(re.search(rb"[^!-~]|[#?\\]", re.split(rb"%(?![0-9A-Fa-f]{2})|%00", raw)[0]), "byte")
    refuse(re.search(rb"%(?![0-9A-Fa-f]{2})", raw), "percent")
    refuse(re.search(rb"[^!-~]|[#?\\]", raw), "byte")
    parts = re.split(rb"%2[fF]", raw)
    refuse(len(parts) > 1 and not slashes, "slash")
    spelt = []
    for part in parts:
        decoded = unquote_to_bytes(part)
        refuse(b"\0" in decoded, "nul")
        bare = decoded.split(b";")[0]
        refuse(bare in (b".", b"..") and (len(parts) > 1 or bare != decoded), "dots")
        spelt.append(b"".join(bytes([c]) if c in PCHAR else b"%%%02X" % c for c in decoded))
    return b"%2F".join(spelt)


@given(paths | anything, st.booleans(), st.booleans())
@example(b"/a//../..", False, False)
@example(b"/a%2f..", False, True)
def test_a_path_is_read_as_its_naive_twin_reads_it(
    path: bytes, merges: bool, slashes: bool
) -> None:
    try:
        wanted = naive_path(path, merges, slashes)
    except RefusedError:
        with pytest.raises(RequestError):
            read_path(path, merges=merges, slashes=slashes)
        return
    assert read_path(path, merges=merges, slashes=slashes) == wanted


@given(paths)
def test_a_path_that_was_read_stays_as_it_is(path: bytes) -> None:
    try:
        once = read_path(path)
    except RequestError:
        return
    assert read_path(once) == once


def naive_host(text: bytes) -> Host:
    found = re.fullmatch(rb"(\[[^]]*\]|[^:]*)(:(?:[1-9][0-9]{0,4}))?", text, re.DOTALL)
    refuse(not found, "form")
    assert found
    name = found[1].decode("latin-1").lower()
    port = int(found[2][1:]) if found[2] else None
    refuse(port and port > 65535, "port")
    if name.startswith("["):
        refuse("%" in name or not name.isascii(), "zone")
        try:
            return Host(f"[{shortest(name[1:-1])}]", port)
        except ValueError:
            raise RefusedError("ipv6") from None
    name = name.removesuffix(".")
    labels = name.split(".")
    refuse(len(name) > 253 or not all(re.fullmatch(r"[a-z0-9_-]{1,63}", x) for x in labels), "name")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise RefusedError("ipv4") from None
    return Host(name, port)


def shortest(text: str) -> str:
    ip = ipaddress.IPv6Address(text)
    if ip.ipv4_mapped:
        return f"::ffff:{ip.ipv4_mapped}"
    # The C library writes ::a.b.c.d for the old compatible addresses.
    if 0xFFFF < int(ip) <= 0xFFFFFFFF:
        return f"::{ipaddress.IPv4Address(int(ip))}"
    return str(ip)


HOST_WORDS = ["a", "B", ".", "-", "_", ":", "8", "0", "80", "1.2.3.4", "[", "]", "::1", "::", "0x"]
HOST_WORDS += ["255", "256", "x" * 60, "ffff", "@", " ", "%", "\u00e4", "65535", "65536", "example"]
hosts = st.lists(st.sampled_from(HOST_WORDS), max_size=8).map(lambda w: "".join(w).encode())
addresses = st.ip_addresses(v=6).map(lambda ip: f"[{ip.exploded}]:80".encode()) | st.ip_addresses(
    v=4
).map(lambda ip: str(ip).encode())


@given(hosts | addresses | anything)
@example(b"[::1.2.3.4]")
@example(b"[::ffff:0:0]")
def test_a_host_is_read_as_its_naive_twin_reads_it(text: bytes) -> None:
    try:
        wanted = naive_host(text)
    except RefusedError:
        with pytest.raises(RequestError):
            read_host(text)
        return
    assert read_host(text) == wanted


def naive_target(text: bytes, method: str) -> Target:
    refuse(not text or re.search(rb"[^!-~]|#", text), "byte")
    if method == "CONNECT":
        refuse(b"/" in text or not re.fullmatch(rb".+:[0-9]+", text), "authority")
        return Target("", text, b"", None)
    if text == b"*" and method == "OPTIONS":
        return Target("", None, b"*", None)
    found = re.fullmatch(rb"(?:(https?)://([^/?]*))?([^?]*)(?:\?(.*))?", text, re.IGNORECASE)
    refuse(not found, "form")
    assert found
    scheme, host, path, query = found.groups()
    refuse(host is None and not path.startswith(b"/"), "form")
    refuse(b"\\" in path, "backslash")
    return Target((scheme or b"").decode().lower(), host, path or b"/", query)


TARGET_WORDS = [b"http://", b"HTTPS://", b"a.example", b":80", b"?", b"/", b"*", b"a", b"[::1]"]
TARGET_WORDS += [b"#", b"\\", b" ", b"\xff", b"%zz"]
targets = st.lists(st.sampled_from(TARGET_WORDS), max_size=6).map(b"".join)


@given(targets | anything, st.sampled_from(["GET", "CONNECT", "OPTIONS"]))
def test_a_target_is_split_as_its_naive_twin_splits_it(text: bytes, method: str) -> None:
    try:
        wanted = naive_target(text, method)
    except RefusedError:
        with pytest.raises(RequestError):
            read_target(text, method)
        return
    assert read_target(text, method) == wanted


def test_a_refusal_says_its_word_and_its_status() -> None:
    with pytest.raises(RequestError) as refused:
        read_path(b"/a/../..")
    assert refused.value.args == ("above_root", 400)
    with pytest.raises(RequestError) as refused:
        read_path(b"/" + b"a" * 9_000)
    assert refused.value.args == ("target_too_long", 414)
