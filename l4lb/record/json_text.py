"""Secret members of JSON, masked in the text: what is no secret stays byte for byte.

The text is read from string to string, without a stack: a string before a colon is a name. So a
text that was cut anywhere is masked as far as it goes, several texts one after the other are masked
as one, and no depth is too deep. What is no JSON (a word without quotes, a comment, another
encoding than UTF-8) cannot be judged: from there on, everything is masked. Text inside of strings
is not looked at.
"""

from __future__ import annotations

import re

from l4lb.record.masks import STARS, Masks

# In front of a text: the mark of UTF-8, and what keeps scripts of other sites from reading it.
BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?(?:\)\]\}',?)?")
WIDE = re.compile(rb"\xfe\xff|\xff\xfe|[^\0]{0,3}\0")  # UTF-16 and UTF-32
LITERALS = (b"true", b"false", b"null", b"NaN", b"Infinity")
# What may stand between strings. \x1e is between the texts of RFC 7464.
GAP = re.compile(
    rb"(?:[ \t\r\n\x1e\[\]{}:,]++|-?[0-9][0-9.eE+\-]*+|-|(?:true|false|null|NaN|Infinity)\b)*+"
)
COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
SCALAR = re.compile(rb"[0-9a-zA-Z.+\-]++(?=[ \t\r\n,}\]]|\Z)")
NESTS = re.compile(rb'["\[\]{}]')
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
QUOTE, BACKSLASH = ord('"'), ord("\\")


def masked_json(text: bytes, masks: Masks) -> bytes:
    """Returns JSON without secrets. Takes any bytes."""
    if WIDE.match(text):
        return STARS
    begin = BEGIN.match(text)
    at, done = begin.end() if begin else 0, 0
    masked: list[bytes] = []
    known: dict[bytes, bool] = {}  # names of this text, because they come again and again
    while True:
        gap = GAP.match(text, at)
        at = gap.end() if gap else at
        if at == len(text) or text[at] != QUOTE:
            break
        end = _string_end(text, at + 1)
        colon = COLON.match(text, end)
        if colon is None or not _is_hidden(text[at + 1 : end - 1], masks, known):
            at = end
            continue
        at = colon.end()
        if at < len(text):
            masked += [text[done:at], b'"' + STARS + b'"']
            at = done = _value_end(text, at)
    if _is_cut_literal(text[at:]):
        return b"".join([*masked, text[done:]])
    return b"".join([*masked, text[done:at], STARS])


def _is_cut_literal(rest: bytes) -> bool:
    """Returns whether a text that ends so may have been cut."""
    return any(literal.startswith(rest) for literal in LITERALS)


def _string_end(text: bytes, begin: int) -> int:
    """Returns where a string ends, with its quote. begin: behind its first quote."""
    at = begin
    while (quote := text.find(b'"', at)) >= 0:
        back = quote
        while back > begin and text[back - 1] == BACKSLASH:
            back -= 1
        if (quote - back) % 2 == 0:
            return quote + 1
        at = quote + 1
    return len(text)


def _value_end(text: bytes, begin: int) -> int:
    """Returns where the value of a member ends. One that is no JSON ends with the text."""
    if text[begin] == QUOTE:
        return _string_end(text, begin + 1)
    if text[begin] in b"[{":
        return _nest_end(text, begin)
    scalar = SCALAR.match(text, begin)
    return scalar.end() if scalar else len(text)


def _nest_end(text: bytes, begin: int) -> int:
    """Returns where an array or an object ends."""
    depth, at = 0, begin
    while (sign := NESTS.search(text, at)) is not None:
        at = sign.end()
        if sign[0] == b'"':
            at = _string_end(text, at)
            continue
        depth += 1 if sign[0] in b"[{" else -1
        if depth == 0:
            return at
    return len(text)


def _is_hidden(raw: bytes, masks: Masks, known: dict[bytes, bool]) -> bool:
    if raw not in known:
        known[raw] = masks.hides(_name(raw))
    return known[raw]


def _name(raw: bytes) -> str:
    return ESCAPE.sub(_unescaped, raw.decode("utf-8", "replace"))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else ESCAPED.get(found[2], found[2])
