"""The checker process as the supervisor runs it: its settings at start, and messages to it
later."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.checker.main
from l4lb.checker.plan import messages, plans
from l4lb.config.model import Config
from l4lb.native.table import Table
from l4lb.supervisor.process.event_history import History
from l4lb.supervisor.process.helper import HUNG, Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards, runs_programs

OTHER_CALLS = "checks and alerts that run programs need other system calls than those that do not"


class Checking(Helper):
    """The checker process. tell: reports an event to all that follow events."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        config: Config,
        guards: Guards,
        history: History,
        *,
        on_message: Callable[[Mapping[str, Any]], None],
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._table = table
        self._config = config
        self._history = history
        self._is_guarded = guards.on
        super().__init__(
            reactor,
            "checker",
            self._run,
            keep=[],
            on_message=on_message,
            on_start=lambda pid: setattr(table, "checker_pid", pid),
            raw=True,
            guard=lambda: guards.checker(self._config),
            heartbeat=lambda: table.checker_beat_ms,
            on_hang=lambda pid: tell("checker_hung", {"pid": pid, "text": HUNG}),
        )

    def _run(self, channel: socket.socket) -> int:
        down = self._history.pools_down
        setup = l4lb.checker.main.CheckerSetup(self._table, channel, plans(self._config), down)
        return l4lb.checker.main.run(setup)

    def configure(self, config: Config) -> None:
        """Gives the checker the plans of another configuration. A checker whose filter of system
        calls does not fit any more is replaced."""
        fits = not self._is_guarded or runs_programs(config) == runs_programs(self._config)
        self._config = config
        if not fits:
            self.replace(OTHER_CALLS)
        elif not all(self.send(message) for message in messages(plans(config))):
            self.kill()  # the next checker gets the plans by its fork
