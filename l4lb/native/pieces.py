"""Pieces of recordings, as l4lb/native/record gives them."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A piece. kind: BEGIN, REQUEST, ANSWER, BODY or END. slot: row of the session. number: of the
    recording. rule, record: names, of BEGIN. cut: of END, a bit for each side."""

    kind: int
    slot: int
    number: int
    rule: str
    record: str
    data: bytes
    cut: int = 0
