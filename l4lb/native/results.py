"""How a health check can end: the numbers the checker writes into the shared table, and their
words. The order is part of the table: append only."""

from __future__ import annotations

from enum import IntEnum


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


RESULT_WORDS = tuple(result.name.lower() for result in Result)
