"""The backends that the checker knows, and the state of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from l4lb.checker.agent import Said
from l4lb.checker.judge import Verdict
from l4lb.checker.plan import Plan
from l4lb.checker.types import Target
from l4lb.native.health import health
from l4lb.native.results import OWN_FAULTS, HealthRow, Result
from l4lb.native.rows import Address, BackendRow
from l4lb.native.table import Table

Id = tuple[int, int]  # row and serial: they identify a backend for its whole life


@dataclass
class Member:
    """A backend. agent: health by its agent, "" for none. said: the agent's last answer. The other
    agent_ fields: the agent's last value of each kind, which an answer need not repeat."""

    row: BackendRow
    plan: Plan
    verdict: Verdict
    agent: str = ""
    said: Said = field(default_factory=Said)
    agent_state: str = "ready"
    agent_max: int | None = None
    agent_percent: int = 100
    slow_percent: int = 100

    def follow(self, plan: Plan) -> None:
        """Sets another plan. Results of checks that it no longer has are forgotten."""
        if plan.agent is None:
            self.agent, self.agent_percent, self.said = "", 100, Said()
        if plan.slow_factor is None:
            self.slow_percent = 100
        self.plan = plan

    @property
    def key(self) -> Id:
        return self.row.index, self.row.serial

    @property
    def target(self) -> Target:
        """Returns the target of the backend's checks."""
        own, checks = self.row.address, self.plan.checks
        address = own
        if not own.path and checks is not None:
            address = Address(checks.address or own.host, checks.port or own.port)
        asked = self.plan.names.get(self.row.name, "") if address.host == own.host else ""
        return Target(address, self.row.pool, self.row.name, asked)

    @property
    def health(self) -> str:
        """Combines checks, agent and ejection: the backend is up if none of them says down and at
        least one says up."""
        if self.agent == "down":
            return "down"
        if self.plan.checks is not None:
            return self.verdict.health
        return self.agent or "unknown"

    @property
    def interval_ms(self) -> int:
        """Returns the time until its next check: shorter while its health is about to change,
        possibly longer while it is down."""
        checks = self.plan.checks
        assert checks is not None
        run, word = self.verdict.run, self.verdict.health
        if checks.fast_interval_ms is not None and (
            (word == "up" and run < 0) or (word == "down" and run > 0) or word == "unknown"
        ):
            return checks.fast_interval_ms
        if checks.down_interval_ms is not None and word == "down":
            return checks.down_interval_ms
        return checks.interval_ms

    @property
    def is_usable(self) -> bool:
        """True if the backend gets new sessions, apart from max_connections."""
        return self.row.is_usable and self.agent_percent > 0

    @property
    def weight_change(self) -> int:
        """Returns the change of weight in percent, by agent and slowness together. A backend with a
        weight keeps some of it."""
        share = self.agent_percent * self.slow_percent // 100
        return max(share, 1 if self.agent_percent else 0) - 100


def remembered(table: Table, row: BackendRow, plan: Plan) -> Member:
    """Returns a backend in the state that an earlier process of the checker left in the table."""
    known = health(table, row.index)
    if known is None:
        return Member(row, plan, Verdict("unknown"))
    member = Member(row, plan, _verdict(row, known))
    if plan.agent is not None:
        member.agent = known.agent
        member.agent_percent = 100 + known.weight_change
    elif plan.slow_factor is not None:
        member.slow_percent = 100 + known.weight_change
    return member


def _verdict(row: BackendRow, known: HealthRow) -> Verdict:
    """Returns the verdict of the checks, with its results in a row."""
    if row.check_result == Result.NEVER or row.check_result in OWN_FAULTS:
        return Verdict(known.verdict)
    passed = row.check_result == Result.OK
    return Verdict(known.verdict, row.check_streak if passed else -row.check_streak)
