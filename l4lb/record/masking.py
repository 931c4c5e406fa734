"""Secrets of a recording, replaced by `***`: in heads, in bodies, in the line of the access log.

Everything here is pure, takes any bytes, and needs time in proportion to their number. What is no
secret stays as it was. What is masked twice is the same as masked once.

Bodies are looked into whose Content-Type is a form (urlencoded or multipart) or JSON; others are
kept as they came. A body that gzip or deflate has packed is unpacked for that, up to UNPACKED_MAX,
and packed again if there was a secret in it. One with another Content-Encoding (br, zstd, several),
one that is larger, or one that is not what it says cannot be looked into: it is masked whole.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from l4lb.record import json_text, multipart, url
from l4lb.record.head import masked_head, parsed
from l4lb.record.masks import STARS, Masks

__all__ = ["masked_about", "masked_body", "masked_head"]

UNPACKED_MAX = 8 << 20  # bytes of a body that was packed
MEMBERS_MAX = 64  # of gzip in one body
NEST_MAX = 16  # of what the access log tells
GZIP, ZLIB, DEFLATE = 31, 15, -15  # zlib's windowBits
FORMATS = {b"gzip": (GZIP,), b"x-gzip": (GZIP,), b"deflate": (ZLIB, DEFLATE)}
QUERY = "query"  # the key of a URL's arguments in the access log
FORM = b"application/x-www-form-urlencoded"

Masker = Callable[[bytes], bytes]


def masked_body(body: bytes, head: bytes, masks: Masks) -> bytes:
    """Returns a body without secrets, also one that was cut. head: of the same side, as it came. If
    the head cannot be read, nothing is known of the body, and all of it is masked."""
    if body in (b"", STARS) or not masks.values:
        return body
    whole = parsed(head)
    if whole.odd or not whole.start:
        return STARS
    maskers = _maskers(b",".join(whole.values(b"content-type")), masks)
    codings = _codings(whole.values(b"content-encoding"))
    if not maskers or not codings:
        return _masked(body, maskers)
    unpacked = _unpacked(body, codings[0]) if len(codings) == 1 else None
    if unpacked is None:
        return STARS
    masked = _masked(unpacked, maskers)
    if masked == unpacked:
        return body
    return _packed(masked, codings[0])


def _codings(values: list[bytes]) -> list[bytes]:
    """Returns what packs a body, in lower case. Empty members of a list say nothing (RFC 9110,
    5.6.1), nor does `identity`."""
    found = [one.strip() for one in b",".join(values).lower().split(b",")]
    return [one for one in found if one not in (b"", b"identity")]


def _maskers(content_types: bytes, masks: Masks) -> list[Masker]:
    """Returns how to mask a body. content_types: several if a head has several, because nobody
    knows which of them its reader believes."""
    maskers: list[Masker] = []
    for one in content_types.split(b","):
        kind = b"".join(one.partition(b";")[0].lower().split()[:1])  # as PHP reads it
        if kind == FORM:
            maskers.append(partial(url.masked_form, masks=masks))
        elif b"json" in kind:  # application/json, +json, x-ndjson, json-seq
            maskers.append(partial(json_text.masked_json, masks=masks))
        elif kind == b"multipart/form-data":
            boundary = multipart.boundary_of(content_types)
            maskers.append(partial(multipart.masked_multipart, boundary=boundary, masks=masks))
    return maskers


def _masked(body: bytes, maskers: list[Masker]) -> bytes:
    for masker in maskers:
        body = masker(body)
    return body


def _unpacked(body: bytes, encoding: bytes) -> bytes | None:
    """Returns what is in a packed body, as far as it goes; None: it cannot be known."""
    for bits in FORMATS.get(encoding, ()):
        found = _inflated(body, bits)
        if found is not None:
            return found
    return None


def _inflated(body: bytes, bits: int) -> bytes | None:
    found = b""
    for _ in range(MEMBERS_MAX):
        stream = zlib.decompressobj(bits)
        try:
            found += stream.decompress(body, UNPACKED_MAX + 1 - len(found))
        except zlib.error:
            return None
        if len(found) > UNPACKED_MAX:
            return None
        body = stream.unused_data
        if not body or bits != GZIP:
            return found
    return None


def _packed(body: bytes, encoding: bytes) -> bytes:
    if FORMATS[encoding] == (GZIP,):
        return gzip.compress(body, mtime=0)
    return zlib.compress(body)


def masked_about(about: Mapping[str, object], masks: Masks) -> dict[str, object]:
    """Returns what the access log tells of a request, with its URLs masked wherever they are."""
    told = {key: _masked_told(value, masks, 1) for key, value in about.items()}
    query = told.get(QUERY)
    if isinstance(query, str):
        told[QUERY] = _masked_text(query, lambda text: url.masked_form(text, masks))
    return told


def _masked_text(value: str, mask: Callable[[bytes], bytes]) -> str:
    return mask(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _masked_told(value: object, masks: Masks, depth: int) -> object:
    if isinstance(value, str):
        return _masked_text(value, lambda text: url.masked_url(text, masks))
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == NEST_MAX:
        return STARS.decode()
    if isinstance(value, Mapping):
        return {key: _masked_told(one, masks, depth + 1) for key, one in value.items()}
    return [_masked_told(one, masks, depth + 1) for one in value]
