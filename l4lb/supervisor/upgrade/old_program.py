"""The old program's part of an upgrade: it checks the new program, writes the state, and gives
way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace

import l4lb
import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config import plain
from l4lb.errors import AdminError
from l4lb.supervisor.process import faults
from l4lb.supervisor.reload.reload import Reloads, Reply
from l4lb.supervisor.service import Service
from l4lb.supervisor.upgrade import carried_counts, carried_state, execve, old_counts, state_file
from l4lb.supervisor.upgrade.state import AdminFds, Asker, OldWorker, State, Steward, described

ANSWER_MS = 500
# Time for a change of the number of workers to share out clients and to empty sockets: each of its
# steps has a limit (workers/resize.py), and SETTLE_MS is longer than their sum.
SETTLE_MS, SETTLE_LOOK_MS = 15_000, 20
LOG = l4lb.log.get("supervisor")


class Departure:
    """One attempt to give way to the program that is installed now."""

    def __init__(self, service: Service, reloads: Reloads) -> None:
        self._service = service
        self._reloads = reloads

    def begin(self, request: object, cause: object, reply: Reply) -> None:
        """Begins the upgrade. reply is called only if it fails: otherwise the new program answers,
        and records the cause. Raises AdminError."""
        self._reloads.begin_upgrade()
        command = execve.command_line()

        def fault(error: AdminError) -> None:
            self._reloads.end_upgrade()
            LOG.error("no upgrade: everything is as it was", reason=error.message)
            reply(error)

        def ready(version: str) -> None:
            LOG.info("upgrade: giving way", version=l4lb.__version__, successor=version)
            try:
                self._give_way(command, request, cause)
            except OSError as error:
                fault(AdminError("failed", f"cannot start the new program: {error}"))
            except Exception:
                fault(faults.fault("giving way to the new program"))
            # The control process accepts no more clients. It is killed when it has passed the fault
            # on, and another one starts.
            self._service.reactor.after(ANSWER_MS, self._service.helpers.control.kill)

        def check() -> None:
            LOG.info("upgrade: asking the installed program", command=" ".join(command))
            try:
                self._check(command, ready, fault)
            except OSError as error:
                fault(AdminError("failed", f"cannot try the new program: {error}"))
            except Exception:
                fault(faults.fault("trying the new program"))

        self._once_settled(check, fault, monotonic_ms() + SETTLE_MS)

    def _once_settled(
        self, go_on: Callable[[], None], fault: Callable[[AdminError], None], end_ms: int
    ) -> None:
        """Goes on when no change of the number of workers is under way. The new program could not
        end such a change: clients would meet sockets that nobody reads."""
        if self._service.worker_changes.settled:
            go_on()
        elif monotonic_ms() < end_ms:
            self._service.reactor.after(
                SETTLE_LOOK_MS, lambda: self._once_settled(go_on, fault, end_ms)
            )
        else:
            why = "the number of workers is still being changed; try again when workers have left"
            fault(AdminError("busy", why))

    def _check(
        self,
        command: list[str],
        ready: Callable[[str], None],
        fault: Callable[[AdminError], None],
    ) -> None:
        """Starts the check of the new program. Raises OSError."""
        service = self._service
        with contextlib.ExitStack() as files:
            lists = carried_state.lists(service.membership)
            files.callback(os.close, lists["fd"])
            state = replace(self._state(), lists=lists)
            state_fd = state_file.written(state.to_plain())
            files.callback(os.close, state_fd)
            keep = [lists["fd"], *service.secrets.fds, *([service.web.fd] if service.web else [])]
            execve.check(service.reactor, command, state_fd, keep, ready, fault)

    def _give_way(self, command: list[str], request: object, cause: object) -> None:
        """Replaces this program. Returns only if that failed. Raises OSError."""
        service = self._service
        table, membership = service.table, service.membership
        membership.policy.stop()  # why: the new program would not know its children
        wakeup_fds = {index: slot.wakeup_fd for index, slot in service.workers.slots.items()}
        with contextlib.ExitStack() as undo:  # runs only if the upgrade fails
            child, books = old_counts.start(table, membership, wakeup_fds)
            undo.callback(child.reap)
            undo.callback(child.kill)
            undo.callback(books.close)
            state = self._state()
            sticky = carried_state.sticky_entries(table, membership, monotonic_ms())
            undo.callback(os.close, sticky["fd"])
            lists = carried_state.lists(membership)
            undo.callback(os.close, lists["fd"])
            state = replace(
                state,
                answer=replace(state.answer, id=request, cause=cause),
                steward=Steward(child.pid, books.fileno(), stops=True, tells=True),
                sticky=sticky,
                lists=lists,
                caches=membership.policy.caches.carried(),
            ).with_keep()
            for helper in (service.helpers.control, service.helpers.policy):
                helper.send({"op": "retire"})
            execve.become(command, state.to_plain(), state.keep, back=False)

    def _state(self) -> State:
        """Returns the state that is passed on, except the parts that are made for each use."""
        service, source = self._service, self._reloads.source
        admin, web, workers = service.admin, service.web, service.workers
        return State(
            version=l4lb.__version__,
            old=execve.STARTED_AS,
            file=source.path,
            config=plain.carried(source.file),
            overlay=source.overlay.to_plain(),
            started_ms=service.started_ms,
            generation=service.table.generation,
            counts=carried_counts.taken(service.table, service.membership),
            admin=AdminFds(admin.path, admin.sock.fileno(), admin.lock_fd),
            listening=[described(one) for one in workers.listening],
            workers={pid: OldWorker(*one) for pid, one in workers.mailboxes().items()},
            lifeline_fd=workers.lifeline_fd,
            helpers=[one.pid for one in service.helpers if one.pid],
            answer=Asker(service.helpers.control.fileno()),
            environment=service.notifier.environment(),
            known=carried_state.taken(service.table, service.membership, service.secrets.carried()),
            events=service.history.plain,
            older=list(workers.older),
            web_fd=web.fd if web else None,
            web=web.carried() if web else None,
            writer_fd=service.helpers.log.fileno(),
            disks=service.membership.policy.caches.disks.carried,
            shield=service.shield.carried(),
            packets=service.helpers.packets.carried(),
            ranges=service.ranges.carried(),
        )
