"""The supervisor's part of TLS. It makes a child read certificates and keys, watches their files,
rotates ticket keys, and makes workers load changes. The child tests everything before a worker gets
it. No key is ever in the supervisor's memory (strongbox.py)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.certificates import strongbox, vault
from l4lb.certificates.bundle import Profiles, days_left
from l4lb.certificates.files import Files, Stamp, stamp
from l4lb.certificates.strongbox import Answer, Box
from l4lb.certificates.vault import Vault
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.errors import ConfigError
from l4lb.native import settings, tls
from l4lb.native.table import Table
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.waited_job import run_and_wait
from l4lb.supervisor.table.membership import Bindings

PAGE = 16  # certificates in one answer: they fit into one message
NAMES_SHOWN = 8
SOON_DAYS = 14
REMIND_MS = 86_400_000
LOG = l4lb.log.get("supervisor")


class Secrets:
    """Certificates, keys and ticket keys of one service. notify: makes every worker look at the
    vault."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        known: Mapping[str, Any],
        vault: Vault,
        notify: Callable[[], None],
    ) -> None:
        """known: the old program's state; empty if there is none. vault: made by the caller, closed
        by this object."""
        self._reactor = reactor
        self._table = table
        self._box = box_of(known)
        self._draft = Box.empty()
        self._pinned = True  # the old program's contents count until the first adopt
        self._profiles = Profiles()
        self._keys_fd = _ticket_keys(known)
        self._vault = vault
        self._known = Answer(0, "", [], {})
        self._generation = 0
        self._config: Config | None = None
        self._bindings: Bindings | None = None
        self._seen: dict[str, Stamp | None] = {}
        self._notify = notify

    def carried(self) -> dict[str, Any]:
        """Returns plain data for the next program; fds has the descriptors."""
        return {
            "secrets": {
                "box_fd": self._box.fd,
                "files_at": self._box.files_at,
                "ticket_keys_fd": self._keys_fd,
            }
        }

    @property
    def fds(self) -> list[int]:
        """The descriptors that go with it."""
        return [self._box.fd, self._keys_fd]

    # ---- a configuration -------------------------------------------------------------------------

    def take(self, config: Config, bindings: Bindings) -> None:
        """Prepares and adopts a configuration. Raises ConfigError; then nothing has changed."""
        self.adopt(config, self.prepare(config), bindings)

    def prepare(self, config: Config) -> Answer:
        """Reads and tests everything that this configuration needs. Raises ConfigError. Nothing has
        changed yet. Data that was prepared before is dropped."""
        self._profiles.number(config)
        old, draft, pinned = self._box, self._draft.fd, self._pinned

        def fill() -> bytes:
            return strongbox.fill(config, self._profiles, old, draft, pinned=pinned)

        try:
            answer = strongbox.understood(run_and_wait("keys", fill, keep=[old.fd, draft]))
        except (OSError, ValueError) as error:
            answer = [Finding(("listeners",), f"the certificates could not be read: {error}")]
        if isinstance(answer, Answer):
            return answer
        raise ConfigError([config.origin.problem(finding) for finding in answer])

    def adopt(self, config: Config, prepared: Answer, bindings: Bindings) -> None:
        """Puts the data that was prepared last into force: first workers load it, then listeners
        and pools name it."""
        self._config = config
        self._bindings = bindings
        self._settle(prepared)
        self._seen = dict(prepared.stamps)
        self._publish()
        self._write_rows(config, bindings)
        self._write_ends()

    def _settle(self, prepared: Answer) -> None:
        self._known = prepared
        # why a new file each time: another program, on trial or already in charge, uses the old
        # one.
        os.close(self._box.fd)
        self._box, self._draft = Box(self._draft.fd, prepared.bundle_bytes), Box.empty()
        self._pinned = False

    def _write_rows(self, config: Config, bindings: Bindings) -> None:
        for name, listener in config.listeners.items():
            for bind in listener.bind:
                settings.put(
                    self._table,
                    "listener",
                    bindings.listener_rows[name, str(bind)],
                    tls_profile=self._profiles.of("listeners", name) if listener.tls else 0,
                )
        for name, pool in config.pools.items():
            number = self._profiles.of("pools", name) if pool.tls else 0
            settings.put(self._table, "pool", bindings.pool_rows[name], tls_profile=number)

    def _publish(self) -> None:
        self._generation += 1
        self._hand_out()

    def _hand_out(self) -> None:
        self._vault.write(self._keys_fd, self._box.fd, self._known.bundle_bytes, self._generation)
        self._notify()

    # ---- time ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to watch files and to rotate keys."""
        self._look()
        self._rotate_later()
        self._reactor.after(REMIND_MS, self._remind)

    def _remind(self) -> None:
        """Warns once a day: a certificate may expire while nothing changes for months."""
        self._reactor.after(REMIND_MS, self._remind)
        self._write_ends()

    def _look(self) -> None:
        config = self._config
        if config is None:
            return
        self._reactor.after(config.process.tls.watch_ms, self._look)
        seen = {path: stamp(path) for path in self._seen}
        if seen != self._seen:
            self._tell_gone(seen)
            self._seen = seen
            self._reread(config)

    def _tell_gone(self, seen: Mapping[str, Stamp | None]) -> None:
        for path, now in seen.items():
            if now is None and self._seen.get(path) is not None:
                LOG.warning(
                    "a file of TLS is gone or cannot be looked at any more; what was read of it"
                    " stays in force, but the service could not start again",
                    file=path,
                )

    def _reread(self, config: Config) -> None:
        try:
            prepared = self.prepare(config)
        except ConfigError as error:
            LOG.warning(
                "certificates have changed and cannot be used; those before stay",
                problem="; ".join(str(problem) for problem in error.problems),
            )
            return
        same = prepared.bundle_sha256 == self._known.bundle_sha256
        self._settle(prepared)
        if same:
            return
        self._publish()
        LOG.info(
            "certificates have changed",
            certificates=len(prepared.certificates),
            generation=self._generation,
        )
        self._write_ends()

    def _rotate_later(self) -> None:
        if self._config is not None:
            self._reactor.after(self._config.process.tls.ticket_lifetime_ms, self._rotate)

    def _rotate(self) -> None:
        self._rotate_later()
        keys = self._keys_fd
        try:
            run_and_wait("keys", lambda: vault.rotate_ticket_keys(keys), keep=[keys])
        except OSError as error:
            LOG.error("ticket keys stay as they are until the next time", reason=str(error))
        else:
            self._hand_out()

    def _write_ends(self) -> None:
        """Reports the expiry of certificates: always in the table, in the log when it is soon."""
        now_s = int(time.time())
        first: dict[str, int] = {}
        for one in self._known.certificates:
            first[one.owner] = min(first.get(one.owner, one.facts.not_after), one.facts.not_after)
            left = days_left(one.facts.not_after, now_s)
            if left < SOON_DAYS:
                what = "a certificate has ended" if left < 0 else "a certificate ends soon"
                LOG.warning(what, of=one.owner, file=one.file, days_left=left)
        if self._bindings is not None:
            for (name, _), row in self._bindings.listener_rows.items():
                ends_s = max(0, first.get(f"listeners.{name}", 0))
                settings.put(self._table, "listener", row, tls_ends_s=ends_s)

    # ---- telling ---------------------------------------------------------------------------------

    def certificates(self, args: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns a page of the certificates in force, from args["offset"] on (docs/admin.md,
        certs)."""
        offset = args.get("offset")
        start = offset if isinstance(offset, int) and offset > 0 else 0
        now_s = int(time.time())
        workers = [row.index for row in self._table.workers() if row.pid]
        loaded = min((tls.loaded(self._table, index) for index in workers), default=0)
        return [
            {
                "of": one.owner,
                "names": list(one.facts.names[:NAMES_SHOWN]),
                "names_count": len(one.facts.names),
                "days_left": days_left(one.facts.not_after, now_s),
                "ends_s": one.facts.not_after,
                "key": f"{one.facts.key_type} {one.facts.bits}",
                "issuer": one.facts.issuer,
                "serial": one.facts.serial,
                "sha256": one.facts.sha256,
                "file": one.file,
                "generation": self._generation,
                "loaded": loaded,
            }
            for one in self._known.certificates[start : start + PAGE]
        ]

    def close(self) -> None:
        for fd in (self._box.fd, self._draft.fd, self._keys_fd):
            os.close(fd)
        self._vault.close()


def box_of(known: Mapping[str, Any]) -> Box:
    """Returns the TLS files that the old program had in force. The old program may have to go on
    with them: a box in force is never written to."""
    told = known.get("secrets")
    if told is not None:
        return Box(os.dup(told["box_fd"]), told["files_at"])
    if "tls_files" in known:  # of an earlier version
        return Box(strongbox.carried_files(known["tls_files"]))
    return Box.empty()


def files_of(known: Mapping[str, Any]) -> Files:
    """Returns the old program's TLS files for a process that only tests them."""
    return box_of(known).files(pinned=True)


def carried_fds(known: Mapping[str, Any]) -> list[int]:
    """Returns the descriptors that the old program passed on. They belong to the caller."""
    told = known.get("secrets")
    return [told["box_fd"], told["ticket_keys_fd"]] if told is not None else []


def _ticket_keys(known: Mapping[str, Any]) -> int:
    """Returns the old program's ticket keys, so that its tickets stay valid, or new ones."""
    told = known.get("secrets")
    if told is not None:
        return strongbox.copied(told["ticket_keys_fd"])
    fd = os.memfd_create("l4lb-ticket-keys", os.MFD_CLOEXEC)
    before = bytes.fromhex(known.get("ticket_keys", ""))  # of an earlier version
    if len(before) == vault.KEYS * vault.KEY_BYTES:
        os.pwrite(fd, before, 0)
    else:
        run_and_wait("keys", lambda: vault.make_ticket_keys(fd), keep=[fd])
    return fd
