"""Changes the number of workers, and the addresses from which they take clients.

No change here refuses or resets a client. A socket that goes is drained first (drain_filter.py);
then its worker accepts what is queued. A worker that is not needed any more does this with all its
sockets, hands its sessions to the other workers (csrc/run/handover.h), and ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection

import l4lb.log
from l4lb.errors import L4lbError
from l4lb.native.table import Table
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.sockets import drain_filter
from l4lb.supervisor.sockets.listening import EMPTY_MS, Listening
from l4lb.supervisor.workers import mailbox
from l4lb.supervisor.workers.rebalance import evened
from l4lb.supervisor.workers.workers import Slot, Workers

FLOWS_MS = 5_000  # time for workers to hand UDP sessions over; L4_UDP_GHOST_MS is longer
RETRY_MS = 1_000
LOG = l4lb.log.get("supervisor")


class WorkerChanges:
    """Changes the set of workers while the service runs."""

    def __init__(self, reactor: Reactor, workers: Workers) -> None:
        self._reactor = reactor
        self._workers = workers
        self._closing: list[Listening] = []
        self._drain_timeout_ms = 0
        self._emptied: set[int] = set()  # workers that were started to empty sockets
        self._moves = 0  # moves of UDP sessions that were begun
        self._moved = 0  # the last move after which UDP clients were shared out

    def has_port(self, protocol: str, port: int) -> bool:
        """Returns whether a socket of this service is bound to the port, also one that is being
        closed."""
        return any(
            (one.protocol, one.bind.port) == (protocol, port)
            for one in [*self._workers.listening, *self._closing]
        )

    @property
    def closing(self) -> list[Listening]:
        """The addresses that take no more clients and are not closed yet."""
        return self._closing

    def listen(self, one: Listening) -> None:
        """Makes all workers take clients from one more address."""
        self._workers.listening.append(one)
        for index in self._workers.serving:
            fd = one.of_worker(index).fileno()
            self._workers.tell(
                index, mailbox.LISTEN, row=one.row, arg=one.shared, tag=one.tag, fd=fd
            )

    def relabel(self, one: Listening, row: int) -> None:
        """Gives the clients of an address to another listener row."""
        for index in self._workers.serving:
            self._workers.tell(index, mailbox.RELABEL, row=one.row, arg=row, tag=one.tag)
        one.row = row

    def unlisten(self, one: Listening) -> None:
        """Takes no more clients from an address. Clients whose handshake has begun are still
        served."""
        self._workers.listening.remove(one)
        one.unlink()
        one.shut()

        def closed() -> None:
            one.close()
            self._closing.remove(one)

        def empty() -> None:
            self._workers.ask_to_unlisten([one], self._workers.serving, closed)

        self._closing.append(one)

        self._reactor.after(0 if one.shared else EMPTY_MS, empty)

    def drain(self) -> None:
        """Takes no more clients anywhere; each worker ends with its last session."""
        for one in self._workers.listening:
            one.shut()

        def empty() -> None:
            if not self._workers.stopping:
                self._workers.drain()

        # why not at once: a client between the worker's last accept and the close would be reset.
        queues = any(one.has_queues for one in self._workers.listening)
        self._reactor.after(EMPTY_MS if queues else 0, empty)

    # ---- more or fewer workers -----------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Returns whether each worker that is to stay has its sockets, no other worker has any, and
        UDP clients are shared out over them."""
        staying = set(self._workers.staying)
        return self._moved == self._moves and all(
            one.shared or set(one.sockets) == staying for one in self._workers.listening
        )

    def make_sockets(self, count: int) -> None:
        """Opens the sockets for `count` workers, before the workers start. Raises L4lbError."""
        made: list[tuple[Listening, int]] = []
        try:
            for one in self._workers.listening:
                for index in range(count):
                    if index not in self._workers.slots and not one.shared:
                        one.add(index)
                        made.append((one, index))
        except BaseException:
            for one, index in made:
                one.drop(index)
            raise

    def drop_sockets_from(self, count: int) -> None:
        """Undoes make_sockets: closes the sockets from index `count` on."""
        for one in self._workers.listening:
            for index in list(one.sockets):
                if index >= count and index not in self._workers.slots:
                    one.drop(index)

    def resize(self, count: int, drain_timeout_ms: int) -> None:
        """Starts or ends workers until there are `count`. make_sockets was called before."""
        before = len(self._workers.staying)
        for index in range(count):
            slot = self._workers.slots.get(index)
            if slot is None:
                self._workers.slots[index] = Slot(self._workers.wakeup_fds[index])
                self._workers.start_one(index)
            else:
                slot.wanted = True  # a worker that is leaving is started again after its end
        too_many = {at: slot for at, slot in self._workers.slots.items() if at >= count}
        going = {at: (slot, slot.child) for at, slot in too_many.items() if not slot.leaving}
        self._drain_timeout_ms = drain_timeout_ms
        for slot in too_many.values():
            slot.wanted, slot.leaving = False, True

        def leave() -> None:
            for index, (slot, child) in going.items():
                same = self._workers.slots.get(index) is slot and slot.child is child
                if slot.leaving and same:
                    self._leave(index, slot)

        if count == before:
            leave()
        else:
            self.move_udp(count, leave)

    def move_udp(self, count: int, done: Callable[[], None] = lambda: None) -> None:
        """Shares UDP clients out over the first `count` workers. Each session is first handed to
        the worker that its client will meet. Then done is called."""
        serving = [at for at, slot in self._workers.slots.items() if slot.child is not None]
        pairs = {
            (giver, taker)
            for giver in serving
            for taker in serving
            if taker < count and giver != taker and not self._workers.slots[taker].leaving
        }
        self._moves += 1
        number = self._moves

        def handed() -> None:
            if number == self._moves:  # else a later move shares out
                self._share_out(count)
                self._moved = number
            done()

        self._hand_udp(pairs, count, handed)

    def _hand_udp(
        self, pairs: Collection[tuple[int, int]], count: int, done: Callable[[], None]
    ) -> None:
        """Makes givers hand takers those UDP sessions that the takers will serve once there are
        `count` workers. pairs: giver and taker. Then, or when the time is over, done is called."""
        udp = any(one.protocol == "udp" for one in self._workers.listening)
        left = set(pairs) if udp else set()
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                done()

        def handed(pair: tuple[int, int]) -> None:
            left.discard(pair)
            if not left:
                end()

        for pair in list(left):
            self._workers.hand_overs.flows(*pair, count, functools.partial(handed, pair))
        if left:
            self._reactor.after(FLOWS_MS, end)
        else:
            end()

    def _share_out(self, count: int) -> None:
        for one in self._workers.listening:
            if one.protocol == "udp":
                one.share_out(count)

    def _leave(self, index: int, slot: Slot) -> None:
        stay = set(self._workers.serving)
        for one in self._workers.listening:
            if one.has_queues and index in one.sockets:
                places = [place for place, owner in enumerate(one.order) if owner in stay]
                if places:
                    drain_filter.steer(one.sockets[index], places)
                drain_filter.shut(one.sockets[index])
        if slot.child is None:
            self.left(index)
            return
        child = slot.child

        def too_late() -> None:
            if slot.child is child:
                self._workers.send(index, "stop", reason="drain_timeout")

        def still_leaves() -> bool:
            """Returns whether it is the same process, and the service does not end."""
            return slot.child is child and slot.leaving and not self._workers.stopping

        def hand_rest() -> None:
            # why again: UDP sessions may have begun there until the kernel shared clients out anew.
            if still_leaves():
                pairs = {(index, taker) for taker in self._workers.serving}
                self._hand_udp(pairs, len(self._workers.staying), unlisten)

        def unlisten() -> None:
            if still_leaves():
                self._workers.ask_to_unlisten(list(self._workers.listening), [index], unlistened)

        def unlistened() -> None:
            if still_leaves():
                self._leave_sessions(index)

        self._reactor.after(self._drain_timeout_ms + EMPTY_MS, too_late)
        self._reactor.after(EMPTY_MS, hand_rest)

    def _leave_sessions(self, index: int) -> None:
        """Makes a worker whose sockets are empty hand its sessions over."""
        self._drop_sockets(index)
        self._workers.tell(index, mailbox.LEAVE)
        for taker in self._workers.serving:
            self._workers.hand_overs.everything(self._workers.mailbox_of(index), taker)

    def _drop_sockets(self, index: int) -> None:
        leaving = any(slot.leaving for at, slot in self._workers.slots.items() if at != index)
        for one in self._workers.listening:
            one.drop(index)
            if not leaving and one.has_queues and one.sockets:
                drain_filter.steer_no_more(next(iter(one.sockets.values())))

    def left(self, index: int) -> None:
        """Handles the end of a worker that was to leave. It is started again if it is needed
        again."""
        slot = self._workers.slots[index]
        if self._empties(index, slot):
            return
        self._emptied.discard(index)
        self._drop_sockets(index)
        if slot.wanted:
            self._start_again(index)
            return
        self._workers.retire(index)

    def _empties(self, index: int, slot: Slot) -> bool:
        """Starts a worker for the clients that wait in the sockets of one that died before they
        were empty; it leaves at once. Returns whether there is one."""
        waits = any(one.has_queues and index in one.sockets for one in self._workers.listening)
        if not waits or slot.wanted or index in self._emptied or self._workers.stopping:
            return False
        self._emptied.add(index)
        self._workers.start_one(index)
        if slot.child is None:
            return False
        slot.leaving = True
        self._leave(index, slot)
        return True

    def _start_again(self, index: int) -> None:
        try:
            for one in self._workers.listening:
                one.add(index)
        except L4lbError as error:
            LOG.error("cannot start a worker, trying again", worker=index, error=error.message)
            self._reactor.after(RETRY_MS, lambda: self._start_again(index))
            return
        self._workers.start_one(index)
        self.move_udp(len(self._workers.staying))

    # ---- sessions ------------------------------------------------------------------------------

    def rebalance(self, table: Table, done: Callable[[int], None]) -> None:
        """Evens out the sessions of the workers. done gets the number that moved."""
        active = {row.index: row.active for row in table.workers()}
        moves = [
            move
            for move in evened({one: active.get(one, 0) for one in self._workers.serving})
            if move.sessions
        ]
        left, moved = len(moves), 0
        if not moves:
            done(0)

        def one_done(count: int) -> None:
            nonlocal left, moved
            left, moved = left - 1, moved + count
            if left == 0:
                done(moved)

        for move in moves:
            self._workers.hand_overs.some(move.giver, move.taker, move.sessions, one_done)
