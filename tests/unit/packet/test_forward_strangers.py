"""What strangers make up breaks no flow: resets, FINs, SYNs, proofs that they have not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from l4lb.packet import tables

from .forward_twin import summed
from .forwarding import Forward, loaded
from .frames import TCP, frame

CLIENT, VIP, OURS, BACKEND = "10.9.1.1", "10.5.0.1", "10.5.0.2", "10.9.0.7"
PORT, FRONT, BACK = 1234, 80, 9000
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
PASS, REDIRECT = 0xFFFFFFFF, 7
FAR, NEAR = 1 << 30, 3_000  # from the number that is expected


@dataclass
class Session:
    """A connection, packet by packet. numbers: the next ones of the client and of the backend."""

    forward: Forward
    numbers: tuple[int, int] = (1_000_001, 4_294_967_290)  # the backend's is about to wrap

    def send(self, flags: int, number: int, acknowledged: int = 0, *, back: bool = False) -> int:
        """Sends a packet to the service, or (back) an answer."""
        if back:
            ends, ports = (BACKEND, OURS), (BACK, self.entry().source_port)
        else:
            ends, ports = (CLIENT, VIP), (PORT, FRONT)
        whole = b"".join(port.to_bytes(2) for port in ports)
        whole += (number % (1 << 32)).to_bytes(4) + (acknowledged % (1 << 32)).to_bytes(4)
        whole += bytes([0x50, flags]) + bytes(6)
        answer = self.forward.made.run(frame(*ends, summed(ends, TCP, whole), TCP), 1)[0]
        return answer & 0xFFFFFFFF

    def open(self) -> None:
        client, backend = self.numbers
        assert self.send(SYN, client - 1) == REDIRECT
        assert self.send(SYN | ACK, backend - 1, client, back=True) == REDIRECT
        assert self.send(ACK, client, backend) == REDIRECT
        assert self.is_proven

    @property
    def key(self) -> tables.Key:
        return tables.Key(CLIENT, VIP, PORT, FRONT, TCP)

    def entry(self, *, back: bool = False) -> tables.Flow:
        all_ = {**self.forward.flows("young"), **self.forward.flows()}
        forth = all_[self.key]
        if not back:
            return forth
        return all_[tables.Key(BACKEND, OURS, BACK, forth.source_port, TCP)]

    @property
    def is_proven(self) -> bool:
        return len(self.forward.flows()) == 2

    @property
    def is_closed(self) -> bool:
        flags = [self.entry(back=way).flags & tables.CLOSED for way in (False, True)]
        assert flags[0] == flags[1]
        return bool(flags[0])

    @property
    def may_be_reset(self) -> bool:
        return any(self.entry(back=way).flags & tables.RESET for way in (False, True))


@pytest.fixture(scope="module")
def _forward(_network_of_its_own: None) -> Iterator[Forward]:
    made = loaded()
    made.made.put("settings", bytes(4), tables.Settings(1, 2).packed())
    made.teach_pool(0, BACKEND, BACK, OURS)
    made.made.put("services", tables.service(VIP, FRONT, "tcp"), tables.Place(0, 0).packed())
    yield made
    made.made.close()


@pytest.fixture
def session(_forward: Forward) -> Session:
    for name in ("young", "flows"):
        for key in _forward.made.keys(name, 1024):
            _forward.made.drop(name, key)
    return Session(_forward)


way = pytest.mark.parametrize("back", [False, True])


def expected(session: Session, back: bool) -> tuple[int, int]:
    """The number and the acknowledgement of the next packet of this direction."""
    client, backend = session.numbers
    return (backend, client) if back else (client, backend)


@way
def test_a_reset_counts_with_the_number_that_is_expected(session: Session, back: bool) -> None:
    session.open()
    number, _ = expected(session, back)
    assert session.send(RST, number, back=back) == REDIRECT
    assert session.is_closed


@way
@pytest.mark.parametrize("distance", [FAR, -FAR, 1 << 31])
def test_a_blind_reset_is_passed_on_and_means_nothing(
    session: Session, back: bool, distance: int
) -> None:
    session.open()
    number, acknowledged = expected(session, back)
    for flags in (RST, RST | ACK):
        assert session.send(flags, number + distance, acknowledged, back=back) == REDIRECT
    assert not session.is_closed
    assert not session.may_be_reset


@way
def test_a_reset_that_may_fit_is_taken_back_by_its_sender(session: Session, back: bool) -> None:
    session.open()
    number, acknowledged = expected(session, back)
    session.send(RST, number + NEAR, back=back)
    assert session.may_be_reset
    assert not session.is_closed
    session.send(ACK, number, acknowledged, back=back)
    assert not session.may_be_reset


@way
def test_a_reset_behind_data_on_their_way_counts_with_both_numbers(
    session: Session, back: bool
) -> None:
    session.open()
    number, acknowledged = expected(session, back)
    session.send(RST | ACK, number + NEAR, acknowledged + FAR, back=back)
    assert not session.is_closed
    session.send(RST | ACK, number + NEAR, acknowledged, back=back)
    assert session.is_closed


def test_numbers_are_followed_as_data_flow(session: Session) -> None:
    session.open()
    client, backend = session.numbers
    for step in range(1, 40):  # the backend's numbers wrap
        session.send(ACK, client, backend + step * (1 << 20))
    session.send(RST, backend, back=True)
    assert not session.is_closed
    session.send(RST, backend + 39 * (1 << 20), back=True)
    assert session.is_closed


def test_numbers_that_are_made_up_are_not_followed(session: Session) -> None:
    session.open()
    client, backend = session.numbers
    session.send(ACK, client, backend + FAR)
    session.send(RST, backend + FAR, back=True)
    assert not session.is_closed


def test_a_flow_is_closed_by_two_fins(session: Session) -> None:
    session.open()
    client, backend = session.numbers
    session.send(FIN | ACK, client, backend)
    assert not session.is_closed
    assert session.entry().flags & tables.FIN
    session.send(FIN | ACK, backend, client + 1, back=True)
    assert session.is_closed


@way
def test_a_blind_fin_means_nothing(session: Session, back: bool) -> None:
    session.open()
    number, acknowledged = expected(session, back)
    for wrong in ((FAR, 0), (0, FAR), (FAR, FAR)):
        session.send(FIN | ACK, number + wrong[0], acknowledged + wrong[1], back=back)
    assert not session.entry(back=back).flags & tables.FIN


def test_a_syn_leaves_a_living_flow_where_it_is(session: Session) -> None:
    session.open()
    before = session.entry()
    assert session.send(SYN, 77) == REDIRECT
    after = session.entry()
    assert (after.source_port, after.began_ns) == (before.source_port, before.began_ns)
    assert not session.is_closed


def test_a_syn_on_a_closed_flow_begins_anew(session: Session) -> None:
    session.open()
    before = session.entry().source_port
    session.send(RST, session.numbers[0])
    assert session.send(SYN, 77) == REDIRECT
    assert session.entry().source_port != before
    assert not session.forward.flows()
    assert len(session.forward.flows("young")) == 2


@pytest.mark.parametrize("distance", [-1, 1 << 17, FAR, -FAR])
def test_who_has_not_seen_the_answer_proves_nothing(session: Session, distance: int) -> None:
    client, backend = session.numbers
    session.send(SYN, client - 1)
    session.send(ACK, client, backend)  # before there is an answer
    session.send(SYN | ACK, backend - 1, client, back=True)
    session.send(ACK, client, backend + distance)
    assert not session.is_proven
    session.send(ACK, client, backend)
    assert session.is_proven


def test_a_refused_connection_is_closed(session: Session) -> None:
    session.send(SYN, 77)
    session.send(RST | ACK, 0, 78, back=True)
    assert session.is_closed


def test_a_young_flow_without_its_other_half_begins_anew(session: Session) -> None:
    """The table of young flows has dropped the half that was not used for longer."""
    session.send(SYN, 77)
    first = session.entry().source_port
    session.forward.made.drop("young", tables.Key(BACKEND, OURS, BACK, first, TCP).packed())
    session.send(SYN, 77)
    assert session.entry().source_port != first
    assert session.entry(back=True).flags & tables.REPLY


def test_packets_that_nobody_has_begun_are_left_to_this_host(session: Session) -> None:
    for flags in (ACK, SYN | ACK, RST, FIN, FIN | ACK, SYN | FIN, SYN | RST, 0):
        assert session.send(flags, 1, 1) == PASS
    assert not session.forward.flows("young")
