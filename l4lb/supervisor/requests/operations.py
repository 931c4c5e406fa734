"""What changes a running service at somebody's word: the configuration, the crew, the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.config.model import Config
from l4lb.errors import AdminError
from l4lb.native.table import Table
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.reload.install import Installer
from l4lb.supervisor.reload.reload import Reloads
from l4lb.supervisor.reload.source import Load, Source
from l4lb.supervisor.requests.change_record import Record, signalled
from l4lb.supervisor.requests.control import Later, Reply, Requests
from l4lb.supervisor.table.membership import Membership
from l4lb.supervisor.tls_secrets import Secrets
from l4lb.supervisor.upgrade.old_program import Departure
from l4lb.supervisor.workers.resize import WorkerChanges
from l4lb.supervisor.workers.workers import Workers

LOG = l4lb.log.get("supervisor")


class Changes:
    """phase: what the service does now; only while it is "serving" anything is changed.
    on_installed: another configuration is in force. depart: gives the service to a successor.
    notifier: hears of what a signal began and of its end."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        membership: Membership,
        secrets: Secrets,
        workers: Workers,
        source: Source,
        *,
        load: Load,
        phase: Callable[[], str],
        tell: Callable[[str, Mapping[str, Any]], None],
        on_installed: Callable[[Config], None],
        depart: Callable[[Reloads], Departure],
        notifier: Notifier,
    ) -> None:
        self._table = table
        self._phase = phase
        self._depart = depart
        self._notifier = notifier
        self.worker_changes = WorkerChanges(reactor, workers)
        installer = Installer(
            table, membership, secrets, workers, self.worker_changes, on_installed
        )
        self.reloads = Reloads(
            reactor, source, load=load, prepare=membership.policy.prepare,
            install=installer.install, tell=tell,
        )  # fmt: skip
        operations = {
            **self.reloads.operations,
            "reload": self._announced(self.reloads.reload),
            "rebalance": self._rebalance,
            "upgrade": self._announced(self._upgrade),
        }
        self.requests = Requests(
            table,
            workers.send,
            self.reloads,
            {op: self._serving(later) for op, later in operations.items()},
            Record(tell),
        )

    def _serving(self, later: Later) -> Later:
        """The same, but not while the service ends."""

        def checked(args: Mapping[str, Any], reply: Reply) -> None:
            if self._phase() != "serving":
                raise AdminError("refused", f"the service is {self._phase()}")
            later(args, reply)

        return checked

    def _announced(self, later: Later) -> Later:
        """The same, between a word to the service manager that it begins and one that it ended."""

        def told(args: Mapping[str, Any], reply: Reply) -> None:
            def ended(result: Any) -> None:
                self._notifier.ready()
                reply(result)

            self._notifier.reloading()
            try:
                later(args, ended)
            except Exception:
                self._notifier.ready()
                raise

        return told

    def _rebalance(self, _: Mapping[str, Any], reply: Reply) -> None:
        self.worker_changes.rebalance(self._table, lambda moved: reply({"moved": moved}))

    def _upgrade(self, args: Mapping[str, Any], reply: Reply) -> None:
        self._depart(self.reloads).begin(args.get("request"), args.get("cause"), reply)

    def by_signal(self, name: str, op: str) -> None:
        """HUP and USR2: the answer is in the log."""
        later = {"reload": self.reloads.reload, "upgrade": self._upgrade}[op]
        cause = signalled(name, op)
        reply = self.requests.record.replying(cause, lambda _: None)
        try:
            self._serving(self._announced(later))({"cause": cause.plain()}, reply)
        except AdminError as error:
            LOG.error(f"cannot {op}", reason=error.message)
            reply(error)
        except Exception:
            reply(fault(op))

    def noted(self, name: str, command: str, do: Callable[[], None]) -> Callable[[], None]:
        """The same at a signal that nothing refuses, recorded."""

        def done() -> None:
            self.requests.record.add(signalled(name, command), {})
            do()

        return done
