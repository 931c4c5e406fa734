"""Secrets in bodies of all kinds, and in what the access log tells."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.record import masking
from l4lb.record.masking import masked_about, masked_body
from l4lb.record.masks import STARS, USUAL_VALUES, Masks

from .making import MASKS, SECRET, request

FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json; charset=utf-8"
MULTIPART = 'Content-Type: multipart/form-data; boundary="B"'
PART = '--B\r\nContent-Disposition: form-data; name="token"\r\n\r\n{}\r\n--B--\r\n'


@pytest.mark.parametrize(
    ("field", "body"),
    [
        (FORM, "a=1&token={}"),
        (JSON, '{{"a":1,"token":"{}"}}'),
        ("CONTENT-TYPE:Application/Problem+JSON", '{{"token":"{}"}}'),
        ("Content-Type: application/x-ndjson", '{{"a":1}}\n{{"token":"{}"}}\n'),
        ("Content-Type: text/json", '{{"token":"{}"}}'),
        (MULTIPART, PART),
        ("Content-Type: text/plain\r\n" + JSON, '{{"token":"{}"}}'),
        ("Content-Type: text/plain, application/json", '{{"token":"{}"}}'),
    ],
)
def test_bodies_are_masked_by_their_kind(field: str, body: str) -> None:
    plain, masked = body.format(SECRET).encode(), body.format("***").encode()
    assert masked_body(plain, request(field), MASKS) == masked
    assert masked_body(masked, request(field), MASKS) == masked
    assert masked_body(plain, request(field), Masks(values=frozenset())) == plain


@pytest.mark.parametrize("field", ["A: 1", "Content-Type: text/plain", "Content-Type: image/png"])
def test_other_bodies_are_kept_as_they_came(field: str) -> None:
    body = b'token=x&{"token":"x"}\xff\0'
    assert masked_body(body, request(field), MASKS) == body


def test_a_body_of_which_nothing_can_be_known_is_masked_whole() -> None:
    assert masked_body(b"secret", request("no field"), MASKS) == b"***"
    assert masked_body(b"secret", b"", MASKS) == b"***"
    assert masked_body(b"secret", request("Content-Type: multipart/form-data"), MASKS) == b"***"
    assert masked_body(b"", b"", MASKS) == b""


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


TOLD = b'{"a":"' + b"abc" * 99 + b'","token":"%s","b":"c"}'
PACKED = {
    "gzip": gzip.compress(TOLD % SECRET.encode()),
    "X-Gzip": gzip.compress(TOLD[:20]) + gzip.compress(TOLD[20:] % SECRET.encode()),
    "deflate": zlib.compress(TOLD % SECRET.encode()),
    "identity,gzip,": gzip.compress(TOLD % SECRET.encode()),
    " deflate": raw_deflate(TOLD % SECRET.encode()),
}


def unpacked(data: bytes) -> bytes:
    return zlib.decompressobj(47).decompress(data)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_is_masked_inside(encoding: str) -> None:
    head = request(JSON, f"Content-Encoding: {encoding}")
    masked = masked_body(PACKED[encoding], head, MASKS)
    assert unpacked(masked) == TOLD % b"***"
    assert masked_body(masked, head, MASKS) == masked


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body_that_was_cut_is_masked_as_far_as_it_goes(encoding: str) -> None:
    head = request(JSON, f"Content-Encoding: {encoding}")
    for end in range(0, len(PACKED[encoding]), 5):
        body = PACKED[encoding][:end]
        masked = masked_body(body, head, MASKS)
        assert masked == body or SECRET[:2].encode() not in unpacked(masked)


def test_what_stands_behind_a_packed_body_hides_nothing() -> None:
    head = request(JSON, "Content-Encoding: gzip")
    assert masked_body(PACKED["gzip"] + bytes(9), head, MASKS) == STARS


def test_a_packed_body_without_secrets_stays_byte_for_byte() -> None:
    body = gzip.compress(b'{"a":1}', 1)
    assert masked_body(body, request(JSON, "Content-Encoding: gzip"), MASKS) == body


def test_what_cannot_be_unpacked_within_bounds_is_masked_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = request(JSON, "Content-Encoding: gzip")
    for encoding in ("br", "zstd", "gzip, br", "gzip, gzip"):
        head = request(JSON, f"Content-Encoding: {encoding}")
        assert masked_body(PACKED["gzip"], head, MASKS) == STARS
        assert masked_body(PACKED["gzip"], head.replace(b"json", b"text"), MASKS) == PACKED["gzip"]
    assert masked_body(b"no gzip", packed, MASKS) == STARS
    assert masked_body(PACKED["gzip"] + b"no gzip", packed, MASKS) == STARS
    many = gzip.compress(b"") * masking.MEMBERS_MAX + PACKED["gzip"]
    assert masked_body(many, packed, MASKS) == STARS
    monkeypatch.setattr(masking, "UNPACKED_MAX", len(TOLD % SECRET.encode()))
    assert masked_body(PACKED["gzip"], packed, MASKS) not in (PACKED["gzip"], STARS)
    monkeypatch.setattr(masking, "UNPACKED_MAX", len(TOLD % SECRET.encode()) - 1)
    assert masked_body(PACKED["gzip"], packed, MASKS) == STARS


@given(
    st.binary(max_size=60),
    st.lists(st.sampled_from([FORM, JSON, MULTIPART, "A: 1", "no field"]), max_size=2),
    st.sampled_from(["A: 1", "Content-Encoding: gzip", "Content-Encoding: deflate"]),
)
def test_any_bytes_are_taken_and_twice_is_the_same_as_once(
    body: bytes, fields: list[str], encoding: str
) -> None:
    for told in (body, gzip.compress(body), zlib.compress(body)):
        head = request(*fields, encoding)
        once = masked_body(told, head, MASKS)
        assert masked_body(once, head, MASKS) == once


# ---- the line of the access log, and names ----


def test_urls_are_masked_wherever_the_access_log_has_them() -> None:
    about = {
        "status": 200,
        "target": "/a?token=x&b=1",
        "referer": "https://u:p@h/#sig=x",
        "session": 7,
        "nested": {"a": ["/?pwd=x", 1.5, None, True], "b": ("/?c=1",)},
        "odd": "\udcff?token=x",
    }
    masked = masked_about(about, MASKS)
    assert masked == {
        "status": 200,
        "target": "/a?token=***&b=1",
        "referer": "https://u:***@h/#sig=***",
        "session": 7,
        "nested": {"a": ["/?pwd=***", 1.5, None, True], "b": ["/?c=1"]},
        "odd": "\udcff?token=***",
    }
    assert masked_about(masked, MASKS) == masked
    assert json.dumps(masked)


def test_what_is_nested_too_deep_is_masked() -> None:
    deep: object = "secret"
    for _ in range(2_000):
        deep = [deep]
    assert "secret" not in str(masked_about({"a": deep}, MASKS))


def test_names_of_masks_are_compared_without_case() -> None:
    masks = Masks(frozenset({b"X-Key"}), frozenset({"Straße", "API_Key", "-"}))
    assert b"x-api-key" in Masks().fields
    assert masks == Masks(frozenset({b"x-key"}), frozenset({"strasse", "api-key"}))
    for name in (
        "STRASSE",
        "straße",
        "api_key",
        "apiKey",
        "Api-Key ",
        "a[api_KEY][]",
        "a.b.apikey",
        "apikey[]",
        "api_key[0][a]",
    ):
        assert masks.hides(name)
    for name in ("", "_", "[]", "api", "key", "apikeys", "my_api_key", "api.key", "apikey.a"):
        assert not masks.hides(name)


@pytest.mark.parametrize("name", sorted(USUAL_VALUES))
def test_usual_names_are_masked_as_languages_write_them(name: str) -> None:
    first, *words = name.replace("-", "_").split("_")
    camel = first + "".join(map(str.capitalize, words))
    assert all(map(MASKS.hides, (name, name.upper(), camel, name.replace("_", "-"))))


def test_what_stands_behind_the_name_of_a_kind_hides_nothing() -> None:
    head = request(f"{FORM} x")
    assert masked_body(f"a=1&token={SECRET}".encode(), head, MASKS) == b"a=1&token=***"
    head = request(FORM, "Content-Encoding: ,identity,")
    assert masked_body(b"token=a", head, MASKS) == b"token=***"
