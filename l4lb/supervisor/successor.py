"""The start of a program that takes another's place (new_program.py)."""

from __future__ import annotations

import os
from collections.abc import Callable

import l4lb.log
from l4lb.config.model import Config
from l4lb.supervisor.main import Supervisor
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.reload.source import ConfigOrigin
from l4lb.supervisor.sockets.systemd_activation import Inherited
from l4lb.supervisor.upgrade.new_program import Predecessor, check

Load = Callable[[str], Config]


def answer(what: str, fd: int, load: Load) -> int:
    """What the program before this one asks, with the state behind fd: only to "check" it, or to
    "run" from there."""
    return check(fd) if what == "check" else take_over(fd, load)


def take_over(fd: int, load: Load) -> int:
    """As serve, in the place of the program that wrote the state behind fd."""
    before = Predecessor(fd)
    try:
        config = before.source.running
        l4lb.log.setup(config.process.log.level, config.process.log.format)
        pid = os.getpid()
        supervisor = Supervisor(
            config,
            ConfigOrigin(before.source.path, load),
            None,
            Notifier(os.environ, pid),
            Inherited({}, pid),
            before,
        )
        supervisor.go_on_from(before.state.generation)
        return supervisor.run()
    except Exception as error:
        if before.succeeded:
            raise
        before.go_back(repr(error))
