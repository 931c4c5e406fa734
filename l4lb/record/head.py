"""Heads of requests and answers: their lines, and what is secret in them.

A head is read as strictly as a server may: from the first line on that is no field, nothing can be
said about it, and all of it is masked. A line that begins with a space belongs to the field before.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from l4lb.record.masks import STARS, Masks
from l4lb.record.url import masked_url

LINE = re.compile(rb"[^\n]*\n|[^\n]+")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*")
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
EMPTY_LINES = re.compile(rb"(?:\r?\n)*+")
HEAD_END = re.compile(rb"\n\r?\n")
START = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+|HTTP/[0-9](?:\.[0-9])?) ")
VERSION = re.compile(rb"HTTP/[0-9](?:\.[0-9])?")
LINK_PARTS = re.compile(rb'(<[^>]*>?|"(?:[^"\\]|\\.)*+"?)', re.DOTALL)
SCHEME_MAX = 32  # a longer word before a secret is part of it
CREDENTIALS = frozenset({b"authorization", b"proxy-authorization"})
COOKIE_ATTRIBUTES = frozenset({
    b"domain", b"expires", b"httponly", b"max-age", b"partitioned", b"path", b"priority",
    b"samesite", b"secure",
})  # fmt: skip


class Field(NamedTuple):
    """A header field. name: in lower case. prefix: what stands before the value. end: of its last
    line. raw: all of it."""

    name: bytes
    prefix: bytes
    value: bytes
    end: bytes
    raw: bytes


class Head(NamedTuple):
    """start: the first line, with empty ones before it. empty: the line that ends the head. odd:
    from the first line on that cannot be read; b"": all can be."""

    start: bytes
    fields: tuple[Field, ...]
    empty: bytes
    odd: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Returns the values of all fields of this name."""
        return [field.value for field in self.fields if field.name == name]


def split_head(data: bytes) -> tuple[bytes, bytes]:
    """Returns a head with its empty line, and what stands behind it."""
    begin = EMPTY_LINES.match(data)
    found = HEAD_END.search(data, begin.end() if begin else 0)
    return (data[: found.end()], data[found.end() :]) if found else (data, b"")


def parsed(head: bytes) -> Head:
    """Returns the lines of a head. No bytes are an error."""
    begin = EMPTY_LINES.match(head)
    lines = LINE.findall(head, begin.end() if begin else 0)
    if not lines or not START.match(lines[0]) or _is_odd(lines[0]):
        return Head(b"", (), b"", head)
    at, fields = 1, []
    while at < len(lines) and _content(lines[at]):
        end = at + 1
        while end < len(lines) and lines[end][:1] in (b" ", b"\t"):
            end += 1
        field = _field(lines[at:end])
        if field is None:
            break
        fields.append(field)
        at = end
    empty = lines[at] if at < len(lines) and not _content(lines[at]) else b""
    at += bool(empty)
    start = head[: begin.end() if begin else 0] + lines[0]
    return Head(start, tuple(fields), empty, b"".join(lines[at:]))


def _field(lines: list[bytes]) -> Field | None:
    """Returns a field of its lines; None: it is none."""
    found = FIELD.match(lines[0])
    if found is None or any(map(_is_odd, lines)):
        return None
    first, *more = map(_content, lines)
    value = b" ".join([part.strip(b" \t") for part in (first[found.end() :], *more)]).lstrip()
    end = lines[-1][len(_content(lines[-1])) :]
    return Field(found[1].lower(), found[0], value, end, b"".join(lines))


def _content(line: bytes) -> bytes:
    """Returns a line without its end."""
    return line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line


def _is_odd(line: bytes) -> bool:
    content = _content(line)
    return b"\r" in content or b"\0" in content


def masked_head(head: bytes, masks: Masks) -> bytes:
    """Returns the head of a request or of an answer without secrets. Takes any bytes."""
    whole = parsed(head)
    masked = [_masked_start(whole.start, masks)]
    for field in whole.fields:
        value = _masked_value(field.name, field.value, masks)
        is_same = value == field.value
        masked.append(field.raw if is_same else field.prefix + value + field.end)
    masked.append(whole.empty)
    if whole.odd:
        masked.append(STARS + b"\r\n\r\n")
    return b"".join(masked)


def _masked_start(start: bytes, masks: Masks) -> bytes:
    line = _content(start)
    end = start[len(line) :]
    method, space, rest = line.partition(b" ")
    target, space_too, version = rest.rpartition(b" ")
    if not VERSION.fullmatch(version):
        target, space_too, version = rest, b"", b""
    is_host = method.lstrip(b"\r\n").upper() == b"CONNECT"
    return method + space + masked_url(target, masks, authority=is_host) + space_too + version + end


def _masked_value(name: bytes, value: bytes, masks: Masks) -> bytes:
    if name in masks.fields or masks.hides(name.decode("ascii")):
        return STARS
    if name in CREDENTIALS:
        return _masked_credentials(value)
    if name == b"cookie":
        return _masked_cookies(value, keeps_attributes=False)
    if name == b"set-cookie":
        return _masked_cookies(value, keeps_attributes=True)
    if name == b"link":
        return b"".join([_masked_link_part(part, masks) for part in LINK_PARTS.split(value)])
    return masked_url(value, masks)  # Location, Referer, and who knows which others


def _masked_link_part(part: bytes, masks: Masks) -> bytes:
    """Masks a URL in <> or in quotes, or what stands between those."""
    if part[:1] in (b"<", b'"'):
        end = -1 if part[1:].endswith((b">", b'"')) else len(part)
        return part[:1] + masked_url(part[1:end], masks) + part[end:]
    return masked_url(part, masks)


def _masked_credentials(value: bytes) -> bytes:
    scheme, space, _ = value.partition(b" ")
    is_scheme = space and len(scheme) <= SCHEME_MAX and TOKEN.fullmatch(scheme)
    return scheme + b" " + STARS if is_scheme else STARS


def _masked_cookies(value: bytes, *, keeps_attributes: bool) -> bytes:
    """Masks the values of cookies. keeps_attributes: the first only is a cookie's."""
    masked: list[bytes] = []
    is_quoted = False  # a quoted value goes on: some servers do not end it at a semicolon
    for at, piece in enumerate(value.split(b";")):
        if is_quoted:
            is_quoted = piece.count(b'"') % 2 == 0
            continue
        name, equals, text = piece.partition(b"=")
        if at and keeps_attributes and _is_attribute(name, text):
            masked.append(piece)
            continue
        is_quoted = piece.count(b'"') % 2 == 1
        masked.append(name + equals + STARS if equals else _stars_of(piece))
    return b";".join(masked)


def _is_attribute(name: bytes, text: bytes) -> bool:
    return name.strip().lower() in COOKIE_ATTRIBUTES and not (b"=" in text or b'"' in text)


def _stars_of(piece: bytes) -> bytes:
    """Returns what stands for a cookie without a name: nothing for nothing."""
    bare = piece.lstrip()
    return piece[: len(piece) - len(bare)] + STARS if bare else piece
