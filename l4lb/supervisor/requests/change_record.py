"""The record of changes: each change that was asked for, done or refused, as a line in the log and
as an event `change`.

Every asker (an operator over the admin socket or HTTP, a signal, discovery, the checker) gives a
cause with the request. The outcome is recorded here and nowhere else.
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
OPERATORS = ("admin", "http", "signal")  # their changes are logged without a rate limit
LOG = l4lb.log.get("supervisor")

Send = Callable[[dict[str, Any]], object]  # sends the answer to a request


class Record:
    """The record of changes. tell: keeps an event and passes it to those who follow events."""

    def __init__(self, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._tell = tell

    def add(self, cause: Cause, outcome: Any) -> None:
        """Records one change. outcome: its result, or an AdminError."""
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
        """Returns a send that also records the answer. told: the cause that came with the request;
        without one the request changes nothing and is not recorded."""
        if not isinstance(told, Mapping):
            return send

        def recorded(answer: dict[str, Any]) -> None:
            self.answered(told, answer)
            send(answer)

        return recorded

    def answered(self, told: object, answer: Mapping[str, Any]) -> None:
        """Records the answer to a request. told: the cause that came with it; without one nothing
        is recorded."""
        if isinstance(told, Mapping):
            with contained("recording a change"):
                error = answer.get("error")
                failed = AdminError(error["code"], error["message"]) if error else None
                self.add(Cause.from_plain(told), failed or answer.get("result"))


def signalled(name: str, command: str) -> Cause:
    """Returns the cause of a command that a signal (such as HUP) has asked for."""
    return Cause({"via": "signal", "signal": name}, command, line=command)


def _ended(outcome: Any) -> dict[str, str]:
    if isinstance(outcome, AdminError):
        reason = outcome.message[:TEXT_MAX]
        return {"result": "refused", "code": outcome.code, "reason": reason}
    return {"result": "done"}


def _is_idle(cause: Cause, outcome: Any) -> bool:
    """Returns whether a request of discovery changed nothing or was refused. Discovery asks again,
    and reports refusals itself (`discovery_not_applied`)."""
    if cause.by.get("via") != "discovery":
        return False
    return isinstance(outcome, AdminError) or not outcome.get("changes")
