"""Secret parts of a form that is sent as multipart/form-data (RFC 7578).

What cannot be read is masked: a part without a name or with too long a head, what stands before the
first part and behind the last, and a body without any line of its boundary.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from l4lb.record.masks import STARS, Masks

PART_HEAD_MAX = 8 << 10
BOUNDARY = re.compile(rb'boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^",; \t]+))', re.IGNORECASE)
HEAD_END = re.compile(rb"\n\r?\n")
FIRST_LINE = re.compile(rb"[ \t]*\r?\n")
NAME = re.compile(
    r'(?<![\w*-])name(\*?)\s*=\s*("(?:[^"\\]|\\.)*+"?|[^;\s]*+)', re.DOTALL | re.IGNORECASE
)


def boundary_of(content_type: bytes) -> bytes | None:
    """Returns the boundary that a Content-Type names; None: none, or several."""
    found = {quoted or bare for quoted, bare in BOUNDARY.findall(content_type)}
    return found.pop() if len(found) == 1 else None


def masked_multipart(body: bytes, boundary: bytes | None, masks: Masks) -> bytes:
    """Returns a form without secrets. Takes any bytes."""
    if not boundary:
        return STARS
    line = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary))
    marks = list(line.finditer(body))
    if not marks:
        return STARS
    masked = [STARS if marks[0].start() else b""]
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    for mark, end in zip(marks, ends, strict=True):
        masked += [mark[0], _masked_part(body[mark.end() : end], masks)]
    return b"".join(masked)


def _masked_part(part: bytes, masks: Masks) -> bytes:
    """part: what stands behind the boundary."""
    if part.startswith(b"--"):
        return part if part.strip() == b"--" else b"--\r\n" + STARS
    if not part.strip(b" \t\r\n-"):
        return part  # cut here
    first, end = FIRST_LINE.match(part), HEAD_END.search(part)
    if first is None or end is None or end.end() > PART_HEAD_MAX:
        return b"\r\n\r\n" + STARS
    head = part[: end.end()]
    names = [_decoded(*found) for found in NAME.findall(head.decode("utf-8", "replace"))]
    is_secret = not names or any(masks.hides(one) for several in names for one in several)
    return head + STARS if is_secret else part


def _decoded(star: str, raw: str) -> tuple[str, str]:
    """Returns what a name may mean: as it stands, and with %41 decoded."""
    text = re.sub(r"\\(.)", r"\1", raw.strip('"'), flags=re.DOTALL)
    if star:
        text = text.rpartition("'")[2]  # UTF-8''name
    return text, unquote(text, errors="replace")
