"""The old program's part of an upgrade: check the new one, write everything down, give way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import l4lb
import l4lb.log
from l4lb.config import plain
from l4lb.errors import AdminError
from l4lb.native.table import Table
from l4lb.supervisor.process import faults
from l4lb.supervisor.process.event_history import History
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor, monotonic_ms
from l4lb.supervisor.reload.reload import Reloads
from l4lb.supervisor.sockets.http import OpenWeb
from l4lb.supervisor.sockets.listening import AdminSocket, Listening
from l4lb.supervisor.table.membership import Membership
from l4lb.supervisor.tls_secrets import Secrets
from l4lb.supervisor.upgrade import carried_counts, carried_state, execve, old_counts, state_file
from l4lb.supervisor.workers.workers import Workers

ANSWER_MS = 500
LOG = l4lb.log.get("supervisor")


class Departure:
    """One attempt to give way to the program that is installed now."""

    def __init__(
        self,
        reactor: Reactor,
        *,
        table: Table,
        membership: Membership,
        reloads: Reloads,
        workers: Workers,
        admin: AdminSocket,
        web: OpenWeb | None,
        helpers: Sequence[Helper],
        secrets: Secrets,
        history: History,
        started_ms: int,
        environment: Mapping[str, str],
    ) -> None:
        self._reactor = reactor
        self._table = table
        self._membership = membership
        self._reloads = reloads
        self._workers = workers
        self._admin = admin
        self._web = web
        self._helpers = helpers
        self._secrets = secrets
        self._history = history
        self._started_ms = started_ms
        self._environment = environment

    def begin(self, request: object, cause: object, reply: Callable[[Any], None]) -> None:
        """reply hears of it only if it fails: else the successor answers, and records the cause.
        Raises AdminError."""
        self._reloads.occupy("an upgrade")
        command = execve.command_line()
        LOG.info("upgrade: asking the installed program", command=" ".join(command))

        def fault(error: AdminError) -> None:
            self._reloads.occupy("")
            LOG.error("no upgrade: everything is as it was", reason=error.message)
            reply(error)

        def ready(version: str) -> None:
            LOG.info("upgrade: giving way", version=l4lb.__version__, successor=version)
            try:
                self._give_way(command, {"id": request, "cause": cause})
            except OSError as error:
                fault(AdminError("failed", f"cannot start the new program: {error}"))
            except Exception:
                fault(faults.fault("giving way to the new program"))
            # It accepts no more: when it has passed that on, another one takes its place.
            self._reactor.after(ANSWER_MS, self._helpers[0].kill)

        try:
            with contextlib.ExitStack() as files:
                state = self._state({"id": None})
                state["lists"] = carried_state.lists(self._membership)
                files.callback(os.close, state["lists"]["fd"])
                state_fd = state_file.written(state)
                files.callback(os.close, state_fd)
                keep = [state["lists"]["fd"], *self._secrets.fds]
                keep += [self._web.fd] if self._web else []
                execve.check(self._reactor, command, state_fd, keep, ready, fault)
        except OSError as error:
            self._reloads.occupy("")
            raise AdminError("failed", f"cannot try the new program: {error}") from error
        except Exception:
            self._reloads.occupy("")
            raise

    def _give_way(self, command: list[str], answer: Mapping[str, Any]) -> None:
        self._membership.policy.stop()  # its children would be nobody's
        bells = {index: slot.bell for index, slot in self._workers.slots.items()}
        with contextlib.ExitStack() as undo:  # left only if this fails
            child, books = old_counts.start(self._table, self._membership, bells)
            undo.callback(child.reap)
            undo.callback(child.kill)
            undo.callback(books.close)
            state = self._state(answer)
            state["steward"] = {
                "pid": child.pid,
                "fd": books.fileno(),
                "stops": True,
                "tells": True,
            }
            state["sticky"] = carried_state.sticky_entries(
                self._table, self._membership, monotonic_ms()
            )
            undo.callback(os.close, state["sticky"]["fd"])
            state["lists"] = carried_state.lists(self._membership)
            undo.callback(os.close, state["lists"]["fd"])
            state["keep"] += [books.fileno(), state["sticky"]["fd"], state["lists"]["fd"]]
            self._helpers[0].send({"op": "retire"})
            execve.become(command, state, state["keep"], back=False)

    def _state(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """answer: to whom the successor is to answer."""
        source = self._reloads.source
        control = self._helpers[0]
        mailboxes = self._workers.mailboxes()
        web_fd = self._web.fd if self._web else None
        fds = [self._admin.sock.fileno(), self._admin.lock_fd, self._workers.lifeline_fd]
        fds += [sock.fileno() for one in self._workers.listening for sock in one.sockets.values()]
        fds += [told["post_fd"] for told in mailboxes.values()]
        fds += self._secrets.fds
        writer_fd = self._helpers[2].fileno()
        fds += [fd for fd in (web_fd, control.fileno(), writer_fd) if fd is not None]
        return {
            "version": l4lb.__version__,
            "old": execve.STARTED_AS,
            "back": False,
            "file": source.path,
            **plain.carried(source.file),
            "overlay": source.overlay.to_plain(),
            "started_ms": self._started_ms,
            "generation": self._table.generation,
            "counts": carried_counts.taken(self._table, self._membership),
            "events": self._history.plain,
            "carried": carried_state.taken(self._table, self._membership, self._secrets.carried()),
            "admin": {
                "path": self._admin.path,
                "fd": self._admin.sock.fileno(),
                "lock_fd": self._admin.lock_fd,
            },
            "web_fd": web_fd,
            "web": self._web.carried() if self._web else None,
            "writer_fd": writer_fd,
            "listening": [_described(one) for one in self._workers.listening],
            "workers": mailboxes,
            "older": list(self._workers.older),
            "lifeline_fd": self._workers.lifeline_fd,
            "helpers": [one.pid for one in self._helpers if one.pid],
            "answer": {"fd": control.fileno(), **answer},
            "environment": dict(self._environment),
            "keep": fds,
        }


def _described(one: Listening) -> dict[str, Any]:
    """An open address, as the successor reads it (new_program.py)."""
    return {
        "protocol": one.protocol,
        "bind": str(one.bind),
        "listener": one.listener,
        "path": one.path,
        "passed": one.passed,
        "order": one.order,
        "unlinked": one.unlinked,
        "seed": one.seed,
        "by_port": one.options.by_port,
        "mptcp": one.options.mptcp,
        "options": dict(one.options.values),
        "rights": list(one.options.rights),
        "sockets": {index: sock.fileno() for index, sock in one.sockets.items()},
    }
