"""The record of changes: each one that somebody asked for, in the log and as an event `change`,
whether it was done or refused.

Whoever asks (an operator over the admin socket or HTTP, a signal, discovery, the checker) brings a
cause along; what came of it is written here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.control.cause import Cause, named
from l4lb.control.command import TEXT_MAX
from l4lb.errors import AdminError
from l4lb.supervisor.process.faults import contained

KIND = "change"
OPERATORS = ("admin", "http", "signal")  # all that they do is logged, however often
LOG = l4lb.log.get("supervisor")

Send = Callable[[dict[str, Any]], object]  # an answer of control.py


class Record:
    """tell: passes an event on to those who follow them, and keeps it."""

    def __init__(self, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._tell = tell

    def add(self, cause: Cause, outcome: Any) -> None:
        """outcome: the result, or an AdminError."""
        if _is_idle(cause, outcome):
            return
        ended, how = _ended(outcome), "done"
        if "code" in ended:
            how = f"refused ({ended['code']}: {ended['reason']})"
        who = named(cause.by)
        LOG.info(
            KIND, command=cause.command, **cause.about, args=dict(cause.args), by=who,
            via=cause.by.get("via"), **ended, every=cause.by.get("via") in OPERATORS,
        )  # fmt: skip
        self._tell(
            KIND,
            {
                "command": cause.command, **cause.about, "args": dict(cause.args),
                "by": dict(cause.by), **ended, "text": f"{cause.line} by {who}: {how}",
            },
        )  # fmt: skip

    def sending(self, told: object, send: Send) -> Send:
        """The same with the answer to a request that brought this cause; none: it changes
        nothing."""
        if not isinstance(told, Mapping):
            return send

        def recorded(answer: dict[str, Any]) -> None:
            self.answered(told, answer)
            send(answer)

        return recorded

    def answered(self, told: object, answer: Mapping[str, Any]) -> None:
        """Writes down the answer to a request that brought this cause; none: it changes nothing."""
        if isinstance(told, Mapping):
            with contained("recording a change"):
                error = answer.get("error")
                failed = AdminError(error["code"], error["message"]) if error else None
                self.add(Cause.from_plain(told), failed or answer.get("result"))


def signalled(name: str, command: str) -> Cause:
    """The cause that a signal (HUP) is of a command."""
    return Cause({"via": "signal", "signal": name}, command, line=command)


def _ended(outcome: Any) -> dict[str, str]:
    if isinstance(outcome, AdminError):
        reason = outcome.message[:TEXT_MAX]
        return {"result": "refused", "code": outcome.code, "reason": reason}
    return {"result": "done"}


def _is_idle(cause: Cause, outcome: Any) -> bool:
    """Has a source found what was there, or was it refused? It asks again, and tells of that by
    itself (`discovery_not_applied`)."""
    if cause.by.get("via") != "discovery":
        return False
    return isinstance(outcome, AdminError) or not outcome.get("changes")
