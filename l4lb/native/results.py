"""Health in the shared table: its numbers, their words, and one backend's health as it is read. The
order of the words is part of the table's layout: append only."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Result(IntEnum):
    """The result of one check."""

    NEVER = 0
    OK = 1
    REFUSED = 2
    TIMEOUT = 3
    UNREACHABLE = 4
    RESET = 5
    NO_SOCKET = 6  # this host had no descriptor or memory: no evidence about the backend
    ERROR = 7
    ANSWER = 8  # the answer was not the expected one
    CLOSED = 9  # the backend closed the connection before it had answered
    TLS = 10  # the handshake failed, or the certificate was refused
    STALLED = 11  # the checker was stopped meanwhile: no evidence about the backend


RESULT_WORDS = tuple(result.name.lower() for result in Result)

OWN_FAULTS = frozenset((Result.NO_SOCKET, Result.STALLED))
# The index is the number in the table. There is no grpc check; its number is kept.
CHECK_KINDS = ("", "tcp", "http", "https", "tls", "udp", "dns", "exec", "grpc", "agent")
CAUSES = ("", "connect", "reset")  # why a backend was ejected


class HealthRow(NamedTuple):
    """One backend's health. Times are CLOCK_MONOTONIC milliseconds, 0 for never.

    verdict: the health by checks alone, whatever the agent or sessions say. kind, code, text,
    cert_end_s (seconds since 1970): of the last check. cause, error: of the last ejection.
    unreached, resets: failures of sessions in a row since. told: the health in the last event, ""
    for none.
    """

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
