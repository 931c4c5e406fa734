"""Judges the questions of one forward proxy's clients: who asks, what the rules say, and at which
addresses a host is.

A client that gives a wrong name or password is one that nobody knows. Each such attempt is logged,
so that others can count them (fail2ban).
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import l4lb.log
from l4lb.config.values.forward import Spans
from l4lb.discovery.types import REAL_CLOCK, Clock
from l4lb.native.questions import Question
from l4lb.policy import credentials
from l4lb.policy import rules as policy
from l4lb.policy.compiled import is_in
from l4lb.policy.credentials import Credentials, CredentialsError
from l4lb.policy.log_ins import LogIns
from l4lb.policy.names import GoneError, Names, ResolveError
from l4lb.policy.rules import Decision, Facts, Rules
from l4lb.policy.users import Users

ALLOWED_S = 60.0  # answers hold for so long at most, if nothing else ends them before
DENIED_S = 10.0
UNKNOWN_S = 1.0  # a client that is to log in, or a host that nobody could tell
SHORTEST_S = 1.0
UNNAMED = "0.0.0.0"  # the source of a client of a unix socket
REMEMBERED_MAX = 10_000  # users whose password was right
LOG = l4lb.log.get("policy")


@dataclass(frozen=True)
class Verdict:
    """The answer to a question. kind: a word of native.gate.KINDS. ttl_s: for so long it holds.
    rule: its name, or the realm with "auth". list: the list of domains that has decided."""

    kind: str
    ttl_s: float
    rule: str = ""
    user: str = ""
    addresses: tuple[str, ...] = ()
    list: str = ""


@dataclass(frozen=True)
class Terms:
    """What a forward proxy allows. realm: None without `auth`. remember_s: for so long a password
    that was right is not checked again. known_only: a client must tell who it is, whatever the
    rules say."""

    name: str
    rules: Rules
    ports: Spans
    connect_ports: Spans
    realm: str | None = None
    remember_s: float = 60.0
    known_only: bool = False


@dataclass
class Judge:
    """users: as they are now. facts: what the rules ask for. own: by port, addresses at which this
    service listens itself. threads: where passwords are checked, which is slow by intent."""

    terms: Terms
    names: Names
    facts: Facts
    users: Callable[[], Users | None]
    own: Callable[[], Mapping[int, set[str]]]
    threads: Executor
    clock: Clock = REAL_CLOCK
    log_ins: LogIns = field(default_factory=LogIns)
    _right: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    async def judge(self, question: Question) -> Verdict:
        """Returns the answer."""
        if question.socks and not question.host:
            return await self._login(question)
        tunnels = question.socks or question.method == b"CONNECT"
        asked = policy.Question(
            user=await self._user(question),
            source=ipaddress.ip_address(question.source or UNNAMED),
            host=question.host.decode("ascii", "replace"),
            port=question.port,
            method=policy.SOCKS if question.socks else question.method.decode("ascii", "replace"),
            path=None if tunnels else question.path.decode("latin-1"),
        )
        decision, user = self.decide(asked), asked.user or ""
        holds_s = ALLOWED_S
        if decision.valid_until is not None:
            holds_s = min(holds_s, decision.valid_until - self.facts.now_s())
        if asked.user is not None:
            holds_s = min(holds_s, self.terms.remember_s)
        if decision.action == "auth":
            return self._ask_who()
        if decision.action == "deny":
            holds_s = min(holds_s, DENIED_S)
            found = Verdict("deny", _bounded(holds_s), decision.rule, user)
        else:
            found = await self._where(asked.host, asked.port, holds_s, decision.rule, user)
        return replace(found, list=decision.list or "")

    async def _login(self, question: Question) -> Verdict:
        """A client of SOCKS says who it is, and nothing else yet."""
        user = await self._user(question)
        if user is None and self.terms.realm is not None:
            return self._ask_who()
        return Verdict("allow", _bounded(self.terms.remember_s), "login", user or "")

    def decide(self, asked: policy.Question) -> Decision:
        """Returns what the rules say, and after them the ports."""
        if self.terms.known_only and asked.user is None:
            return Decision("auth", "auth")
        decision = policy.decide(self.terms.rules, asked, self.facts)
        connects = asked.method == "CONNECT"
        spans = self.terms.connect_ports if connects else self.terms.ports
        if decision.action == "allow" and not is_in(asked.port, spans):
            return replace(decision, action="deny", rule="ports")
        return decision

    def _ask_who(self) -> Verdict:
        """Without `auth` nobody can tell: then it is a refusal."""
        if self.terms.realm is None:
            return Verdict("deny", DENIED_S, "nobody")
        return Verdict("auth", UNKNOWN_S, self.terms.realm)

    async def _where(self, host: str, port: int, holds_s: float, rule: str, user: str) -> Verdict:
        try:
            found = await self.names.resolve(host)
        except GoneError:
            return Verdict("no_name", UNKNOWN_S, rule, user)
        except ResolveError as error:
            LOG.warning("a host has no address", host=host[:255], error=str(error))
            return Verdict("failed", UNKNOWN_S, rule, user)
        own = self.own().get(port, set())
        addresses = tuple(one for one in found.found if one not in own)
        if not addresses:
            return Verdict("deny", DENIED_S, "loop", user)
        holds_s = min(holds_s, found.valid_until_s - self.clock.now_s())
        return Verdict("allow", _bounded(holds_s), rule, user, addresses)

    # ---- users ---------------------------------------------------------------------------------

    async def _user(self, question: Question) -> str | None:
        """Returns the user that a client is; None: nobody knows."""
        users = self.users()
        if not question.credentials or self.terms.realm is None or users is None:
            return None
        try:
            told = _credentials(question)
        except CredentialsError as error:
            self._log_failure(question, "?", str(error))
            return None
        key = self._key(users, told)
        if self._right.get(key, 0.0) > self.clock.now_s():
            return told.user
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self.threads, users.verify, told.user, told.password):
            self._log_failure(question, told.user, "a wrong user or password")
            self.log_ins.failed(users, told.user, self.clock.now_s())
            return None
        now_s = self.clock.now_s()
        self._right[key] = now_s + self.terms.remember_s
        self.log_ins.succeeded(users, told.user, now_s, self._right[key])
        while len(self._right) > REMEMBERED_MAX:
            self._right.popitem(last=False)
        return told.user

    def forget(self) -> None:
        """No password is remembered any more, and no address of a host."""
        self._right.clear()
        self.log_ins.forget()
        self.names.forget()

    def _key(self, users: Users, told: Credentials) -> bytes:
        """What was right is remembered, and not the password: of these users, as their file is
        now."""
        text = f"{told.user}\0{told.password}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, key=users.secret, digest_size=16).digest()

    def _log_failure(self, question: Question, user: str, why: str) -> None:
        LOG.warning(
            "log-in failed", forward=self.terms.name, user=user, source=question.source, why=why
        )


def _credentials(question: Question) -> Credentials:
    if not question.socks:
        return credentials.read(question.credentials)
    user, _, password = question.credentials.partition(b"\0")
    try:
        return Credentials(user.decode(), password.decode())
    except UnicodeDecodeError:
        raise CredentialsError("is not UTF-8") from None


def _bounded(ttl_s: float) -> float:
    return max(SHORTEST_S, min(ALLOWED_S, ttl_s))
