"""Sets of networks: their numbers in the table, and when each is built.

Several listeners may share a set: their access list or trusted proxies. Such a set is known by its
content (network_lists.py). Other sets have a name and are replaced in place: blocked sources and
run-time rules. Files are looked at every second (inode, size and times of change, through symbolic
links). A file that cannot be read any more leaves its last good set in force, with a warning, and
does not delay other sets.

While the service runs, children build large sets (set_builder.py), one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.native.table import Table
from l4lb.supervisor.access.network_lists import Content, Stamp, Text, bad_line
from l4lb.supervisor.access.set_builder import Batch, Build, DiedError
from l4lb.supervisor.process.reactor import Reactor

LOG = l4lb.log.get("supervisor")
BUILD_HERE_BYTES = 128 << 10  # text that is built here, in some milliseconds
RELEASE_MS = 500  # time until old sets are freed; a look-up takes a microsecond
RETRY_MS = 10_000  # pause after a child that died

LOOKS_MISSING = 2  # looks in a row without the file before it is reported

Seen = Mapping[Content, dict[str, Stamp]]  # states of the files of sets
Tell = Callable[[str, Mapping[str, Any]], None]


class NetworkSets:
    """All sets of one table. Set 0, the blocked sources, gets its content from blocks.py.
    on_change: called after sets were replaced or dropped."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._numbers: dict[Content, int] = {Content(()): sets.BLOCKS}
        self._named: dict[str, int] = {}
        self._stamps: dict[int, dict[str, Stamp]] = {}
        self._leaving = False
        self._reactor: Reactor | None = None
        self._tell: Tell = lambda _kind, _fields: None
        self._builds: list[Build] = []
        self._looks = False  # a build because of changed files is under way
        self._retry_ms = 0
        self._missing: dict[str, int] = {}  # looks in a row that missed a file, by path
        self._prepared: Batch | None = None
        self._versions: dict[int, int] = {}
        self.on_change: Callable[[], None] = lambda: None

    def start(self, reactor: Reactor, tell: Tell) -> None:
        """Marks the begin of service: large sets are built by children from now on."""
        self._reactor = reactor
        self._tell = tell

    def stop(self) -> None:
        """Ends all builds."""
        for build in list(self._builds):
            build.abandon()

    # ---- the configuration's -------------------------------------------------------------------

    def prepare(
        self,
        contents: Iterable[Content],
        then: Callable[[], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        """Builds large new sets. Then calls `then`, at once or later, which uses them; sets that it
        does not use are dropped after the call. Calls on_fault instead if a build fails."""
        fresh = dict.fromkeys(one for one in contents if one not in self._numbers)
        large = [one for one in fresh if one.size > BUILD_HERE_BYTES]

        def done(batch: Batch) -> None:
            with self.made(batch):
                then()

        if large and self._reactor is not None:
            self._begin(self._reactor, large, done, on_fault)
        else:
            then()

    @contextlib.contextmanager
    def made(self, batch: Batch) -> Iterator[None]:
        """Makes replace use the sets of this batch inside the block. Closes the batch at its
        end."""
        self._prepared = batch
        try:
            yield
        finally:
            self._prepared = None
            batch.close()

    def of_files(self) -> Iterator[tuple[Content, Mapping[str, Stamp], bytes]]:
        """Yields each set in force that comes from files: its content, the states of the files, and
        the built set."""
        for content, number in self._numbers.items():
            if content.files:
                yield content, self._stamps.get(number, {}), sets.exported(self._table, number)

    def replace(self, contents: Iterable[Content]) -> Mapping[Content, int]:
        """Puts these sets in force in place of the old ones. Returns their numbers. Unused old sets
        are freed a second later, because listeners may still name them.

        Raises L4lbError that names file and line; then nothing has changed.
        """
        wanted = dict.fromkeys(contents)
        numbers = {Content(()): sets.BLOCKS} | {
            one: self._numbers[one] for one in wanted if one in self._numbers
        }
        fresh = [one for one in wanted if one not in numbers]
        free = self._free()
        try:
            numbers |= {one: next(free) for one in fresh}
        except StopIteration:
            raise L4lbError(f"more than {sets.SETS_MAX} different lists of networks") from None
        if fresh:
            changed = {numbers[one]: one for one in fresh}
            try:
                self._build(changed, set(self._numbers.values()), self._prepared)
            except L4lbError:  # there may be no room for old and new sets together
                if set(self._numbers) <= set(numbers):
                    raise
                self._build(changed, set(numbers.values()) - set(changed), self._prepared)
        self._leaving |= not set(self._numbers) <= set(numbers)
        self._numbers = numbers
        return numbers

    def number(self, content: Content) -> int | None:
        """Returns the number of a set in force; None: there is none with this content."""
        return self._numbers.get(content)

    def version(self, number: int) -> int:
        """Returns a number that changes with the networks of this set."""
        return self._versions.get(number, 0)

    # ---- those with a name ---------------------------------------------------------------------

    def block(self, lists: Sequence[Text]) -> None:
        """Replaces the blocked sources."""
        self._put({sets.BLOCKS: lists})

    def put(self, name: str, lists: Sequence[Text]) -> int:
        """Replaces or makes the set of this name. Returns its number. Raises L4lbError."""
        try:
            number = self._named[name] if name in self._named else next(self._free())
        except StopIteration:
            raise L4lbError(f"more than {sets.SETS_MAX} different lists of networks") from None
        try:
            self._put({number: lists})
        except OverflowError as error:
            raise L4lbError(str(error)) from error
        self._named[name] = number
        return number

    def drop(self, name: str) -> None:
        """Drops the set of this name. No listener uses it any more."""
        self._leaving = self._named.pop(name, None) is not None or self._leaving
        self.on_change()

    # ---- time ----------------------------------------------------------------------------------

    def look_at_files(self) -> None:
        """Builds sets whose files have changed, and frees sets that nothing uses."""
        if self._leaving:
            self._leaving = False
            self._put({})
        self._look_for_missing()
        changed = {
            number: content
            for content, number in self._numbers.items()
            if any(
                stamp != self._stamps.get(number, {}).get(path)
                for path, stamp in content.stamps().items()
            )
        }
        if not changed or self._looks or monotonic_ms() < self._retry_ms:
            return
        stamps = {one: one.stamps() for one in changed.values()}
        if self._reactor is None or sum(one.size for one in stamps) <= BUILD_HERE_BYTES:
            self._renew(stamps, None)
            return
        self._looks = True
        self._build_next(self._reactor, [stamps])

    def _look_for_missing(self) -> None:
        """Reports files that are gone, once. why not at the first look: some programs replace a
        file by removing and writing it."""
        files = {path for content in self._numbers for path, _ in content.files}
        gone = [path for path in sorted(files) if not os.path.exists(path)]
        self._missing = {path: self._missing.get(path, 0) + 1 for path in gone}
        for path in gone:
            if self._missing[path] == LOOKS_MISSING:
                self._refuse({}, L4lbError(f"the list of networks {path} is gone"))

    def _build_next(self, reactor: Reactor, groups: Sequence[Seen]) -> None:
        """Builds the sets of each group, one group after the other."""
        self._looks = bool(groups)
        if not groups:
            return
        first, rest = groups[0], groups[1:]

        def done(batch: Batch) -> None:
            try:
                self._renew(batch.stamps, batch)
            finally:
                batch.close()
            self._build_next(reactor, rest)

        def fault(error: L4lbError) -> None:
            if isinstance(error, DiedError):
                self._retry_ms = monotonic_ms() + RETRY_MS
                self._refuse({}, error)
                self._build_next(reactor, [])
            elif len(first) > 1:  # one set is bad: each is built by itself to find it
                self._build_next(reactor, [{one: seen} for one, seen in first.items()])
            else:
                self._refuse(first, error)
                self._build_next(reactor, rest)

        self._begin(reactor, list(first), done, fault)

    def _renew(self, stamps: Seen, batch: Batch | None) -> None:
        """Puts sets in force whose files have changed. Sets that were dropped meanwhile are
        ignored."""
        changed = {self._numbers[one]: one for one in stamps if one in self._numbers}
        try:
            self._build(changed, set(self._numbers.values()) - set(changed), batch)
        except L4lbError as error:
            if len(stamps) > 1:  # tries each set by itself
                for content, seen in stamps.items():
                    self._renew({content: seen}, batch)
            else:
                self._refuse(stamps, error)
            return
        files = sorted({path for one in changed.values() for path, _ in one.files})
        LOG.info("lists of networks have changed", files=files)
        self._tell("networks_changed", {"files": files})

    def _refuse(self, stamps: Seen, error: L4lbError) -> None:
        """Reports the error, once for files in these states."""
        LOG.warning("a list of networks is not taken; the last good one holds", why=error.message)
        self._tell("networks_refused", {"why": error.message})
        for content, seen in stamps.items():
            if content in self._numbers:
                self._stamps[self._numbers[content]] = seen

    # ---- building ------------------------------------------------------------------------------

    def _begin(
        self,
        reactor: Reactor,
        contents: Sequence[Content],
        on_done: Callable[[Batch], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        def done(batch: Batch) -> None:
            self._builds.remove(build)
            on_done(batch)

        def fault(error: L4lbError) -> None:
            self._builds.remove(build)
            on_fault(error)

        build = Build(reactor, contents, done, fault)
        self._builds.append(build)

    def _free(self) -> Iterator[int]:
        taken = {*self._numbers.values(), *self._named.values()}
        return (number for number in range(1, sets.SETS_MAX) if number not in taken)

    def _put(self, changed: Mapping[int, Sequence[Text]]) -> None:
        self._rebuild(changed, {*self._numbers.values(), *self._named.values()} - set(changed))

    def _build(
        self, changed: Mapping[int, Content], kept: set[int], batch: Batch | None = None
    ) -> None:
        """Builds `changed`, and keeps `kept` and all sets that have a name. Raises L4lbError."""
        ready = {
            number: (batch.fd, *batch.places[content])
            for number, content in changed.items()
            if batch is not None and content in batch.places
        }
        stamps = {
            number: batch.stamps[content] if batch and number in ready else content.stamps()
            for number, content in changed.items()
        }
        texts = {
            number: content.texts() for number, content in changed.items() if number not in ready
        }
        lists = {number: [text for text, _ in found] for number, found in texts.items()}
        try:
            self._rebuild(lists, kept | set(self._named.values()), ready)
        except sets.BadLineError as error:
            raise bad_line(error, [name for _, name in texts[error.args[0]]]) from None
        except (OverflowError, OSError) as error:
            raise L4lbError(str(error)) from error
        self._stamps |= stamps

    def _rebuild(
        self,
        lists: Mapping[int, Sequence[Text]],
        kept: set[int],
        ready: Mapping[int, tuple[int, int, int]] | None = None,
    ) -> None:
        sets.rebuild(self._table, lists, kept, ready or {})
        for number in (*lists, *(ready or ())):
            self._versions[number] = self._versions.get(number, 0) + 1
        self.on_change()
        if self._reactor is not None:
            self._reactor.after(RELEASE_MS, lambda: sets.release(self._table))
