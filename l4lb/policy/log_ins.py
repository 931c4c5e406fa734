"""What is known of the log-ins of a forward proxy's users, for operators. No password, and no hash
of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from l4lb.policy.users import Users


@dataclass
class LogIn:
    """Times are those of the clock that the caller uses; 0: never. failures: since the last
    success."""

    succeeded_s: float = 0.0
    failed_s: float = 0.0
    failures: int = 0
    remembered_until_s: float = 0.0


class LogIns:
    """Only users of the file are kept: there are no more of these, whatever clients say."""

    def __init__(self) -> None:
        self._users: Users | None = None
        self._of: dict[str, LogIn] = {}

    def succeeded(self, users: Users, user: str, now_s: float, until_s: float) -> None:
        """A password was checked and right. until_s: it is remembered until then."""
        one = self._one(users, user)
        if one is not None:
            one.succeeded_s, one.remembered_until_s, one.failures = now_s, until_s, 0

    def failed(self, users: Users, user: str, now_s: float) -> None:
        """A password was checked and wrong."""
        one = self._one(users, user)
        if one is not None:
            one.failed_s, one.failures = now_s, one.failures + 1

    def forget(self) -> None:
        """No password is remembered any more."""
        for one in self._of.values():
            one.remembered_until_s = 0.0

    def _one(self, users: Users, user: str) -> LogIn | None:
        self._follow(users)
        return self._of.setdefault(user, LogIn()) if user in users.hashes else None

    def _follow(self, users: Users) -> None:
        """Other users than before: nothing is remembered of passwords, and of who is gone."""
        if users is not self._users:
            self.forget()
            self._of = {user: one for user, one in self._of.items() if user in users.hashes}
            self._users = users

    def shown(self, users: Users, now_s: float) -> Iterator[dict[str, Any]]:
        """Yields what docs/admin.md (users) says of each user."""
        self._follow(users)
        for user in sorted(users.hashes):
            one = self._of.get(user, LogIn())
            yield {
                "user": user,
                "groups": sorted(users.groups_of(user)),
                "last_success_ms": _age_ms(one.succeeded_s, now_s),
                "last_failure_ms": _age_ms(one.failed_s, now_s),
                "failures": one.failures,
                "remembered": one.remembered_until_s > now_s,
            }


def _age_ms(then_s: float, now_s: float) -> int | None:
    return int((now_s - then_s) * 1000) if then_s else None
