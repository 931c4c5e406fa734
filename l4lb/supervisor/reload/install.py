"""Puts a configuration in force, as the difference to the one before.

Everything that can fail comes first: rows and sockets. The rest cannot fail, so no configuration is
ever half in force. After a fault of l4lb itself the configuration before is put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config.diff import Change
from l4lb.config.model import Bind, Config
from l4lb.errors import L4lbError
from l4lb.native import udp
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.service import Service
from l4lb.supervisor.sockets.listening import Listening, open_listening
from l4lb.supervisor.sockets.options import SocketOptions, try_pools
from l4lb.supervisor.sockets.systemd_activation import Inherited
from l4lb.supervisor.table.row_allocator import RowAllocator

LOG = l4lb.log.get("supervisor")


def wanted(config: Config) -> dict[tuple[str, str], tuple[str, Bind, SocketOptions]]:
    """Returns each address to bind, by protocol and text of its first port: its listener's name,
    the address, its socket options."""
    return {
        (options.protocol, bind.first): (name, bind, options)
        for name, one in config.listeners.items()
        for options in [SocketOptions.of(one)]
        for bind in one.bind
    }


def open_all(
    config: Config,
    rows: RowAllocator[tuple[str, str]],
    have: Mapping[tuple[str, str], Listening],
    inherited: Inherited,
    seed: int,
) -> Iterator[Listening]:
    """Yields the sockets of every address: the old program's, those that a service manager passed,
    or new ones. Raises L4lbError."""
    workers, want = range(config.process.workers), wanted(config)
    yield from _left_over(config, rows, [one for key, one in have.items() if key not in want])
    for key, (name, bind, options) in want.items():
        row = rows[name, str(bind)]
        if key in have:
            have[key].row, have[key].listener, have[key].bind = row, name, bind
            have[key].set_options(options)
            yield have[key]
            continue
        passed = inherited.take(name, bind, options.protocol)
        if passed is not None:
            plain = replace(options, values={}, mptcp=False)  # the options it has from the manager
            one = Listening(bind, name, row, {0: passed}, passed=True, options=plain)
            one.set_options(replace(options, mptcp=False))
            yield one
            continue
        yield open_listening(bind, name, row, workers, options, seed=seed)


def _left_over(
    config: Config, rows: RowAllocator[tuple[str, str]], have: Sequence[Listening]
) -> Iterator[Listening]:
    """Yields sockets of an old program that had bound a range port by port; this one binds it as a
    whole. Its clients are the range's, until tidy closes it."""
    for one in have:
        for bind in config.listeners[one.listener].bind:
            if bind.host == one.bind.host and one.bind.port in bind.ports:
                one.row = rows[one.listener, str(bind)]
                yield one


class Installer:
    """Changes table, sockets and workers from one configuration to another. on_done gets the
    configuration that is then in force."""

    def __init__(self, service: Service, on_done: Callable[[Config], None]) -> None:
        self._table = service.table
        self._membership = service.membership
        self._secrets = service.secrets
        self._workers = service.workers
        self._worker_changes = service.worker_changes
        self._ranges = service.ranges
        self._on_done = on_done

    def install(self, before: Config, after: Config, changes: Sequence[Change]) -> None:
        """Puts `after` in force. Raises L4lbError; then nothing was changed, or all changes were
        undone."""
        try:
            self._install(before, after, changes)
        except L4lbError:
            raise
        except Exception:
            error = fault("a change of the configuration")
            self._put_back(before, after)
            raise error from None

    def tidy(self, config: Config) -> None:
        """Closes addresses of an old program that the configuration in force does not have."""
        if any(one.key not in wanted(config) for one in self._workers.listening):
            self._lead(config, ())
            self._move(config)

    def _put_back(self, before: Config, after: Config) -> None:
        """Puts the configuration `before` in force again after a fault in the middle of a
        change."""
        try:
            self._install(after, before, self._membership.changes_to(before))
            # Sockets of workers that never started.
            self._worker_changes.drop_sockets_from(before.process.workers)
        except Exception:
            fault("going back to the configuration before")
            LOG.critical(
                "the configuration in force may be half changed", remedy="l4lb admin upgrade"
            )

    def _install(self, before: Config, after: Config, changes: Sequence[Change]) -> None:
        """Puts `after` in force. All steps that can fail come first."""
        self._membership.check_room(before, after)
        bundle = self._secrets.prepare(after)
        count = after.process.workers
        old_count = len(self._workers.staying)
        changed = {one.name for one in changes if one.kind == "pool"}
        try_pools(pool for name, pool in after.pools.items() if name in changed)
        with contextlib.ExitStack() as undo:
            self._set_options(after, undo)
            undo.callback(self._worker_changes.drop_sockets_from, old_count)
            self._worker_changes.make_sockets(count)
            opened = self._open(after, range(count), undo)
            self._membership.change(after, changes, monotonic_ms())
            undo.pop_all()
        with contextlib.ExitStack() as undo:
            for one in opened:
                undo.callback(self._close_unused, one)
            self._secrets.adopt(after, bundle, self._membership.bindings)
            if any("limits" in one.keys for one in changes if one.kind == "listener"):
                self._workers.recount()
            self._worker_changes.resize(count, after.process.drain_timeout_ms)
            self._lead(after, opened)
            self._move(after)
            for one in opened:
                one.row = self._membership.listeners[one.listener, str(one.bind)]
                self._worker_changes.listen(one)
        self._ranges.sync()
        self._on_done(after)

    def _close_unused(self, one: Listening) -> None:
        if one not in self._workers.listening:
            one.close()

    def _set_options(self, after: Config, undo: contextlib.ExitStack) -> None:
        """Sets changed options on open sockets."""
        want = wanted(after)
        for one in self._workers.listening:
            if one.key in want:
                _, _, options = want[one.key]
                undo.callback(one.set_options, one.options)
                one.set_options(replace(options, by_port=one.options.by_port))

    def _open(
        self, after: Config, workers: Sequence[int], undo: contextlib.ExitStack
    ) -> list[Listening]:
        """Opens the sockets of addresses that are new."""
        have = {one.key for one in self._workers.listening}
        opened: list[Listening] = []
        for key, (name, bind, options) in wanted(after).items():
            if key not in have:
                alone = not self._worker_changes.has_port(options.protocol, bind.port)
                seed = udp.seed(self._table)
                one = open_listening(bind, name, -1, workers, options, alone=alone, seed=seed)
                undo.callback(one.close)
                opened.append(one)
        return opened

    def _lead(self, after: Config, opened: Sequence[Listening]) -> None:
        """Leads the clients of ranges where they will be served, before sockets go."""
        want = wanted(after)
        stay = [one for one in self._workers.listening if one.key in want]
        for one in stay:
            _, one.bind, _ = want[one.key]
        self._ranges.sync([*stay, *opened])

    def _move(self, after: Config) -> None:
        """Closes the sockets of addresses that are gone, and gives others to their new listener."""
        want = wanted(after)
        for one in list(self._workers.listening):
            if one.key not in want:
                self._worker_changes.unlisten(one)
                continue
            one.listener, _, options = want[one.key]
            if one.options != options:  # only by_port can differ: _set_options has set the rest
                one.set_options(options)
                self._worker_changes.move_udp(after.process.workers)
            row = self._membership.listeners[one.listener, str(one.bind)]
            if row != one.row:
                self._worker_changes.relabel(one, row)
