"""Sessions on their way from one worker to another (csrc/run/handover.h): who gives them to whom.

A giver that leaves hands all that it has to takers that stay. If a taker dies, what it had not
taken is still the giver's, and goes to the worker that is started in its place: else it would live
no longer than the giver may.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable

from l4lb.supervisor.process.child import channel
from l4lb.supervisor.workers import mailbox
from l4lb.supervisor.workers.mailbox import Mailbox

MailboxOf = Callable[[int], Mailbox | None]


class HandOvers:
    """Hand-overs between workers. mailbox_of: the mailbox of the worker of an index, if it has a
    process."""

    def __init__(self, mailbox_of: MailboxOf) -> None:
        self._mailbox_of = mailbox_of
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._leaving: defaultdict[int, list[Mailbox]] = defaultdict(list)  # givers by their taker

    def some(self, giver: int, taker: int, count: int, done: Callable[[int], None]) -> None:
        """One worker hands so many sessions to another; done is told how many moved."""
        self._begin(self._mailbox_of(giver), taker, op=mailbox.GIVE, arg=count, told=(giver, done))

    def flows(self, giver: int, taker: int, places: int, done: Callable[[], None]) -> None:
        """One worker hands another the UDP sessions that are its, of so many workers."""
        self._begin(
            self._mailbox_of(giver),
            taker,
            op=mailbox.GIVE_FLOWS,
            row=places,
            arg=taker,
            told=(giver, lambda _: done()),
        )

    def everything(self, giver: Mailbox | None, taker: int) -> None:
        """A worker that leaves, of whatever program, hands a taker all, until it has nothing. A
        taker that is being replaced gets it when it runs."""
        if giver is None:
            return
        self._leaving[taker] = [giver, *(one for one in self._leaving[taker] if not one.closed)]
        if self._mailbox_of(taker) is not None:
            self._begin(giver, taker, op=mailbox.GIVE, arg=mailbox.ALL)

    def _begin(
        self, giver: Mailbox | None, taker: int, *, op: int, arg: int, row: int = 0,
        told: tuple[int, Callable[[int], None]] | None = None,
    ) -> None:  # fmt: skip
        number = next(self._numbers)
        if told is not None:
            self._waiting[number] = told
        give, take = channel()
        taking = self._mailbox_of(taker)
        if taking is not None:
            taking.send(mailbox.TAKE, number=number, fd=take.fileno())
        if giver is not None:
            giver.send(op, row=row, arg=arg, number=number, fd=give.fileno())
        give.close()
        take.close()

    def ended(self, number: int, moved: int) -> bool:
        """A giver tells that it has ended. False: nobody waits for that."""
        giver, done = self._waiting.pop(number, (None, None))
        if done is not None:
            done(moved)
        return giver is not None

    def died(self, index: int) -> None:
        """A worker has died: nobody waits for its answers."""
        for number, (giver, done) in list(self._waiting.items()):
            if giver == index:
                del self._waiting[number]
                done(0)

    def started(self, index: int) -> None:
        """A worker runs, perhaps in the place of one that died as a taker."""
        for giver in self._leaving.pop(index, []):
            if not giver.closed:
                self.everything(giver, index)
