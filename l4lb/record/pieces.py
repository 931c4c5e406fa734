"""What workers send to the recorder: requests and answers in pieces, as they pass.

The pieces of one number come in this order: Begin, then Data and Answer, then End. Between them are
those of other numbers. A worker that has cut a side sends nothing more of this side: what there is
of a body is its begin, without holes. A number that its worker does not end, because it has died or
had no room for the end, is ended by who reads the rings (rings.py); at the end of the service, by
the Gone of its worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Side(StrEnum):
    """Who has sent a body."""

    REQUEST = "request"
    ANSWER = "answer"


class Begin(NamedTuple):
    """A request that is recorded. number: no other of the worker has it. record: the name of the
    recording in the configuration. rule: what has chosen the request. head: as the client sent it,
    with its empty line; what stands behind that is the begin of the body."""

    worker: int
    number: int
    record: str
    rule: str
    head: bytes


class Data(NamedTuple):
    """More of a body. data: without the frames of chunks."""

    worker: int
    number: int
    side: Side
    data: bytes


class Answer(NamedTuple):
    """The answer's head as the client gets it. What stands behind its empty line is the begin of
    its body. Another Answer of the number takes the place of the one before, with its body."""

    worker: int
    number: int
    head: bytes


class End(NamedTuple):
    """The request has ended. about: its line of the access log. cut: the sides whose bodies the
    worker has cut."""

    worker: int
    number: int
    about: Mapping[str, object]
    cut: frozenset[Side] = frozenset()


class Gone(NamedTuple):
    """The worker has ended, and sends nothing more."""

    worker: int


Piece = Begin | Data | Answer | End | Gone
