"""Parses one HTTP/1 answer as it arrives, in pieces of any size. Pure; limits.py bounds it.

The parser accepts what browsers accept from lax servers: an empty line before the answer, several
spaces in the status line, bare line feeds. Answers with 1xx that announce another answer are
skipped; 101 is an answer.
"""

from __future__ import annotations

import re

from l4lb.checker.limits import ANSWER_BYTES_MAX, HEAD_BYTES_MAX, LINE_BYTES_MAX
from l4lb.checker.shown import quoted

STATUS_LINE = re.compile(rb"HTTP/1\.[0-9][ \t]+([0-9]{3})(?:[ \t]+(.*))?")
HEAD_END = re.compile(rb"\r?\n\r?\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
LENGTH = re.compile(rb"[0-9]{1,18}")
BEGINNING = b"HTTP/1."
SWITCHING = 101


class NotHttpError(Exception):
    """The data is not HTTP/1; the text says why."""


class Answer:
    """feed() takes data; status is 0 until the whole header has come. body: its first
    ANSWER_BYTES_MAX bytes. complete: nothing of the answer is missing."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._data = b""
        self._head_bytes = 0
        self._interim = 0
        self._left: int | None = None  # bytes left of the body, or of a chunk; None: up to the end
        self._chunked = False
        self._part = "size"  # the next part in chunked coding: size, data, end, trailer
        self._body = bytearray()
        self.status = 0
        self.reason = ""
        self.complete = False

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def pending(self) -> bytes:
        """The beginning of a header that is not complete."""
        return self._data

    def feed(self, data: bytes) -> None:
        """Takes data. Raises NotHttpError."""
        self._data += data
        while not self.status and self._take_head():
            pass
        if self.status and not self.complete:
            self._take_body()

    def end(self) -> None:
        """Ends a body without a length: the connection has ended."""
        if self.status and self._left is None and not self._chunked:
            self.complete = True

    # ---- the header ------------------------------------------------------------------------------

    def _take_head(self) -> bool:
        """Takes one header off the data. Returns False if it is incomplete, or was the last."""
        head = self._data.lstrip(b"\r\n")
        if not head.startswith(BEGINNING[: len(head)]):
            raise NotHttpError(f"got {quoted(head)}")
        found = HEAD_END.search(head)
        size = len(self._data) - len(head) + (found.end() if found else len(head))
        if self._head_bytes + size > HEAD_BYTES_MAX:
            many = f" after {self._interim} interim ones" if self._interim else ""
            raise NotHttpError(f"no answer{many} in {HEAD_BYTES_MAX} bytes of header")
        if found is None:
            return False
        self._head_bytes += size
        self._data = head[found.end() :]
        first, *lines = re.split(rb"\r?\n", head[: found.start()])
        status = STATUS_LINE.fullmatch(first.rstrip())
        if status is None:
            raise NotHttpError(f"got {quoted(first)}")
        code = int(status[1])
        if 100 <= code < 200 and code != SWITCHING:
            self._interim += 1
            return True
        self.status, self.reason = code, (status[2] or b"").decode("latin-1")
        self._frame(lines)
        return False

    def _frame(self, lines: list[bytes]) -> None:
        """Decides the length of the body by RFC 9112, 6.3."""
        lengths, codings = set(), []
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon and line[:1] not in (b" ", b"\t"):
                raise NotHttpError(f"got {quoted(line)} as a header")
            if name.lower() == b"content-length":
                lengths.add(value.strip())
            elif name.lower() == b"transfer-encoding":
                codings.append(value.strip().lower())
        connected = self._method == "CONNECT" and 200 <= self.status < 300
        if connected or self._method == "HEAD" or self.status in (SWITCHING, 204, 304):
            self._left = 0
        elif codings:
            self._chunked = codings[-1].rpartition(b",")[2].strip() == b"chunked"
        elif lengths:
            length = lengths.pop()
            if lengths or not LENGTH.fullmatch(length):
                raise NotHttpError(f"got a Content-Length of {quoted(length)}")
            self._left = int(length)

    # ---- the body --------------------------------------------------------------------------------

    def _take_body(self) -> None:
        if self._chunked:
            self._take_chunks()
            return
        data, self._data = self._data, b""
        self._keep(data if self._left is None else data[: self._left])
        if self._left is not None:
            self._left = max(0, self._left - len(data))
            self.complete = not self._left

    def _keep(self, data: bytes) -> None:
        self._body += data[: ANSWER_BYTES_MAX - len(self._body)]

    def _take_chunks(self) -> None:
        data, at = self._data, 0
        while not self.complete:
            if self._part == "data":
                assert self._left is not None
                part = data[at : at + self._left]
                self._keep(part)
                at += len(part)
                self._left -= len(part)
                if self._left:
                    break
                self._part = "end"
            end = data.find(b"\n", at)
            if (len(data) if end < 0 else end) - at > LINE_BYTES_MAX:
                raise NotHttpError(f"a chunk begins with more than {LINE_BYTES_MAX} bytes")
            if end < 0:
                break
            self._take_line(data[at:end].rstrip(b"\r"))
            at = end + 1
        self._data = data[at:]

    def _take_line(self, line: bytes) -> None:
        """Takes a line of chunked coding: a size, the end of a chunk, or a trailer."""
        if self._part == "trailer":
            self.complete = not line
        elif self._part == "end":
            if line:
                raise NotHttpError(f"got {quoted(line)} at the end of a chunk")
            self._part = "size"
        else:
            size = CHUNK_SIZE.fullmatch(line.strip())
            if size is None:
                raise NotHttpError(f"got {quoted(line)} as the size of a chunk")
            self._left = int(size[1], 16)
            self._part = "data" if self._left else "trailer"
