"""Health in the shared table: the numbers written there and their words, and one backend's health
as it is read. The order of words is part of the table: append only."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Result(IntEnum):
    """How one check ended."""

    NEVER = 0
    OK = 1
    REFUSED = 2
    TIMEOUT = 3
    UNREACHABLE = 4
    RESET = 5
    NO_SOCKET = 6  # this host had no descriptor or memory: says nothing of the backend
    ERROR = 7
    ANSWER = 8  # it answered, but not what was expected
    CLOSED = 9  # it ended the connection before it had answered
    TLS = 10  # no handshake, or a certificate that is not accepted
    STALLED = 11  # the checker itself was stopped meanwhile: says nothing of the backend


RESULT_WORDS = tuple(result.name.lower() for result in Result)

OWN_FAULTS = frozenset((Result.NO_SOCKET, Result.STALLED))
CHECK_KINDS = ("", "tcp", "http", "https", "tls", "udp", "dns", "exec", "grpc", "agent")
CAUSES = ("", "connect", "reset")  # why a backend was ejected


class HealthRow(NamedTuple):
    """One backend's health. Times are CLOCK_MONOTONIC milliseconds, 0 for never.

    verdict is the checks' own word, whatever the agent or sessions say; kind, code, text and
    cert_end_s (seconds since 1970) are the last check's. The rest is what sessions told: cause and
    error of the last ejection, and the failures in a row since. told is the health that the last
    event told of, "" for none."""

    verdict: str
    kind: str
    code: int
    text: str
    cert_end_s: int
    agent: str
    weight_change: int
    ejected_until_ms: int
    ejected_at_ms: int
    eject_ms: int
    ejections: int
    cause: str
    error: int
    unreached: int
    resets: int
    told: str
