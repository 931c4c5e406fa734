"""Sets of networks: which number each has, what is in it, and when it is built anew.

A set is what several listeners may share: their access rules or trusted proxies, known by its
content. Files are looked at every second (their inode, size and time of change, symlinks
followed); one that can no longer be read leaves the last good set in force, with a warning.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import l4lb.log
from l4lb.config.tables.edge import Access
from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.native.table import Table

LOG = l4lb.log.get("supervisor")
FILE_BYTES_MAX = 256 << 20

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Content:
    """What is in a set: (networks as text, value) pairs, and (path, value) of files."""

    lists: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of_access(cls, access: Access) -> Content:
        """A listener's rules."""
        lists = ((access.allow, sets.ALLOW), (access.deny, sets.DENY))
        files = ((access.allow_file, sets.ALLOW), (access.deny_file, sets.DENY))
        return cls(
            tuple(("\n".join(networks), value) for networks, value in lists if networks),
            tuple((path, value) for path, value in files if path),
        )

    @classmethod
    def of_networks(cls, networks: Iterable[str]) -> Content:
        """Networks that are only in it or not."""
        return cls((("\n".join(networks), sets.ALLOW),))


class Sets:
    """All sets of one table. Set 0, the blocked sources, is somebody else's content."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._numbers: dict[Content, int] = {Content(()): sets.BLOCKS}
        self._stamps: dict[int, dict[str, Stamp]] = {}

    def replace(self, contents: Iterable[Content]) -> Mapping[Content, int]:
        """Puts these sets in force, in place of those there were; returns their numbers.

        Raises L4lbError that names file and line; then nothing has changed."""
        wanted = dict.fromkeys(contents)
        numbers = {Content(()): sets.BLOCKS} | {
            one: self._numbers[one] for one in wanted if one in self._numbers
        }
        free = (n for n in range(1, sets.SETS_MAX) if n not in set(self._numbers.values()))
        fresh = [one for one in wanted if one not in numbers]
        try:
            numbers |= {one: next(free) for one in fresh}
        except StopIteration:
            raise L4lbError(f"more than {sets.SETS_MAX} different lists of networks") from None
        if fresh or set(numbers) != set(self._numbers):
            self._build({numbers[one]: one for one in fresh}, set(numbers.values()))
        self._numbers = numbers
        return numbers

    def block(self, lists: list[tuple[bytes, int]]) -> None:
        """Replaces the blocked sources."""
        kept = set(self._numbers.values()) - {sets.BLOCKS}
        sets.rebuild(self._table, {sets.BLOCKS: lists}, kept)

    def look_at_files(self) -> bool:
        """Builds the sets anew whose files have changed. True: some were."""
        changed = {
            number: content
            for content, number in self._numbers.items()
            if any(
                _stamp(path) not in (None, self._stamps.get(number, {}).get(path))
                for path, _ in content.files
            )
        }
        if not changed:
            return False
        try:
            self._build(changed, set(self._numbers.values()))
        except L4lbError as error:
            LOG.warning("a list of networks is not taken; the last good one holds", why=str(error))
            for number, content in changed.items():
                self._stamps[number] = _stamps(content)
            return False
        return True

    def release(self) -> None:
        """Gives memory back, some time after a change."""
        sets.release(self._table)

    def _build(self, changed: Mapping[int, Content], all_numbers: set[int]) -> None:
        stamps = {number: _stamps(content) for number, content in changed.items()}
        texts = {number: _lists(content) for number, content in changed.items()}
        try:
            sets.rebuild(
                self._table,
                {number: [one for one, _ in lists] for number, lists in texts.items()},
                all_numbers - set(changed),
            )
        except sets.BadLineError as error:
            number, index, line = error.args
            where = texts[number][index][1]
            raise L4lbError(f"{where}:{line}: this is no network or address") from None
        except OverflowError as error:
            raise L4lbError(str(error)) from error
        self._stamps |= stamps


def _lists(content: Content) -> list[tuple[tuple[bytes, int], str]]:
    """Each text with its value, and what to call it."""
    found = [((text.encode(), value), "the configuration") for text, value in content.lists]
    for path, value in content.files:
        try:
            if os.stat(path).st_size > FILE_BYTES_MAX:
                raise L4lbError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB")
            with open(path, "rb") as file:
                found.append(((file.read(FILE_BYTES_MAX + 1), value), path))
        except OSError as error:
            raise L4lbError(f"cannot read the list of networks {path}: {error.strerror}") from error
    return found


def _stamp(path: str) -> Stamp | None:
    """Changes when the file behind the path does; None: there is none."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)


def _stamps(content: Content) -> dict[str, Stamp]:
    return {path: stamp for path, _ in content.files if (stamp := _stamp(path)) is not None}
