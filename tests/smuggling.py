"""The corpus of smuggling.toml, and a naive reader of messages in their normal form."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

CORPUS = tomllib.loads((Path(__file__).parent / "smuggling.toml").read_text())


@dataclass(frozen=True)
class Request:
    """What a client sends: messages for the backend, then perhaps a fault with its status."""

    says: str
    sent: bytes
    forwarded: list[bytes]
    refused: int | None


@dataclass(frozen=True)
class Answer:
    """What a backend sends: bytes for the client; None: an answer that is refused."""

    says: str
    asked: str
    sent: bytes
    received: bytes | None
    closes: bool
    cut: bool


REQUESTS = [
    Request(
        case["says"],
        case["sent"].encode("latin-1"),
        [message.encode("latin-1") for message in case.get("forwarded", [])],
        case.get("refused"),
    )
    for case in CORPUS["request"]
]
ANSWERS = [
    Answer(
        case["says"],
        case.get("asked", "GET"),
        case["sent"].encode("latin-1"),
        case["received"].encode("latin-1") if "received" in case else None,
        case.get("closes", False),
        case.get("cut", False),
    )
    for case in CORPUS["answer"]
]


def one_chunk(data: bytes) -> bytes:
    """A body in chunks in its normal form."""
    return (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"


def _take_chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    data = b""
    while line := re.match(rb"([0-9a-f]+)\r\n", rest):
        size = int(line.group(1), 16)
        end = line.end() + size + 2
        if len(rest) < end:
            return None
        data += rest[line.end() : end - 2]
        rest = rest[end:]
        if size == 0:
            return one_chunk(data), rest
    return None


def take_message(stream: bytes, bodiless: bool = False) -> tuple[bytes, bytes] | None:
    """Takes the first message off a stream of messages that l4lb wrote: (message in its normal
    form, what follows it); None if it is not whole."""
    head, end, rest = stream.partition(b"\r\n\r\n")
    if not end:
        return None
    head += end
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    if bodiless or re.match(rb"HTTP/1.1 (1|204|304)", head):
        return head, rest
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        taken = _take_chunks(rest)
        return (head + taken[0], taken[1]) if taken else None
    size = int(length.group(1)) if length else 0
    return (head + rest[:size], rest[size:]) if len(rest) >= size else None
