"""What tests of recordings share: masks, and recordings."""

from __future__ import annotations

from typing import Any

from l4lb.record.assembly import Reason, Recording
from l4lb.record.masks import Masks

MASKS = Masks(frozenset({b"X-Key"}))
SECRET = "hush-HUSH.1"  # in no test is a part of something else
NOW_NS = 1_796_064_901_123_456_789  # 2026-11-30 18:55:01.123456789


def request(*fields: str, start: str = "POST / HTTP/1.1") -> bytes:
    """Returns a head with these fields."""
    return "\r\n".join([start, *fields, "", ""]).encode()


def recording(**changed: Any) -> Recording:
    """Returns a recording of a request that has ended."""
    told = Recording(
        worker=0,
        number=42,
        record="debug",
        rule="all",
        request_head=request("Host: a"),
        request_body=b"asked",
        answer_head=b"HTTP/1.1 200 OK\r\n\r\n",
        answer_body=b"told",
        about={"status": 200},
        cut=frozenset(),
        reason=Reason.ENDED,
    )
    return told._replace(**changed)
