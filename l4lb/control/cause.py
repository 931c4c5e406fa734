"""Causes of changes: who asked, and for what. Pure.

The control process knows who asks; the supervisor knows the outcome. A request to the supervisor
therefore carries its cause (`CURRENT` while a command is carried out), and the supervisor writes
the record of changes (l4lb/supervisor/requests/change_record.py).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from l4lb.control.command import TEXT_MAX
from l4lb.control.commands import COMMANDS
from l4lb.log import HIDDEN, SECRET

By = Mapping[str, Any]  # {via, ...}: admin, http, signal, discovery or checker
NOBODY: By = {"via": "internal"}


@dataclass
class Cause:
    """The cause of a change. by: who asked. command, args: what for. about: the backend, pool and
    listener that the arguments name. line: the whole command as an operator would type it.
    passed_on: the supervisor has received the cause with a request."""

    by: By
    command: str
    about: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    passed_on: bool = False

    def plain(self) -> dict[str, Any]:
        """Returns the cause as plain data, for the channel and for the next program after an
        upgrade."""
        return {
            "by": dict(self.by), "command": self.command, "about": dict(self.about),
            "args": dict(self.args), "line": self.line,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, told: Mapping[str, Any]) -> Cause:
        """Returns the cause that plain() has written, perhaps in another version of the program."""
        command = str(told.get("command"))
        return cls(
            told.get("by") or NOBODY, command, told.get("about") or {}, told.get("args") or {},
            str(told.get("line") or command),
        )  # fmt: skip

    @classmethod
    def of(cls, by: By, command: str, given: Mapping[str, Any]) -> Cause:
        """Returns the cause of a command. given: arguments as they arrived, perhaps wrong ones.
        Text that is too long is cut, unknown arguments are left out, and secrets are hidden."""
        about: dict[str, str] = {}
        args: dict[str, Any] = {}
        words = [command]
        for arg in COMMANDS[command].args:
            value = given.get(arg.name)
            # why False: a flag that is not given.
            if value == arg.default or value is False or not isinstance(value, (str, int)):
                continue
            shown = value[:TEXT_MAX] if isinstance(value, str) else value
            shown = HIDDEN if SECRET.search(arg.name) else shown
            if arg.of:
                about[arg.of] = str(shown)
            else:
                args[arg.name] = shown
            words += _typed(arg.name, shown, option=arg.option)
        return cls(by, command, about, args, " ".join(words))


def _typed(name: str, value: object, *, option: bool) -> list[str]:
    """Returns the words of one argument on a command line."""
    flag = [f"--{name.removesuffix('_ms').replace('_', '-')}"] if option else []
    if value is True:
        return flag
    return [*flag, f"{value}ms" if name.endswith("_ms") else shlex.quote(str(value))]


def named(by: By) -> str:
    """Names the asker in words for people."""
    via = by.get("via")
    if via == "admin":
        user, uid, pid = by.get("user"), by.get("uid"), by.get("pid")
        return f"{user} (uid {uid}, pid {pid})" if user else f"uid {uid} (pid {pid})"
    if via == "http":
        return f"the token's holder at {by.get('client')}"
    return f"signal {by.get('signal')}" if via == "signal" else str(via)


CURRENT: ContextVar[Cause | None] = ContextVar("cause", default=None)
