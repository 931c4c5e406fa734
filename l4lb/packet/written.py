"""What was written into the shield's maps, and the next difference to it.

Order of writing, so that the shield is at no moment stricter than the workers: sets of networks
are filled under new numbers, UDP clients with a session become known, then policies name the sets,
and only then old sets are emptied. A set that finds no room is left out, with all rules that name
it.

A long list takes a second to fill or to empty. So both are done in slices, for as long as the
caller allows, and go on at the next call. Until a list is whole the one before it stays in force.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import l4lb.log
from l4lb.native import sets
from l4lb.native.packet_rows import Policy, Service
from l4lb.native.table import Table
from l4lb.packet.plan import Wanted

if TYPE_CHECKING:
    from l4lb.native.packet import Networks, Shield

FULL = (errno.E2BIG, errno.ENOSPC, errno.ENOMEM)
LOG = l4lb.log.get("supervisor")


@dataclass
class _Filling:
    """A set that is not yet whole. number: in the shared table; name: in the maps."""

    number: int
    version: int
    name: int
    networks: Networks


class Written:
    """The content of one shield's maps. Methods raise OSError. Sets are known by their numbers in
    the shared table. first: the number of the next set in the maps."""

    def __init__(self, first: int = 1) -> None:
        self._sets: dict[int, tuple[int, int, Networks]] = {}  # version, number of the shield, ...
        self._next = first
        self._filling: _Filling | None = None
        self._going: list[tuple[Networks, bool]] = []  # no policy names them; do they give room?
        self._refused: dict[int, int] = {}  # versions of sets that found no room
        self._known: set[bytes] = set()
        self._rates = False
        self.services: dict[Service, tuple[int, int]] = {}
        self.policies: dict[int, Policy] = {}

    def given_up(self, shield: Shield) -> Written:
        """Removes all rules, as far as possible. Returns what takes this one's place."""
        with contextlib.suppress(OSError):
            shield.clear()
        with contextlib.suppress(OSError):
            shield.clear_known()
        return Written(self._next)

    @property
    def is_busy(self) -> bool:
        """Whether sets are to be filled or emptied further."""
        return self._filling is not None or bool(self._going)

    def fill(
        self, shield: Shield, table: Table, versions: Mapping[int, int], is_over: Callable[[], bool]
    ) -> dict[int, Networks]:
        """Puts sets in that are new or have another version, until is_over. Returns the networks
        whose place those take that are whole."""
        one = self._filling
        if one is not None and versions.get(one.number) != one.version:
            self._going.append((one.networks, True))
            self._filling = None
        old: dict[int, Networks] = {}
        for number, version in sorted(versions.items()):
            have = self._sets.get(number)
            if (have and have[0] == version) or self._refused.get(number) == version:
                continue
            if self._filling is not None and self._filling.number != number:
                continue
            if not self._fill_one(shield, table, number, version, is_over):
                break
            if have and self._sets.get(number, have) is not have:
                old[number] = have[2]
        return old

    def _fill_one(
        self, shield: Shield, table: Table, number: int, version: int, is_over: Callable[[], bool]
    ) -> bool:
        """Goes on to fill a set. Returns False if it needs more time."""
        from l4lb.native.packet import Networks

        one = self._filling
        if one is None:
            built = sets.exported(table, number)
            one = _Filling(number, version, self._next, Networks(built, self._next))
            self._filling = one
            self._next += 1
        try:
            while one.networks.fill(shield):
                if is_over():
                    return False
        except OverflowError as error:
            self._refused[number] = version
            LOG.warning("the shield has no room for a list; workers turn its clients away",
                        why=str(error))  # fmt: skip
            self._going.append((one.networks, False))
            self._take_out(shield, number)
        else:
            self._sets[number] = (version, one.name, one.networks)
        self._filling = None
        return True

    def _take_out(self, shield: Shield, number: int) -> None:
        """Removes the old version of a set that has no new one, and the policies that name it."""
        have = self._sets.pop(number, None)
        if have is None:
            return
        for row, policy in list(self.policies.items()):
            if have[1] in policy[:5]:
                shield.drop_policy(row)
                del self.policies[row]
        self._going.append((have[2], True))

    def policies_of(self, rows: Mapping[int, Wanted], *, dry_run: bool) -> dict[int, Policy]:
        """Returns the rules of rows as policies, as far as the sets are there."""
        left = {row: one.without(lambda n: n not in self._sets) for row, one in rows.items()}

        def number(of_table: int | None) -> int:
            return 0 if of_table is None else self._sets[of_table][1]

        return {
            row: Policy(
                number(one.proxies), number(one.blocks), number(one.speakers), number(one.rules),
                number(one.access), one.judges_access, one.others_denied, dry_run, one.denied_pass,
                one.rate,
            )
            for row, one in left.items()
            if one.says_something
        }  # fmt: skip

    def learn(self, shield: Shield, table: Table, rows: Collection[int]) -> bool:
        """Makes UDP clients known that have a session with a listener (row) and would be turned
        away as newcomers. Returns False if there are too many of them."""
        from l4lb.native.packet import udp_clients

        clients = udp_clients(table, rows)
        try:
            for one in clients - self._known:
                shield.put_known(one)
                self._known.add(one)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return False
        for one in self._known - clients:
            shield.drop_known(one)
        self._known &= clients
        return True

    def put(
        self,
        shield: Shield,
        services: dict[Service, tuple[int, int]],
        policies: dict[int, Policy],
    ) -> None:
        """Puts services and policies in force."""
        for gone in self.services.keys() - services.keys():
            shield.drop_service(gone)
        for row in self.policies.keys() - policies.keys():
            shield.drop_policy(row)
        for row, policy in policies.items():
            if self.policies.get(row) != policy:
                shield.put_policy(row, policy)
        for service, place in services.items():
            if self.services.get(service) != place:
                shield.put_service(service, *place)
        rates = any(policy.rate is not None for policy in policies.values())
        if rates != self._rates:
            shield.put_settings(rates)
        self.services, self.policies, self._rates = services, policies, rates

    def empty(
        self,
        shield: Shield,
        needed: Collection[int],
        old: Mapping[int, Networks],
        is_over: Callable[[], bool],
    ) -> None:
        """Empties sets that no policy names any more, until is_over. old: what fill has
        returned."""
        self._going += [(networks, True) for networks in old.values()]
        for number in self._sets.keys() - set(needed):
            self._going.append((self._sets.pop(number)[2], True))
        while self._going:
            networks, gives_room = self._going[0]
            while networks.empty(shield):
                if is_over():
                    return
            self._going.pop(0)
            if gives_room:
                self._refused.clear()
