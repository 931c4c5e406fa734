"""Secrets in URLs: passwords before a host, and values of arguments.

A text may be a URL, the target of a request, a form, or a sentence with a URL in it: passwords are
found after `//` wherever it stands, and arguments after any `?`, `#`, `&` or `;`. A value ends at
the next `&` only: servers do not agree about the other signs, so none of them ends a secret. An
argument whose value is itself a URL, with its signs encoded, is masked as one.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from l4lb.record.masks import STARS, Masks

NEST_MAX = 3  # URLs as values in URLs
QUERY = re.compile(rb"[?#]")
BEGINS = re.compile(rb"[?#;]")  # where an argument may begin in what stands between two `&`
MAY_HIDE = re.compile(rb"[=%/\\]")
ENDS_AUTHORITY = re.compile(rb"([/\\?#\s]+)")
AUTHORITY = re.compile(rb"[/\\]{2}")  # browsers take one for the other
# A user, and a password that was cut before its host: a port has digits only.
CUT_AUTHORITY = re.compile(rb"""([^:\[\]<>"',;]*:)(?![0-9]*\Z)[^<>"',;]*\Z""")


def masked_url(text: bytes, masks: Masks, *, authority: bool = False, depth: int = 0) -> bytes:
    """Returns a URL, or a text with one, without secrets. authority: it begins with a host."""
    found = QUERY.search(text)
    at = found.start() if found else len(text)
    path = _masked_authorities(text[:at], authority=authority)
    return path + _masked_pieces(text[at:], masks, depth)


def masked_form(text: bytes, masks: Masks) -> bytes:
    """Returns the arguments of a query or of a form without secrets."""
    return _masked_pieces(text, masks, 0)


def _masked_pieces(text: bytes, masks: Masks, depth: int) -> bytes:
    return b"&".join([_masked_piece(piece, masks, depth) for piece in text.split(b"&")])


def _masked_piece(piece: bytes, masks: Masks, depth: int) -> bytes:
    """Masks what stands between two `&`."""
    if not MAY_HIDE.search(piece):
        return piece
    begin = 0
    while True:
        sign = BEGINS.search(piece, begin)
        end = sign.start() if sign else len(piece)
        equals = piece.find(b"=", begin, end)
        if equals >= 0 and masks.hides(_decoded(piece[begin:equals])):
            return _masked_authorities(piece[: equals + 1]) + STARS
        if sign is None:
            break
        begin = sign.end()
    return _masked_nested(_masked_authorities(piece), masks, depth)


def _decoded(name: bytes) -> str:
    return unquote_to_bytes(name.replace(b"+", b" ")).decode("utf-8", "replace")


def _masked_nested(piece: bytes, masks: Masks, depth: int) -> bytes:
    """Masks a URL that is a value and has its signs encoded. It stays encoded."""
    if b"%" not in piece or depth == NEST_MAX:
        return piece
    at = piece.find(b"=") + 1 or len(piece) - len(piece.lstrip(b"?#;"))
    plain = unquote_to_bytes(piece[at:])
    masked = masked_url(plain, masks, depth=depth + 1)
    if masked == plain:
        return piece
    return piece[:at] + quote_from_bytes(masked, safe="*+").encode("ascii")


def _masked_authorities(text: bytes, *, authority: bool = False) -> bytes:
    """Masks the passwords of user:password@host. authority: also where the text begins."""
    if not authority and not AUTHORITY.search(text):
        return text
    parts = ENDS_AUTHORITY.split(text)
    for at in range(0, len(parts), 2):
        if AUTHORITY.fullmatch(parts[at - 1][-2:]) if at else authority:
            parts[at] = _masked_authority(parts[at], is_last=at == len(parts) - 1)
    return b"".join(parts)


def _masked_authority(text: bytes, *, is_last: bool) -> bytes:
    host = text.rfind(b"@")
    if host >= 0:
        password = text.find(b":", 0, host)
        return text if password < 0 else text[: password + 1] + STARS + text[host:]
    cut = CUT_AUTHORITY.match(text) if is_last else None
    return cut[1] + STARS if cut else text
