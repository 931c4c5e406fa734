"""The supervisor process: builds the service from a configuration, runs it, ends it.

    starting -> serving -> draining -> ended        (TERM, then TERM again or INT)
       `-----------`---------> stopping -> ended    (INT; TERM while it starts)

During `starting`, the service waits for the first answers of discovery, if a pool has no other
backends. Clients meanwhile wait in the queues of the listening sockets, which are open already.

The supervisor does nothing per connection. Every socket that clients can reach belongs to it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

import setproctitle

import l4lb
import l4lb.control.main
import l4lb.log
from l4lb.certificates.vault import Vault
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.control.setup import ControlSetup
from l4lb.native import udp
from l4lb.native.cache import GUEST
from l4lb.native.table import Table
from l4lb.supervisor.checking import Checking
from l4lb.supervisor.forwarding import Forwarding
from l4lb.supervisor.keeping import Keeping
from l4lb.supervisor.observability import Observability
from l4lb.supervisor.policing import Policing
from l4lb.supervisor.process import privileges, seccomp
from l4lb.supervisor.process.child import Strangers
from l4lb.supervisor.process.event_history import History
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.ranges import Ranges
from l4lb.supervisor.recording import Recording
from l4lb.supervisor.reload.discovery import FIRST_ANSWERS_MS, unanswered
from l4lb.supervisor.reload.install import Installer, open_all
from l4lb.supervisor.reload.reload import Reloads
from l4lb.supervisor.reload.source import ConfigOrigin, Source
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.requests.operations import operations
from l4lb.supervisor.requests.requests import Requests
from l4lb.supervisor.service import Helpers, Service
from l4lb.supervisor.shielding import Shielding
from l4lb.supervisor.sockets.http import OpenWeb, open_web
from l4lb.supervisor.sockets.listening import open_admin
from l4lb.supervisor.sockets.options import needs_raw, try_pools
from l4lb.supervisor.sockets.systemd_activation import Inherited
from l4lb.supervisor.table.membership import Membership, capacities
from l4lb.supervisor.tls_secrets import Secrets
from l4lb.supervisor.upgrade.new_program import Predecessor
from l4lb.supervisor.workers.events import WorkerEvents, log_health
from l4lb.supervisor.workers.hung import HungWorkers
from l4lb.supervisor.workers.resize import WorkerChanges
from l4lb.supervisor.workers.workers import Workers
from l4lb.worker.main import SharedFds

STATUS_EVERY_MS = 5_000  # between status lines to the service manager
STRANGERS_EVERY_MS = 1_000
STOP_GRACE_MS = 2_000  # from the order to end at once to the kill
LOG = l4lb.log.get("supervisor")


class Supervisor:
    """One running service."""

    def __init__(
        self,
        config: Config,
        origin: ConfigOrigin,
        announce: Callable[[], None] | None,
        notifier: Notifier,
        inherited: Inherited,
        before: Predecessor | None = None,
    ) -> None:
        self._ranges = Ranges(before.state.ranges if before else {})
        self._config = config = self._ranges.begin(config)
        self._before = before
        self._announce = announce
        self._exit_status, self._phase = 0, "starting"
        self._reloads_once_serving = False  # HUP came during the start
        self._notifier = notifier
        self._history = History(before.state.events if before else ())
        self._reactor = Reactor()
        self._table = Table(capacities(config))
        self._membership = Membership(self._table)
        if before:
            before.mark(self._ranges.marked)
            before.fill(self._table, self._membership)
        else:
            self._membership.policy.caches.open_disks(config)
            self._membership.start(config)
        self._make_workers(config)
        self._open_sockets(config, inherited)
        self._observability = Observability(self._reactor, self._table, config.process)
        self._helpers = self._make_helpers()
        self._service = self._described()
        self._reloads = self._make_reloads(origin)
        record = Record(self._tell)
        self._waits_for_answers = before is None and bool(unanswered(config))
        bound = operations(self._service, self._reloads, record, self._serve)
        self._requests = Requests(bound, record, phase=lambda: self._phase, notifier=notifier)

    def _make_workers(self, config: Config) -> None:
        """Makes the workers, not started yet, and the certificates that they load."""
        vault, policy = Vault(), self._membership.policy
        old = self._before.state if self._before else None
        self._guards = seccomp.Guards(config.process, self._tell)
        self._workers = Workers(
            self._reactor, self._table, config.process.workers,
            SharedFds(vault.fd, policy.caches.fd, *policy.gate.fds, *policy.records.fds),
            disk_fds=policy.caches.disk_fds, guard=self._guards.worker,
            events=WorkerEvents(self._reactor, self._tell, policy.engine_of),
            on_crash_loop=self._give_up, on_empty=self._end,
            on_left=lambda index: self._worker_changes.left(index), on_died=policy.forget,
        )  # fmt: skip
        self._worker_changes = WorkerChanges(self._reactor, self._workers)
        self._shield = Shielding(self._reactor, self._table, policy, self._workers.listening,
                                 old.shield if old else {})  # fmt: skip
        self._packets = Forwarding(self._reactor, self._table, self._membership, self._workers,
                                   self._guards, old.packets if old else {})  # fmt: skip
        HungWorkers(self._reactor, self._table, self._workers, lambda: self._config.process,
                    self._tell)  # fmt: skip
        self._secrets = Secrets(self._reactor, self._table, old.known if old else {}, vault,
                                notify=self._workers.load_secrets)  # fmt: skip
        self._secrets.take(config, self._membership.bindings)

    def _open_sockets(self, config: Config, inherited: Inherited) -> None:
        """Opens the sockets that others connect to. Raises L4lbError."""
        before = self._before
        self._admin = before.admin() if before else open_admin(config.process.admin)
        self._web: OpenWeb | None = None
        try:
            self._web = before.open_web() if before else open_web(config.process)
            self._open_listening(inherited)
            self._ranges.start(self._workers.listening, self._worker_changes.closing)
            self._shield.start(self._config)
            self._packets.load(self._config)
            self._workers.flows_fd = lambda: self._packets.flows_fd
        except BaseException:
            if before is None:  # else: the old program goes on with these sockets
                self._close()
            raise

    def _make_reloads(self, origin: ConfigOrigin) -> Reloads:
        self._installer = Installer(self._service, self._installed)
        return Reloads(
            self._reactor,
            self._before.source if self._before else Source(origin.path, self._config),
            load=origin.load, marked=self._ranges.marked, prepare=self._membership.policy.prepare,
            send=self._helpers.control.send, install=self._installer.install, tell=self._tell,
        )  # fmt: skip

    def _described(self) -> Service:
        before = self._before
        return Service(
            self._reactor, self._table, self._membership, self._workers, self._shield,
            self._ranges, self._worker_changes, self._secrets, self._admin, self._web,
            self._helpers, self._history, self._notifier,
            before.state.started_ms if before else monotonic_ms(),
        )  # fmt: skip

    def _make_helpers(self) -> Helpers:
        checker = Checking(self._reactor, self._table, self._config, self._guards, self._history,
                           on_message=self._on_checker, tell=self._tell)  # fmt: skip
        known = self._membership.policy
        keeper = Keeping(self._reactor, self._table, known.caches, self._guards)
        policy = Policing(self._reactor, self._table, self._config, known.gate, self._guards)
        recorder = Recording(self._reactor, self._table, self._config, known.records, self._guards)
        log = self._observability.writer
        return Helpers(self._make_control(), checker, log, keeper, policy, recorder,
                       self._packets)  # fmt: skip

    def _make_control(self) -> Helper:
        known = self._membership.policy
        fds = [one.tally_fd for one in (known.gate, known.records, self._shield, self._packets)]
        fds += [self._web.fd] if self._web else []
        return Helper(
            self._reactor, "control", self._run_control,
            keep=[self._admin.sock.fileno(), *known.caches.fds, *fds],
            on_message=self._on_request, on_start=lambda _: known.caches.forget(GUEST),
        )  # fmt: skip

    def _open_listening(self, inherited: Inherited) -> None:
        if self._before is None or not self._before.state.back:
            try_pools(self._config.pools.values())
        have = {one.key: one for one in self._before.listening()} if self._before else {}
        rows, seed = self._membership.listeners, udp.seed(self._table)
        self._workers.listening.extend(open_all(self._config, rows, have, inherited, seed))
        inherited.close_rest()

    def go_on_from(self, generation: int) -> None:
        """Continues the old program's generation (number of the configuration)."""
        self._table.generation = generation
        self._set_states()

    def _set_states(self) -> None:
        """Sets the states (drain, maint) that operators gave to backends."""
        for key, state in self._reloads.source.overlay.states.items():
            if key in self._membership.backends:
                self._table.set_state(self._membership.backends[key], state)

    def become(self, user: privileges.User) -> None:
        """Drops root's rights for the user's; every socket is bound by now. Raises OSError."""
        self._admin.give(user)
        self._packets.give(user.uid, user.gid)
        privileges.become(user, raw=needs_raw(self._config))

    # ---- children ------------------------------------------------------------------------------

    def _run_control(self, channel: socket.socket) -> int:
        known = self._membership.policy
        setup = ControlSetup(
            table=self._table, admin=self._admin.sock, channel=channel, version=l4lb.__version__,
            supervisor_pid=os.getppid(), started_ms=self._service.started_ms,
            web=self._web.setup if self._web else None,
            discovery=self._reloads.first_answers.order(), events=self._history.plain,
            cache_fd=known.caches.fd, disks=known.caches.disks.sizes,
            policy_fd=known.gate.tally_fd, record_fd=known.records.tally_fd,
            shield_fd=self._shield.tally_fd, packets_fd=self._packets.tally_fd,
        )  # fmt: skip
        return l4lb.control.main.run(setup)

    def _on_request(self, request: Mapping[str, Any]) -> None:
        self._requests.handle(request, self._helpers.control.send)

    def _installed(self, config: Config) -> None:
        """Tells helpers and log about another configuration in force. Table and workers have it."""
        self._config = config
        self._set_states()
        self._observability.configure(config.process)
        l4lb.log.setup(config.process.log.level, config.process.log.format)
        self._helpers.configure(config)
        # Later: the names of the file's own backends are known only when the change is complete.
        self._reactor.after(0, self._reloads.first_answers.follow)

    def _tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._history.tell(self._helpers.control, {"at_ms": monotonic_ms(), "kind": kind, **fields})

    def _on_checker(self, message: Mapping[str, Any]) -> None:
        event = message.get("event")
        if isinstance(event, Mapping):
            log_health(event)
            self._history.tell(self._helpers.control, event)
        else:
            self._requests.take(message)

    # ---- phases --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serves until told to end. Returns the exit status."""
        setproctitle.setproctitle("l4lb: supervisor")
        recorded = self._requests.recorded
        self._reactor.on_signals({
            signal.SIGTERM: recorded("TERM", "stop", self._on_term),
            signal.SIGINT: recorded("INT", "stop", lambda: self._stop("stopped")),
            signal.SIGHUP: self._on_hup,
            signal.SIGUSR1: recorded("USR1", "reopen", self._observability.reopen),
            signal.SIGUSR2: lambda: self._requests.by_signal("USR2", "upgrade"),
        })  # fmt: skip
        self._membership.policy.start(self._reactor, self._tell)
        self._observability.start()
        self._helpers.begin()
        if self._waits_for_answers:
            self._helpers.control.start()
            self._reactor.after(FIRST_ANSWERS_MS, self._serve)
        else:
            self._serve()
        self._notifier.beat(self._reactor.every)
        if self._notifier.address:
            self._reactor.every(STATUS_EVERY_MS, lambda: self._notifier.status(self._in_words()))
        if os.getpid() == 1:
            self._reactor.every(STRANGERS_EVERY_MS, Strangers().reap)
        self._reactor.run()
        self._close()
        self._membership.policy.caches.disks.end()
        return self._exit_status

    def _serve(self) -> None:
        """Starts to take clients; does nothing if the service serves already."""
        if self._phase != "starting":
            return
        self._phase = "serving"
        if self._waits_for_answers and (pools := unanswered(self._config)):
            LOG.warning("serving, but discovery has found no backend", pools=pools)
        if self._before is not None:
            self._before.have_leave(self._table, self._membership)
        self._workers.start(hold_udp=self._before is not None)
        self._secrets.start()
        self._helpers.checker.start()
        # Control starts last: a client that gets an answer from the admin socket finds all workers.
        if not self._waits_for_answers:
            self._helpers.control.start()
        LOG.info(
            "serving", version=l4lb.__version__, workers=self._config.process.workers,
            listeners=[str(s) for one in self._config.listeners.values() for s in one.bind_ranges],
            admin=self._config.process.admin, seccomp=str(self._guards),
        )  # fmt: skip
        if self._announce is not None:
            self._announce()
        self._notifier.ready(self._in_words())
        if self._before is not None:
            self._before.succeed(self._reactor, self._workers, self._table, self._membership,
                                 self._config.process.drain_timeout_ms)  # fmt: skip
            self._before.close_web_but(self._web)
            self._installer.tidy(self._config)
            self._requests.record.answered(self._before.state.answer.cause, self._before.outcome)
        self._shield.follow()
        self._packets.follow()
        self._ranges.follow(self._reactor)
        if self._reloads_once_serving:
            self._on_hup()

    def _in_words(self) -> str:
        """Returns the service's state in one line, for the service manager."""
        return f"{self._phase}: {self._table.connections} connections"

    def _on_term(self) -> None:
        if self._phase == "serving":
            self._drain()
        else:
            self._stop("stopped")

    def _on_hup(self) -> None:
        if self._phase == "starting":
            self._reloads_once_serving = True
        else:
            self._requests.by_signal("HUP", "reload")

    def _drain(self) -> None:
        self._phase = "draining"
        self._notifier.stopping(self._in_words())
        LOG.info("draining", connections=self._table.connections)
        self._reactor.after(self._config.process.drain_timeout_ms, self._drain_is_over)
        self._packets.drain()
        self._worker_changes.drain()

    def _drain_is_over(self) -> None:
        if self._phase == "draining":
            LOG.warning("drain_timeout is over", connections=self._table.connections)
            self._stop("drain_timeout")

    def _stop(self, reason: str) -> None:
        if self._phase in ("stopping", "ended"):
            return
        self._phase = "stopping"
        self._notifier.stopping(self._in_words())
        self._reactor.after(STOP_GRACE_MS, self._workers.kill)
        self._workers.stop(reason)
        self._packets.end_flows(reason)
        if self._before is not None:
            self._before.stop(self._reactor, reason)
        if self._workers.alive == 0:
            self._end()

    def _give_up(self) -> None:
        self._exit_status = 1
        if self._phase == "serving":
            self._drain()

    def _end(self) -> None:
        """Ends the helpers when no worker is left. The admin socket answers until then."""
        if self._phase == "ended":
            return
        if self._packets.remains or (self._before is not None and self._before.remains):
            self._reactor.after(5, self._end)
            return
        self._phase = "ended"
        self._reloads.stop()
        self._membership.policy.stop()
        for helper in self._helpers:
            helper.stop()
            self._reactor.after(STOP_GRACE_MS, helper.kill)
        self._wait_for_helpers()

    def _wait_for_helpers(self) -> None:
        if any(helper.alive for helper in self._helpers):
            self._reactor.after(5, self._wait_for_helpers)
        else:
            self._reactor.stop()

    def _close(self) -> None:
        self._packets.close()
        self._ranges.stop()
        self._shield.stop()
        for one in list(self._workers.listening):
            one.close()
        if self._web is not None:
            self._web.close()
        self._admin.close()
        self._secrets.close()
