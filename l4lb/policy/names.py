"""Finds the addresses of hosts for forward proxies: by name servers of the settings, with a cache.

The host's own files and search list are not used, and localhost is no name here (RFC 6761, 6.3).
Whether an address may be connected to is not judged here but at the connect (csrc/core/outside.h).

A name is two questions, for IPv4 and for IPv6. Equal questions are asked once. As soon as one
question has addresses, the other is waited for a little, and its answer is kept when it comes
(RFC 8305, 3).
"""

from __future__ import annotations

import asyncio
import collections
import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from l4lb.discovery.resolver import TRY_S, time_to_live, why
from l4lb.discovery.types import REAL_CLOCK, Clock, one_line

ADDRESSES_MAX = 8  # of one name that are used
ANSWERS_MAX = 20_000  # that are remembered
ASKED_MAX = 1_000  # questions under way; further ones fail at once
LATE_S = 0.05  # "Resolution Delay" (RFC 8305, 3 and 8)
FAILED_S = 1.0  # for so long a question that failed is not asked again
GONE_MAX_S = 60.0  # for so long a name that does not exist is believed not to
FAMILIES = {"AAAA": "ipv6", "A": "ipv4"}  # in the order in which their addresses are tried

Key = tuple[str, str]  # a name and a type of record


class ResolveError(Exception):
    """A name has no addresses, or nobody knows them. The text is for people: one line."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class GoneError(ResolveError):
    """Name servers say that a name does not exist, or has no addresses."""


@dataclass(frozen=True)
class Settings:
    """servers: IP address and port of each name server, asked in this order. timeout_s: for one
    name. min_ttl_s, max_ttl_s: for how long an answer is kept, whatever it says itself."""

    servers: Sequence[tuple[str, int]]
    timeout_s: float = 2.0
    family: Literal["any", "ipv4", "ipv6"] = "any"
    min_ttl_s: float = 5.0
    max_ttl_s: float = 300.0


@dataclass(frozen=True)
class Addresses:
    """found: at least one, in the order in which they should be tried: by turns of both families,
    IPv6 first (RFC 8305, 4). valid_until_s: of the clock."""

    found: tuple[str, ...]
    valid_until_s: float


@dataclass(frozen=True)
class _Answer:
    """found: none if the question failed. fault: why; "" if it did not."""

    found: tuple[str, ...]
    valid_until_s: float
    fault: str = ""
    gone: bool = False


class Names:
    """The names of one forward proxy."""

    def __init__(self, settings: Settings, clock: Clock = REAL_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._records = [
            record for record, family in FAMILIES.items() if settings.family in ("any", family)
        ]
        self._answers: collections.OrderedDict[Key, _Answer] = collections.OrderedDict()
        self._asked: dict[Key, asyncio.Task[_Answer]] = {}
        self._asker = dns.asyncresolver.Resolver(configure=False)
        self._asker.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in settings.servers]
        self._asker.cache = None
        self._asker.lifetime = settings.timeout_s
        # A server that does not answer leaves time for the next, and for a second attempt.
        self._asker.timeout = min(TRY_S, settings.timeout_s / (len(settings.servers) + 1))

    async def resolve(self, host: str) -> Addresses:
        """Returns the addresses of a host in the form of lists.name; an IP address is its own.
        Raises GoneError or ResolveError."""
        try:
            ip = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return await self._resolve_name(host)
        if self._settings.family not in ("any", f"ipv{ip.version}"):
            raise ResolveError(f"{host}: addresses of IPv{ip.version} are not used")
        return Addresses((str(ip),), float("inf"))

    async def close(self) -> None:
        """Ends questions under way."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _resolve_name(self, host: str) -> Addresses:
        if host in ("", "localhost") or host.endswith(".localhost"):
            raise GoneError(f"{host!r}: names of this host are not used")
        answers = await self._known_or_asked([(host, record) for record in self._records])
        missing = len(answers) < len(self._records)
        found = _by_turns([answer.found for answer in answers])
        # An answer without one of the families is soon looked at again.
        until_s = min((answer.valid_until_s for answer in answers), default=0.0)
        if found:
            late_s = self._clock.now_s() + FAILED_S
            return Addresses(found, min(until_s, late_s) if missing else until_s)
        faults = [answer.fault for answer in answers if not answer.gone]
        if faults:
            raise ResolveError(f"{host}: {faults[0]}")
        raise GoneError(f"{host}: the name does not exist, or has no addresses")

    async def _known_or_asked(self, keys: Sequence[Key]) -> list[_Answer]:
        """Returns the answers to all questions, without those that are late."""
        known = {key: answer for key in keys if (answer := self._known(key)) is not None}
        asked = {key: self._ask_once(key) for key in keys if key not in known}
        waiting: set[asyncio.Task[_Answer]] = set(asked.values())
        has_found = any(answer.found for answer in known.values())
        while waiting:
            done, waiting = await asyncio.wait(
                waiting,
                timeout=LATE_S if has_found else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                break
            has_found = has_found or any(_result(task).found for task in done)
        known |= {key: _result(task) for key, task in asked.items() if task.done()}
        return [known[key] for key in keys if key in known]

    def forget(self) -> None:
        """All names are looked up anew."""
        self._answers.clear()

    # ---- the cache -----------------------------------------------------------------------------

    def _known(self, key: Key) -> _Answer | None:
        answer = self._answers.get(key)
        if answer is None:
            return None
        if answer.valid_until_s <= self._clock.now_s():
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        return answer

    def _keep(self, key: Key, answer: _Answer) -> None:
        self._answers[key] = answer
        self._answers.move_to_end(key)
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    # ---- asking --------------------------------------------------------------------------------

    def _ask_once(self, key: Key) -> asyncio.Task[_Answer]:
        """Returns the question under way, or asks it. Whoever waits may be cancelled: the question
        goes on for the others."""
        task = self._asked.get(key)
        if task is not None:
            return task
        if len(self._asked) >= ASKED_MAX:
            raise ResolveError(f"{key[0]}: more than {ASKED_MAX:,} names are asked for")
        task = self._asked[key] = asyncio.create_task(self._ask(key))
        return task

    async def _ask(self, key: Key) -> _Answer:
        try:
            answer = await self._answer(*key)
        except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
            answer = _Answer(
                (), self._clock.now_s() + FAILED_S, one_line(f"{key[1]}: {why(error)}")
            )
        finally:
            self._asked.pop(key, None)  # why here: it is not under way for one moment longer
        self._keep(key, answer)
        return answer

    async def _answer(self, host: str, record: str) -> _Answer:
        """Asks one question. Raises many things if no server answers."""
        name = dns.name.from_text(f"{host}.")
        try:
            said = await self._asker.resolve(name, record, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            ttl_s = time_to_live(error.response(name))  # type: ignore[no-untyped-call]
            return self._gone(ttl_s)
        ttl_s = time_to_live(said.response)
        rows = itertools.islice(said.rrset or (), ADDRESSES_MAX)
        found = tuple(str(ipaddress.ip_address(row.address)) for row in rows)
        return _Answer(found, self._until_s(ttl_s)) if found else self._gone(ttl_s)

    def _gone(self, ttl_s: float) -> _Answer:
        until_s = self._until_s(min(ttl_s, GONE_MAX_S))
        return _Answer((), until_s, "the name does not exist, or has no addresses", gone=True)

    def _until_s(self, ttl_s: float) -> float:
        settings = self._settings
        return self._clock.now_s() + min(max(ttl_s, settings.min_ttl_s), settings.max_ttl_s)


def _result(task: asyncio.Task[_Answer]) -> _Answer:
    if task.cancelled():
        return _Answer((), 0.0, "the question was given up")
    return task.result()


def _by_turns(families: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns addresses of all families by turns, ADDRESSES_MAX in all."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*families))
    return tuple(one for one in turns if one is not None)[:ADDRESSES_MAX]
