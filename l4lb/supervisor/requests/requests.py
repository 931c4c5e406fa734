"""Requests to the supervisor: each is carried out, answered and recorded.

The control process sends maps `{id, op, args}` over its channel. It gets `{id, ok, result}` or
`{id, ok, error: {code, message}}`, at once or later. The checker sends `{ask, ...}` and gets no
answer. A signal asks for a reload or an upgrade. The operations and their properties are rows of
l4lb/control/commands.py (OPERATIONS); operations.py binds each to a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.control.commands import OPERATIONS
from l4lb.errors import AdminError
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.systemd_notify import Notifier
from l4lb.supervisor.reload.reload import Reply
from l4lb.supervisor.requests.change_record import Record, signalled

LOG = l4lb.log.get("supervisor")

Operation = Callable[[Mapping[str, Any], Reply], object]  # replies once, now or later


def at_once(work: Callable[[Mapping[str, Any]], Any]) -> Operation:
    """Makes an operation of a function that returns the result at once."""
    return lambda args, reply: reply(work(args))


class Requests:
    """Carries requests out. operations: the functions by the names of OPERATIONS. phase: returns
    the service's phase. notifier: is told about operations that are announced. record: gets the
    requests that come with a cause."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        record: Record,
        *,
        phase: Callable[[], str],
        notifier: Notifier,
    ) -> None:
        self._operations = operations
        self._phase = phase
        self._notifier = notifier
        self.record = record

    def handle(self, request: Mapping[str, Any], send: Callable[[dict[str, Any]], object]) -> None:
        """Carries one request out. send gets the answer, at once or later. An exception becomes an
        answer too."""
        cause, args = request.get("cause"), request.get("args")
        head = {"id": request.get("id")}
        send = self.record.sending(cause, send)

        reply: Reply = lambda outcome: send(head | _answer(outcome))  # noqa: E731
        try:
            op = str(request.get("op"))
            operation = self._operations.get(op)
            if operation is None or OPERATIONS[op].checker or not isinstance(args, Mapping):
                raise AdminError("bad_request", "the supervisor knows no such request")
            if not _is_allowed(op, self._phase()):
                raise AdminError("refused", f"the service is {self._phase()}")
            if OPERATIONS[op].announced:
                reply = self._announced(reply)
            operation({**args, "request": request.get("id"), "cause": cause}, reply)
        except AdminError as error:
            reply(error)
        except Exception:
            reply(fault(f"request {request.get('op')}"))

    def _announced(self, reply: Reply) -> Reply:
        """Tells the service manager that the operation begins. Returns a reply that also tells it
        of the end."""

        def ended(outcome: Any) -> None:
            self._notifier.ready()
            reply(outcome)

        self._notifier.reloading()
        return ended

    def take(self, message: Mapping[str, Any]) -> None:
        """Carries out a request of the checker. A backend that was removed meanwhile is not an
        error."""
        op = str(message.get("ask"))
        operation = self._operations.get(op)
        if operation is None or not OPERATIONS[op].checker:
            LOG.error("the checker sent an unknown request", ask=op)
            return
        try:
            operation(message, lambda _: None)
        except AdminError as error:
            LOG.info("a request of the checker was refused", ask=op, why=error.message)
        except Exception:
            fault(f"a request of the checker: {op}")

    def by_signal(self, name: str, op: str) -> None:
        """Carries out the operation that a signal (such as HUP) asks for. The log has the
        answer."""
        answers: list[dict[str, Any]] = []
        self.handle({"op": op, "args": {}, "cause": signalled(name, op).plain()}, answers.append)
        for answer in answers:  # a later refusal is logged where it is made
            if not answer["ok"]:
                LOG.error(f"cannot {op}", reason=answer["error"]["message"])

    def recorded(self, name: str, command: str, do: Callable[[], None]) -> Callable[[], None]:
        """Returns a handler for a signal that is never refused: it records the signal, then calls
        `do`."""

        def done() -> None:
            self.record.add(signalled(name, command), {})
            do()

        return done


def _is_allowed(op: str, phase: str) -> bool:
    row = OPERATIONS[op]
    return not row.serving or phase == "serving" or (row.starting and phase == "starting")


def _answer(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, AdminError):
        return {"ok": False, "error": {"code": outcome.code, "message": outcome.message}}
    return {"ok": True, "result": outcome}
