"""Hand-overs: sessions that move from one worker (the giver) to another (the taker), see
csrc/run/handover.h.

A giver that leaves hands all its sessions to workers that stay. If a taker dies, the sessions that
it had not taken still belong to the giver. They go to the worker that replaces the taker: otherwise
they would end with the giver.
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
    """Hand-overs between workers. mailbox_of: returns the mailbox of the worker of an index, if
    that worker has a process."""

    def __init__(self, mailbox_of: MailboxOf) -> None:
        self._mailbox_of = mailbox_of
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._leaving: defaultdict[int, list[Mailbox]] = defaultdict(list)  # givers by taker

    def some(self, giver: int, taker: int, count: int, done: Callable[[int], None]) -> None:
        """Makes one worker hand `count` sessions to another. done gets the number that moved."""
        self._begin(self._mailbox_of(giver), taker, op=mailbox.GIVE, arg=count, told=(giver, done))

    def flows(self, giver: int, taker: int, places: int, done: Callable[[], None]) -> None:
        """Makes one worker hand another those UDP sessions that the other will serve once there are
        `places` workers. done is called at once if the giver has no process."""
        if self._mailbox_of(giver) is None:
            done()
            return
        self._begin(
            self._mailbox_of(giver),
            taker,
            op=mailbox.GIVE_FLOWS,
            row=places,
            arg=taker,
            told=(giver, lambda _: done()),
        )

    def everything(self, giver: Mailbox | None, taker: int) -> None:
        """Makes a worker that leaves, of this program or an older one, hand all its sessions to a
        taker. A taker that is being replaced gets them when it runs again."""
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
        """Notes that a giver has ended a hand-over. Returns False if nobody waits for it."""
        giver, done = self._waiting.pop(number, (None, None))
        if done is not None:
            done(moved)
        return giver is not None

    def died(self, index: int) -> None:
        """Ends the waiting for a worker's answers, because it has died."""
        for number, (giver, done) in list(self._waiting.items()):
            if giver == index:
                del self._waiting[number]
                done(0)

    def started(self, index: int) -> None:
        """Resumes hand-overs to a worker that has started, perhaps in place of a taker that
        died."""
        for giver in self._leaving.pop(index, []):
            if not giver.closed:
                self.everything(giver, index)
