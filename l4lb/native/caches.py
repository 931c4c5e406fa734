"""Caches and what they keep, as l4lb/native/cache gives them."""

from __future__ import annotations

from typing import NamedTuple


class CacheRow(NamedTuple):
    """One cache in use. used: how often the row was given. at, bytes: its memory in the file of all
    caches."""

    row: int
    name: str
    used: int
    at: int
    bytes: int
