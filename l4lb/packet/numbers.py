"""The numbers by which the kernel's maps know listeners, pools and backends. They outlive the
processes: another program finds them again by a digest of what each is.

Numbers are given from 0 on without gaps (csrc/packet/published.c looks no further than the first
free row). One that is not needed any more is kept as long as others are free, as flows may still
have it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping


class Numbers:
    """The numbers of one kind. known: those of an earlier program, by digest."""

    def __init__(self, maximum: int, known: Mapping[bytes, int] | None = None) -> None:
        self._maximum = maximum
        self._all: dict[bytes, int] = dict(known or {})  # the oldest first
        self._needed: set[bytes] = set()

    def __getitem__(self, digest: bytes) -> int:
        return self._all[digest]

    @property
    def all(self) -> Mapping[bytes, int]:
        return self._all

    def need(self, digests: Collection[bytes]) -> None:
        """Gives a number to each of these. Raises OverflowError if there are not enough."""
        self._needed = set(digests)
        for one in digests:
            if one not in self._all:
                self._all[one] = self._free()

    def _free(self) -> int:
        used = set(self._all.values())
        if len(used) < self._maximum:
            return next(number for number in range(self._maximum) if number not in used)
        for digest in self._all:
            if digest not in self._needed:
                return self._all.pop(digest)
        raise OverflowError(f"more than {self._maximum}")
