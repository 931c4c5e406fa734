"""The state of a cache's folder, which decides whether its files may be used.

The name of a file is made with a key that only the state has. With another key, the files of before
are out of reach: they need no removal then, and leave as those that nobody uses. So whatever is
doubtful begins with a new key. Pure: bytes in, a State out.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgpack

FORMAT = 1
KEY_BYTES = 16
PURGES_MAX = 4_000
BYTES_MAX = 1 << 20  # of the file; PURGES_MAX purges take a quarter
EPOCH_MAX = (1 << 24) - 1  # stamps have 24 bits for it (csrc/cache/ban.h)
WORD_MAX = (1 << 64) - 1
TEXT_MAX = 256
POWER = "the machine ended without warning"


class Purge(NamedTuple):
    """One purge, as l4lb/native/cache gives it. Stamps grow: an answer with a smaller one is older
    than the purge."""

    stamp: int
    cache: int
    kind: int
    hash: int
    bytes: int
    soft: bool


@dataclass(frozen=True)
class State:
    """cache: the name of the cache. boot_id: of the kernel that ran when the state was written.
    clean: the service ended in order, and all files are on the disk. epoch: larger in each program
    that begins, so that stamps grow. floor: answers with a smaller stamp may have met a purge that
    is not among `purges`."""

    key: bytes
    cache: str
    boot_id: str
    clean: bool = False
    epoch: int = 0
    floor: int = 0
    purges: tuple[Purge, ...] = ()


def begun(before: State | None, cache: str, boot_id: str) -> tuple[State, str]:
    """Returns the state of a service that begins, not clean, and why its key is a new one; "": it
    is the key of before."""
    new = State(secrets.token_bytes(KEY_BYTES), cache, boot_id)
    if before is None:
        return new, "there is no state"
    new = replace(new, epoch=before.epoch)
    if before.cache != cache:
        return new, f"it was the folder of the cache {before.cache}"
    if not before.clean and (before.boot_id != boot_id or not boot_id):
        return new, POWER
    return replace(before, boot_id=boot_id, clean=False), ""


def merged(purges: Iterable[Sequence[Any]], floor: int) -> tuple[tuple[Purge, ...], int]:
    """Returns the newest purges, oldest first, and the floor that stands for all others."""
    rows = sorted({Purge(*one) for one in purges})
    left_out = rows[:-PURGES_MAX]
    return tuple(rows[len(left_out) :]), max(floor, left_out[-1].stamp if left_out else 0)


def packed(state: State) -> bytes:
    """Returns the state as the bytes of its file."""
    return bytes(
        msgpack.packb(
            {
                "format": FORMAT,
                "key": state.key,
                "cache": state.cache,
                "boot_id": state.boot_id,
                "clean": state.clean,
                "epoch": state.epoch,
                "floor": state.floor,
                "purges": [list(one) for one in state.purges],
            }
        )
    )


def unpacked(data: bytes) -> State:
    """Returns the state in these bytes, which may be anything. Raises ValueError."""
    if len(data) > BYTES_MAX:
        raise ValueError("it is too large")
    told = msgpack.unpackb(data)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ValueError("it has a format that this version does not know")
    purges = told.get("purges")
    if not isinstance(purges, list) or len(purges) > PURGES_MAX:
        raise ValueError("its purges make no sense")
    state = State(
        told.get("key", b""),
        told.get("cache", ""),
        told.get("boot_id", ""),
        told.get("clean", ""),
        told.get("epoch", -1),
        told.get("floor", -1),
        tuple(map(_purge, purges)),
    )
    if not _is_sound(state):
        raise ValueError("its values make no sense")
    return state


def _purge(row: object) -> Purge:
    if not isinstance(row, list) or len(row) != len(Purge._fields):
        raise ValueError("a purge makes no sense")
    *numbers, soft = row
    if not all(_is_number(one, WORD_MAX) for one in numbers) or type(soft) is not bool:
        raise ValueError("a purge makes no sense")
    return Purge(*row)


def _is_number(value: object, maximum: int) -> bool:
    return type(value) is int and 0 <= value <= maximum


def _is_sound(state: State) -> bool:
    return (
        type(state.key) is bytes
        and len(state.key) == KEY_BYTES
        and all(type(one) is str and len(one) <= TEXT_MAX for one in (state.cache, state.boot_id))
        and type(state.clean) is bool
        and _is_number(state.epoch, EPOCH_MAX - 1)
        and _is_number(state.floor, WORD_MAX)
    )
